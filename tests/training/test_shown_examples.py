"""Texts behind an opening are read as if the opening stood in each of them."""

from collections.abc import Callable

import pytest
import torch

from data.tokenizers import TrainedTokenizer
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training import shown_examples
from training.examples import target_logits
from training.models.elsewhere import TINY, NamedModel
from training.shown_examples import BehindOpening

MakeRow = Callable[..., TokenizedRow]
FRONT, OPENING = 9, (9, 40, 41, 42, 43, 44)
TEXTS = [([50, 51, 52, 53], 1), ([60, 61, 62], 2), ([70, 71, 72, 73, 74], 1)]


def lay_out(make_row: MakeRow, opening: tuple[int, ...] = OPENING):
    rows = [make_row([FRONT, *tokens], n_answer) for tokens, n_answer in TEXTS]
    layout = BehindOpening(opening=opening, n_front=1, end_token=0)
    return layout(rows, LossPolicy.ANSWER)


@pytest.mark.parametrize("family", [name for name in TINY if name != "tiny-t5"])
def test_logits_are_those_of_the_whole_text(
    family: str, make_row: MakeRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = TrainedTokenizer(texts=("word",), vocabulary_size=260).load()
    model = NamedModel(location=family).make(tokenizer, seed=0, max_length=16).eval().double()
    shown = lay_out(make_row)
    monkeypatch.setattr(shown_examples, "TEXTS_AT_ONCE", 2)  # so that batches are split

    with torch.no_grad():
        found = shown.logits(model)
        expected = torch.cat(
            [
                model(input_ids=torch.tensor([[*OPENING, *tokens]])).logits[0, -n - 1 : -1]
                for tokens, n in TEXTS
            ]
        )

    assert found.shape == (4, 260)
    torch.testing.assert_close(found, expected)


def test_without_an_opening_texts_keep_their_front(make_row: MakeRow) -> None:
    tokenizer = TrainedTokenizer(texts=("word",), vocabulary_size=260).load()
    model = NamedModel(location="tiny-llama").make(tokenizer, seed=0, max_length=16).eval()
    bare = lay_out(make_row, opening=())

    assert bare.tokens[:, 0].tolist() == [FRONT] * 3
    with torch.no_grad():
        torch.testing.assert_close(
            bare.logits(model), target_logits(model, bare.tokens, bare.targets)
        )
