from collections.abc import Callable, Sequence

import pytest

from data.rows import Row
from data.statements import RenderedText
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Split
from training.config import ModelConfig
from training.models import build_model


@pytest.fixture(scope="session")
def make_row() -> Callable[..., TokenizedRow]:
    """Makes a row of bare token ids, the last `n_answer` of them its answer."""

    def make(
        tokens: Sequence[int],
        n_answer: int = 1,
        *,
        repeats: int = 1,
        subset: str = "D5_CONS",
        kind: Kind = Kind.QA,
        question: str | None = "attr0",
    ) -> TokenizedRow:
        row = Row(
            row_id="row",
            subset=subset,
            split=Split.TEST,
            kind=kind,
            rendered=RenderedText(text="", answer_span=(0, 0), spans={}),
            alias=None,
            entity=None,
            tag=None,
            question=question,
            repeats=repeats,
        )
        n = len(tokens)
        return TokenizedRow(
            row=row,
            input_ids=tuple(tokens),
            answer_positions=tuple(range(n - n_answer, n)),
            spans={},
        )

    return make


@pytest.fixture
def make_model() -> Callable[..., object]:
    """Makes a one-layer GPT-NeoX over 30 tokens; token 1 is its end token."""

    def make(*, n_layers: int = 1, seed: int = 0):
        config = ModelConfig(
            n_layers=n_layers,
            d_model=16,
            n_heads=2,
            d_mlp=32,
            tied_embeddings=True,
            rotary_pct=0.25,
        )
        return build_model(config, vocabulary_size=30, max_length=16, end_token=1, seed=seed)

    return make
