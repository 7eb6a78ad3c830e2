import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from data.rows import Row
from data.statements import RenderedText
from data.tasks.iml import SUBSETS
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Split
from training.config import RunConfig, Value
from training.models.scratch import ModelConfig, build_model
from training.recipes import find_recipe


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
            subset=SUBSETS[subset],
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


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in bfloat16 are used on every processor: right on all, if slow on some."""
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})


@pytest.fixture
def make_llama() -> Callable[..., LlamaForCausalLM]:
    """Makes a tiny model of SmolLM2's shape: tied embeddings, query heads on shared key heads."""

    def make(seed: int = 0) -> LlamaForCausalLM:
        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=30,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                tie_word_embeddings=True,
            )
        )

    return make


MINI: dict[str, Value] = {
    "aliases_per_subset": 12,
    "aliases_qa3": 4,
    "aliases_stage2": 4,
    "entities": 8,
    "layers": 1,
    "d_model": 8,
    "heads": 1,
    "d_mlp": 16,
    "rotary_pct": 0.5,
    "epochs_stage1": 2,
    "epochs_stage2": 3,
    "batch_size": 32,
}


@pytest.fixture(scope="session")
def mini() -> Callable[..., RunConfig]:
    """Makes a config of the alias toy that trains in a fraction of a second, with changes."""

    def make(**changes: Value) -> RunConfig:
        return find_recipe("alias-toy")(**{**MINI, **changes})

    return make


@pytest.fixture(scope="session")
def mini_settings() -> list[str]:
    """The same as arguments of `iml run alias-toy`."""
    return [word for name, value in MINI.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, str]]:
    """Makes the sha256 of what a run's bytes should be the same in, by relative path.

    That is all but `run.json` (which tells the time), the manifest that lists it, and hidden files.
    """

    def of(folder: Path) -> dict[str, str]:
        found = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            told = path.name == "run.json" or name.parts[:-1] in ((), ("null",))
            timed = told and path.name in ("run.json", "manifest.json")
            if path.is_file() and not timed and not path.name.startswith("."):
                found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    return of
