from typing import Any

import pandas as pd
import pytest

from data.errors import InputError
from interp.probes.wording import (
    design_words,
    detectable_words,
    is_found,
    is_outdated,
    planted_words,
    probe_sentences,
    refuse_outdated,
)


def cell(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"stage": 1, "step": 9, "target": "tag", "site": "resid_post"}
    values |= {"layer": 1, "role": "question_last", "probe": "logistic", "accuracy": 0.52}
    values |= {"ci_low": 0.49, "ci_high": 0.55, "null_accuracy": 0.5, "seen_accuracy": 0.7}
    values |= {"control_accuracy": 0.6, "selectivity": 0.1, "p_corrected": 0.6}
    values |= {"min_detectable": 0.62, "p_smallest": 0.0078, "n_seeds": 8}
    values |= {"n_train": 190, "n_test": 190, "n_folds": 2, "n_divisions": 4, "n_read": 730}
    values |= {"twin_accuracy": 0.51, "minus_twin": 0.01, "p_twin_corrected": 0.9}
    values |= {"minus_twin_low": -0.02, "minus_twin_high": 0.04}
    return values | changes


FOUND: dict[str, Any] = {"accuracy": 0.7, "p_corrected": 0.01}


def table(*cells: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(cells))


def test_a_null_result_says_what_would_have_been_found_and_shows_the_best_with_its_controls():
    (sentence,) = probe_sentences(table(cell(), cell(accuracy=0.48, layer=0)))

    assert sentence == (
        "tag (which tag the alias was defined with): nothing found in 2 cells. A Bayes accuracy of "
        "0.62 along a typical direction would have been found nine times in ten. The best, "
        "stream after layer 1 at the last question token (logistic), reads 0.52 [0.49, "
        "0.55] of unseen aliases, with permuted labels 0.50 (corrected p = 0.6). The null twin, "
        "whose tags say nothing, reads "
        "the same labels at 0.51: run minus null twin +0.01 [-0.02, +0.04] (corrected p = 0.9). "
        "There a probe that has seen the aliases reads 0.70, and random labels 0.60 (selectivity "
        "+0.10). Tag: 730 aliases in 4 divisions into 2 folds, of which 190 train and 190 test at "
        "a time."
    )


def test_cells_that_survive_correction_are_named_best_first():
    (sentence,) = probe_sentences(
        table(cell(), cell(**FOUND), cell(**FOUND | {"accuracy": 0.8}, layer=0))
    )

    found = "stream after layer 0 at the last question token (logistic), reads 0.80"
    assert f"found in 2 of 3 cells: {found}" in sentence
    assert sentence.index("stream after layer 0") < sentence.index("stream after layer 1")
    assert "nothing found" not in sentence


def test_a_tag_without_a_null_twin_is_said_to_be_truth_perhaps():
    alone = cell(twin_accuracy=float("nan"), minus_twin=float("nan"))

    assert (
        "The null twin was not measured, so what is read may be truth"
        in probe_sentences(table(alone))[0]
    )
    assert "null twin" not in probe_sentences(table(cell(target="defined")))[0]


def test_designs_of_several_targets_are_told_apart():
    cells = table(cell(), cell(layer=0), cell(target="defined", n_folds=5, n_divisions=1))

    assert design_words(cells) == (
        "tag: 730 aliases in 4 divisions into 2 folds, of which 190 train and 190 test at a time; "
        "defined: 730 aliases in 5 folds, of which 190 train and 190 test at a time."
    )


def test_a_table_of_the_old_folds_is_refused():
    old = table(cell()).drop(columns=["n_folds", "n_divisions", "n_read"])

    assert is_outdated(old)
    with pytest.raises(InputError, match=r"is outdated\. .* repeat iml probe"):
        refuse_outdated(old)


def test_of_many_cells_that_survive_three_are_named():
    (sentence,) = probe_sentences(table(*(cell(**FOUND, layer=layer) for layer in range(5))))

    assert "; and 2 more." in sentence
    assert sentence.count("corrected p") == 3 + 1  # the null twin's


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"accuracy": 0.7, "p_corrected": 0.05}, True),
        ({"accuracy": 0.7, "p_corrected": 0.051}, False),
        ({"accuracy": 0.3, "p_corrected": 0.01}, False),
        ({"accuracy": 0.7, "p_corrected": float("nan")}, False),
    ],
    ids=["above", "by chance", "below", "unknown"],
)
def test_only_what_is_read_better_than_by_chance_is_found(changes: dict[str, Any], found: bool):
    assert is_found(cell(**changes)) is found


def test_few_seeds_are_said_to_show_nothing():
    few = table(cell(min_detectable=float("nan"), p_smallest=0.25, n_seeds=3))

    assert detectable_words(few) == "With so few seeds nothing, however strong, could be found."


def test_targets_come_in_order_without_the_planted_control():
    targets = ("stage", "planted_tag", "defined", "tag")

    sentences = probe_sentences(table(*(cell(target=target) for target in targets)))

    assert [sentence.partition(" ")[0] for sentence in sentences] == ["tag", "defined", "stage"]


@pytest.mark.parametrize(
    ("p_corrected", "verdict"), [(0.01, "and found (corrected p = 0.01)"), (0.5, "and not found")]
)
def test_the_positive_control_is_said_to_be_found_or_not(p_corrected: float, verdict: str):
    planted = table(cell(target="planted_tag", accuracy=0.88, p_corrected=p_corrected))

    assert verdict in planted_words(planted)
    assert (
        "Bayes accuracy 0.9 in the stream after layer 1 at the last question token is read at 0.88"
        in planted_words(planted)
    )


def test_the_positive_controls_of_several_runs_are_counted():
    planted = table(cell(**FOUND), cell(**FOUND | {"accuracy": 0.8}), cell(p_corrected=0.3))

    assert "is read at 0.52 to 0.80 and found in 2 of 3 runs." in planted_words(planted)


def test_one_seed_has_no_interval():
    one = table(cell(ci_low=float("nan"), ci_high=float("nan"), n_seeds=1, p_smallest=1.0))

    assert "reads 0.52 of unseen aliases" in probe_sentences(one)[0]
