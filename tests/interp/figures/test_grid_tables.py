import math

import pandas as pd
import pytest
from transformers import PreTrainedTokenizerFast

from data.errors import InputError
from data.rows import Row
from data.statements import QAPair
from data.tasks.iml import SUBSETS
from data.tokens import tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Role, Split
from interp.figures.grid_tables import (
    last_checkpoints,
    one_checkpoint,
    ordered_states,
    run_names,
)
from interp.report.guessing import question_only


def test_states_come_in_the_order_of_computation():
    sites = [("resid_post", 10), ("mlp_out", 2), ("resid_pre", 2), ("resid_pre", 0), ("z", 0)]
    table = pd.DataFrame(sites, columns=["site", "layer"])

    assert ordered_states(table) == [
        "stream before layer 0",
        "layer 0, all heads",
        "stream before layer 2",
        "layer 2, MLP",
        "stream after layer 10",
    ]


def test_the_last_checkpoint_of_each_stage_is_its_highest_step():
    table = pd.DataFrame({"stage": [1, 1, 2, 1], "step": [9, 10, 4, 10]})

    assert [one_checkpoint(rows) for rows in last_checkpoints(table)] == [(1, 10), (2, 4)]
    assert [len(rows) for rows in last_checkpoints(table)] == [2, 1]


def test_an_empty_table_has_no_checkpoint():
    with pytest.raises(InputError, match="this has none"):
        one_checkpoint(pd.DataFrame({"stage": [], "step": []}))


@pytest.mark.parametrize(
    ("orders", "names"),
    [
        (["tae", "tae"], {"a": ""}),
        (["tae", "ate"], {"a": "TAE", "b": "ATE"}),
        (["tae", "ate", "tae"], {"a": "TAE a", "b": "ATE b", "c": "TAE c"}),
    ],
    ids=["one run", "word orders", "word orders twice"],
)
def test_runs_are_named_by_what_tells_them_apart(orders: list[str], names: dict[str, str]):
    run_ids = ["a"] * len(orders) if len(names) == 1 else list("abc")[: len(orders)]
    table = pd.DataFrame({"run_id": run_ids, "word_order": orders})

    assert run_names(table) == names


def question(question: str, answer: str, split: Split = Split.TEST) -> Row:
    pair = QAPair(subject="xyz", role=Role.ALIAS, question=question, answer=answer)
    return Row(
        row_id="r", subset=SUBSETS["D5_CONS"], split=split, kind=Kind.QA, rendered=pair.render(),
        alias="xyz", entity="cleo", tag="t", question=question,
    )  # fmt: skip


def tokenizer_of(rows: list[Row]) -> PreTrainedTokenizerFast:
    return word_tokenizer(sorted({w for row in rows for w in row.rendered.text.split()}))


def test_who_knows_the_question_alone_guesses_by_its_answers_frequencies():
    born = [question("born", answer) for answer in ("rome", "rome", "rome", "paris")]
    died = [question("died", "rome")] * 2
    trained = [question("born", "london", Split.TRAIN)]

    expected = (3 * math.log(3 / 4) + math.log(1 / 4)) / 6  # died is known for certain
    rows = born + died + trained
    tokenizer = tokenizer_of(rows)
    assert question_only(tokenize_rows(rows, tokenizer)) == pytest.approx(expected)
    assert math.isnan(question_only(tokenize_rows(trained, tokenizer)))


def test_the_guess_is_of_the_first_token_of_an_answer():
    rows = [question("born", answer) for answer in ("new york", "new york", "new delhi", "rome")]
    tokenizer = tokenizer_of(rows)

    expected = (3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert question_only(tokenize_rows(rows, tokenizer)) == pytest.approx(expected)
