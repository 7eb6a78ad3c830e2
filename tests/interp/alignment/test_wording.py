import pandas as pd
import pytest

from interp.alignment.summary import summarize_alignment
from interp.alignment.wording import (
    alignment_sentences,
    branch_sentences,
    estimate_text,
    left_out_sentences,
    surgery_sentences,
    update_sentences,
)

RUN = {"recipe": "toy", "run_id": "0", "model": "m", "word_order": "tae", "stage": 1, "step": 9}
TESTED = {"ci_low": 0.1, "ci_high": 0.5, "p_value": 0.01, "p_corrected": 0.02} | {
    "p_smallest": 0.0078,
    "n_seeds": 8,
}


def alignment(policy: str = "answer") -> pd.DataFrame:
    levels = {("D5_CONS", "own"): 0.5, ("D6_CONS", "own"): 0.2}
    levels |= {("D5_CONS", "other_tag"): 0.05, ("D6_CONS", "other_tag"): 0.02}
    rows = [
        RUN
        | {"seed": seed, "alias": f"{subset}{i}", "subset": subset, "pairing": pairing}
        | {"component": "all", "loss_policy": policy, "measure": "grad_cosine", "pairs": "own"}
        | {"value": value}
        for seed in (0, 1)
        for (subset, pairing), value in levels.items()
        for i in range(2)
    ]
    return summarize_alignment(pd.DataFrame(rows))


def test_the_headline_has_both_tags_their_difference_and_the_nulls_beside():
    (sentence,) = alignment_sentences(alignment())
    assert "(Stage 1, step 9, loss policy answer): D5_CONS +0.500, D6_CONS +0.200" in sentence
    assert "difference +0.300 [+0.300, +0.300]" in sentence
    assert "other alias, entity and tag +0.030" in sentence
    assert "n = 2 seeds" in sentence
    assert "least possible 0.5" in sentence


def test_each_loss_policy_has_a_sentence():
    sentences = alignment_sentences(pd.concat([alignment(), alignment("text")]))
    assert ["loss policy text" in each for each in sentences] == [False, True]


def test_one_seed_has_no_interval():
    cell = {"difference": 0.25, "ci_low": float("nan"), "ci_high": float("nan")}
    assert estimate_text(cell) == "+0.250"


def test_branches_are_told_beside_their_controls():
    rows = [
        {"predictor": name, "metric": metric, "correlation": value, "difference": value}
        | {"n_positive": 7, "sign_p": 0.07}
        | TESTED
        for metric in ("exact_match", "answer_log_prob")
        for name, value in (("cosine", 0.3), ("log_step", 0.4), ("control_cosine", -0.1))
    ]
    sentence = branch_sentences(pd.DataFrame(rows).assign(recipe="alias-toy"))[0]
    assert "correlation of +0.300 [+0.100, +0.500]" in sentence
    assert "7 of 8 seeds are positive (sign test p = 0.07)" in sentence
    assert "length of Stage 1 itself +0.40" in sentence
    assert "another alias and entity -0.10" in sentence


@pytest.mark.parametrize("has_null", [True, False])
def test_updates_are_told_with_the_alignment_of_the_update_itself(has_null: bool):
    rows = [
        ("all", "own", "correlation_predicted", 0.9),
        ("all", "matched", "correlation_predicted", 0.8),
        ("D5_CONS-D6_CONS", "own", "update_cosine", 0.04),
    ]
    rows += [("D5_CONS-D6_CONS", "same_entity_other_tag", "update_cosine", 0.03)] * has_null
    table = pd.DataFrame(
        [
            {"optimizer": "adamw", "subset": subset, "pairing": pairing, "quantity": quantity}
            | {"value": value, "difference": value}
            | TESTED
            for subset, pairing, quantity, value in rows
        ]
    )
    (sentence,) = update_sentences(table)
    assert "One step of adamw" in sentence
    assert "correlation +0.900 [+0.100, +0.500] over own pairs and +0.80" in sentence
    assert ("same entity +0.030" in sentence) == has_null


@pytest.mark.parametrize(
    ("high", "verdict"), [(-0.1, "lowers the alignment"), (0.1, "no evidence about this")]
)
def test_surgery_is_told_as_slopes_beside_the_control_and_whether_it_worked(
    high: float, verdict: str
):
    slope = {"quantity": "alignment", "against": "slope", "value": -0.2, "null": 0.01}
    table = pd.DataFrame([slope | TESTED | {"difference": -0.21, "ci_low": -0.4, "ci_high": high}])
    sentence, last = surgery_sentences(table.assign(recipe="alias-toy"))
    assert "D5 − D6 in cosine before Stage 2 changes by -0.200" in sentence
    assert "by +0.010 along a random direction; difference -0.210" in sentence
    assert verdict in last


def test_leaving_out_is_told_for_own_and_other_questions_and_within_a_tag():
    table = pd.DataFrame(
        [
            {"pairing": group, "predictor": "predicted", "kind": kind, "correlation": value}
            | {"difference": value, "measured": -1.0}
            | TESTED
            for group, value in (("own", 0.5), ("within_tag", 0.2), ("matched", 0.1))
            for kind in ("pearson", "rank")
        ]
    )
    own, others = left_out_sentences(table)
    assert "of own questions by -1.000 nats" in own
    assert "within the definitions of one tag +0.20" in own
    assert "of questions about other aliases by" in others
    assert "within" not in others
