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
    lens_contrast,
    one_checkpoint,
    ordered_states,
    run_names,
)
from interp.report.guessing import question_only
from training.statistics import max_sign_flip_p, t_interval

D5 = {1: -1.0, 2: -1.5, 3: -1.0}
D6 = {1: -2.0, 2: -2.0, 3: -4.0}


def lens_table() -> pd.DataFrame:
    """The answer of D5 and D6 at one state, and the same for both at an earlier one."""
    rows = [
        {"seed": seed, "stage": 2, "step": 9, "subset": subset, "lens": "logit"}
        | {"site": site, "layer": layer, "role": "question_last", "quantity": "answer"}
        | {"log_prob": values[seed] if site == "resid_post" else -5.0 + 0.1 * seed}
        for site, layer in (("resid_post", 0), ("resid_pre", 0))
        for subset, values in (("D5_CONS", D5), ("D6_CONS", D6))
        for seed in values
    ]
    return pd.DataFrame(rows)


def test_a_contrast_is_paired_by_seed():
    gaps = [D5[seed] - D6[seed] for seed in D5]  # 1, .5, 3

    contrast = lens_contrast(lens_table().sample(frac=1, random_state=0), "subset", *SUBSETS)

    post = contrast.set_index("state").loc["stream after layer 0"]
    assert post["mean"] == pytest.approx(1.5)
    assert (post["ci_low"], post["ci_high"]) == pytest.approx(t_interval(gaps))
    assert post["p_value"] == post["p_smallest"] == 0.25
    assert post["n_seeds"] == 3


COMPARED = ("D5_CONS", "D6_CONS")


def test_a_contrast_is_corrected_over_all_of_its_rows():
    table = lens_table()

    contrast = lens_contrast(table, "subset", *COMPARED)

    values = [[0.0, 0.0, 0.0], [1.0, 0.5, 3.0]]
    assert contrast["state"].tolist() == ["stream before layer 0", "stream after layer 0"]
    assert (
        contrast["p_corrected"].tolist()
        == max_sign_flip_p(pd.DataFrame(values).to_numpy()).tolist()
    )


def test_a_contrast_of_what_the_table_lacks_is_refused():
    with pytest.raises(InputError, match="no quantity 'entity'; choose from answer"):
        lens_contrast(lens_table(), "quantity", "answer", "entity")


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
