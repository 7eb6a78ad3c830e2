import math

import pandas as pd
import pytest

from data.vocabulary import Stage
from training.designs import recipe_design
from training.summary import (
    contrast_estimate,
    contrasts_of,
    end_of_stage,
    is_stage1_learned,
    null_equivalence,
    stage1_learned,
    subset_estimates,
    summarize,
)

IML = recipe_design("alias-toy")
# Exact match by subset for each seed; in Stage 2 for its two Stage-2 seeds.
STAGE_1 = {"D1_CONS_QA1": [0.9, 0.8, 0.7], "D2_INCONS_QA2": [0.5, 0.5, 0.5], "QA3": [0.6] * 3}
STAGE_2 = {
    "D5_CONS": [(0.8, 0.6), (0.5, 0.5), (0.6, 0.6)],  # gaps .3, .1, .2
    "D6_CONS": [(0.4, 0.4), (0.5, 0.3), (0.4, 0.4)],
}
SEEDS = [1000, 1001, 1002]
T_975, T_95 = 4.302652729911275, 2.919985580355516  # Student's t with 2 degrees of freedom


def record(subset: str, seed: int, value: float, stage: int, stage2_seed: int = 0) -> dict:
    return {
        "subset": subset,
        "seed": seed,
        "value": value,
        "stage": stage,
        "stage2_seed": stage2_seed,
        "step": 10 if stage == 1 else 20,
        "question": "all",
        "metric": "exact_match",
        "n": 7,
    }


@pytest.fixture
def metrics() -> pd.DataFrame:
    """Known gaps among rows that must not count: other steps, questions and metrics."""
    rows = []
    for subset, values in STAGE_1.items():
        rows += [record(subset, s, v, 1) for s, v in zip(SEEDS, values, strict=True)]
    for subset, pairs in STAGE_2.items():
        for seed, pair in zip(SEEDS, pairs, strict=True):
            rows += [record(subset, seed, v, 2, k) for k, v in enumerate(pair)]
    noise = [
        row | {"value": row["value"] * -3} | change
        for row in rows
        for change in ({"step": 5}, {"question": "attr0"}, {"question": "definition"})
    ]
    log_probs = [row | {"metric": "answer_log_prob", "value": 10 * row["value"]} for row in rows]
    losses = [row | {"metric": "loss"} for row in noise]
    return pd.DataFrame(noise + rows + log_probs + losses)


def test_iml_gap_has_the_hand_computed_numbers(metrics: pd.DataFrame) -> None:
    found = summarize(metrics, IML)["iml_gap"]["exact_match"]
    half = T_975 * 0.1 / math.sqrt(3)
    assert found["mean"] == pytest.approx(0.2)
    assert found["ci_low"] == pytest.approx(0.2 - half)
    assert found["ci_high"] == pytest.approx(0.2 + half)
    assert (found["p_value"], found["p_smallest"], found["n_seeds"]) == (0.25, 0.25, 3)
    assert found["per_seed"] == pytest.approx({"1000": 0.3, "1001": 0.1, "1002": 0.2})


@pytest.mark.parametrize(("gap", "mean"), [("stage1_gap", 0.3), ("ocl_gap", 0.2)])
def test_stage_1_gaps_are_taken_at_the_end_of_stage_1(
    gap: str, mean: float, metrics: pd.DataFrame
) -> None:
    found = summarize(metrics, IML)[gap]
    assert found["exact_match"]["mean"] == pytest.approx(mean)
    assert found["answer_log_prob"]["mean"] == pytest.approx(10 * mean)


def test_summary_has_the_keys_of_the_contract(metrics: pd.DataFrame) -> None:
    summary = summarize(metrics, IML)
    assert list(summary) == ["iml_gap", "stage1_gap", "ocl_gap"]
    for by_metric in summary.values():
        assert list(by_metric) == ["exact_match", "answer_log_prob"]
        contract = {"mean", "ci_low", "ci_high", "p_value", "n_seeds", "per_seed"}
        assert all(contract <= set(innermost) for innermost in by_metric.values())


def test_headlines_are_those_of_the_contract() -> None:
    headlines = [contrast for contrast in IML.contrasts if contrast.is_headline]
    assert {each.name: (*each.names, int(each.part)) for each in headlines} == {
        "iml_gap": ("D5_CONS", "D6_CONS", 2),
        "stage1_gap": ("D1_CONS_QA1", "D2_INCONS_QA2", 1),
        "ocl_gap": ("D1_CONS_QA1", "QA3", 1),
    }


def test_more_stage_2_seeds_do_not_count_as_more_seeds(metrics: pd.DataFrame) -> None:
    copies = [metrics.assign(stage2_seed=metrics["stage2_seed"] + 2 * k) for k in range(3)]
    many = contrast_estimate(pd.concat(copies), IML.contrast("iml_gap"), "exact_match")
    few = contrast_estimate(metrics, IML.contrast("iml_gap"), "exact_match")
    assert (many.mean, many.ci_low, many.n_seeds) == (
        pytest.approx(few.mean),
        pytest.approx(few.ci_low),
        3,
    )


