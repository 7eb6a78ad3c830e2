from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.transplants.analysis import asked_rows, check_same_questions, check_same_tokens
from training.runs.checkpoints import load_tokenizer
from training.runs.run import Run

SEED = 1000


def test_other_words_are_an_error(tiny_run: Run, tmp_path: Path):
    here = tiny_run.checkpoint(SEED, 1)
    tokenizer = load_tokenizer(here)
    tokenizer.add_tokens(["novel"])
    tokenizer.save_pretrained(tmp_path)

    check_same_tokens(here, tiny_run.checkpoint(SEED, 2))
    with pytest.raises(InputError, match=r"tokenizers of .* differ in 1 entries; choose"):
        check_same_tokens(here, tmp_path)


def test_other_facts_are_an_error(toy_rows: Callable[..., list[TokenizedRow]]):
    rows = asked_rows(toy_rows(seed=0))

    check_same_questions(rows, asked_rows(toy_rows(seed=0, shuffle_tags=True)))
    with pytest.raises(InputError, match=r"differ in \d+ Stage-2 questions or their answers;"):
        check_same_questions(rows, asked_rows(toy_rows(seed=1)))


def test_rows_without_d6_are_an_error(toy_rows: Callable[..., list[TokenizedRow]]):
    rows = [row for row in toy_rows() if row.row.subset.name != "D6_CONS"]
    with pytest.raises(InputError, match="no questions of D5_CONS or D6_CONS"):
        asked_rows(rows)