def test_subsets_come_in_the_papers_order_with_their_means(metrics: pd.DataFrame) -> None:
    shuffled = metrics.sample(frac=1, random_state=0)
    first = subset_estimates(shuffled, IML, Stage.ONE, "exact_match")
    assert list(first) == ["D1_CONS_QA1", "D2_INCONS_QA2", "QA3"]
    assert first["D1_CONS_QA1"].mean == pytest.approx(0.8)
    second = subset_estimates(shuffled, IML, Stage.TWO, "exact_match")
    assert second["D5_CONS"].per_seed == pytest.approx({1000: 0.7, 1001: 0.5, 1002: 0.6})


def test_end_of_stage_is_its_last_step_on_whole_subsets(metrics: pd.DataFrame) -> None:
    last = end_of_stage(metrics, Stage.TWO)
    assert set(last["step"]) == {20}
    assert set(last["question"]) == {"all"}
    assert set(last["stage"]) == {2}


@pytest.mark.parametrize(
    ("gaps", "passed"),
    [
        ([0.01, -0.01, 0.0], True),
        ([0.3, 0.1, 0.2], False),
        ([0.2, -0.2, 0.0], False),  # contains 0, yet shows nothing
    ],
)
def test_null_twin_passes_when_its_90_percent_interval_is_within_the_margin(
    gaps: list[float], passed: bool
) -> None:
    rows = [record("D5_CONS", seed, 0.5 + gap, 2) for seed, gap in zip(SEEDS, gaps, strict=True)]
    rows += [record("D6_CONS", seed, 0.5, 2) for seed in SEEDS]
    verdict = null_equivalence(pd.DataFrame(rows), IML.main, 0.08)
    sd = math.sqrt(sum((gap - sum(gaps) / 3) ** 2 for gap in gaps) / 2)
    assert verdict.passed is passed
    assert verdict.ci_high == pytest.approx(sum(gaps) / 3 + T_95 * sd / math.sqrt(3))
    assert verdict.margin == 0.08


def test_each_seed_counts_at_its_own_last_step() -> None:
    # Seeds draw unlike numbers of rows where names must be of some length, and so unlike steps.
    rows = [record(name, 1000, v, 2) for name, v in (("D5_CONS", 0.9), ("D6_CONS", 0.5))]
    rows += [
        record(name, 1001, v, 2) | {"step": 15} for name, v in (("D5_CONS", 0.7), ("D6_CONS", 0.5))
    ]
    rows += [record("D5_CONS", 1001, 0.0, 2) | {"step": 10}]
    assert contrast_estimate(
        pd.DataFrame(rows), IML.contrast("iml_gap"), "exact_match"
    ).per_seed == pytest.approx({1000: 0.4, 1001: 0.2})


def gaps_of(levels: dict[str, list[float]], stage: int) -> pd.DataFrame:
    rows = [
        record(subset, seed, value, stage)
        for subset, values in levels.items()
        for seed, value in zip(SEEDS, values, strict=False)
    ]
    return pd.DataFrame(rows)


def test_a_new_tag_splits_the_gap_in_two() -> None:
    levels = {"D5_CONS": [0.8, 0.7, 0.6], "D6_CONS": [0.2, 0.1, 0.3], "D8_CONS": [0.7, 0.7, 0.5]}
    metrics = gaps_of(levels, 2)
    assert [c.name for c in contrasts_of(metrics, IML)] == ["iml_gap", "trust_gap", "distrust_gap"]
    trust, distrust, whole = (
        contrast_estimate(metrics, IML.contrast(gap), "exact_match")
        for gap in ("trust_gap", "distrust_gap", "iml_gap")
    )
    assert trust.per_seed == pytest.approx({1000: 0.1, 1001: 0.0, 1002: 0.1})
    assert distrust.per_seed == pytest.approx({1000: 0.5, 1001: 0.6, 1002: 0.2})
    assert whole.mean == pytest.approx(trust.mean + distrust.mean)
    without = metrics.loc[metrics["subset"] != "D8_CONS"]
    assert [c.name for c in contrasts_of(without, IML)] == ["iml_gap"]


@pytest.mark.parametrize(
    ("d1", "qa7", "share", "is_learned"),
    [
        ([0.51, 0.50, 0.51], [0.25, 0.24, 0.25], 0.345, True),  # the paper's Pythia-2.8B
        ([0.24, 0.25, 0.23], [0.15, 0.15, 0.15], 0.106, False),  # the toy at a batch of 1024
        ([0.60, 0.20, 0.90], [0.10, 0.10, 0.10], 0.519, False),  # not shown: seeds differ
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 0.0, False),  # a guess is right: nothing to learn
    ],
)
def test_stage_1_is_learned_where_d1_answers_what_a_guess_does_not(
    d1: list[float], qa7: list[float], share: float, is_learned: bool
) -> None:
    metrics = gaps_of({"D1_CONS_QA1": d1, "QA7_UNSEEN": qa7}, 1)
    found = stage1_learned(metrics, IML)
    assert found is not None
    assert found.mean == pytest.approx(share, abs=1e-3)
    assert is_stage1_learned(metrics, IML) is is_learned


def test_a_run_without_stage_1_has_nothing_to_learn_there() -> None:
    metrics = gaps_of({"D5_CONS": [0.8], "D6_CONS": [0.2]}, 2)
    assert stage1_learned(metrics, IML) is None
    assert is_stage1_learned(metrics, IML)
