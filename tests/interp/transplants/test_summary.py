import numpy as np
import pandas as pd
import pytest

from data.tasks.iml import IML_GAP
from interp.transplants.summary import summarize_transplants
from training.statistics import max_sign_flip_p, sign_flip_p, t_interval

GAINS = {"none": 0.0, "all": 0.5, "embeddings": 0.3, "mlps": 0.0}
SEEDS = (1, 2, 3, 4)


def transplant_table(seeds: tuple[int, ...] = SEEDS, donor: str = "same") -> pd.DataFrame:
    """D5 gains as `GAINS` says, and seed/100 by any part; its control gains 0.02; D6 stays."""
    rows = []
    for seed in seeds:
        for part, gain in GAINS.items():
            for subset in ("D5_CONS", "D6_CONS", "QA7_UNSEEN"):
                start = {"D5_CONS": 0.2, "D6_CONS": 0.1, "QA7_UNSEEN": 0.05}[subset]
                moved = gain + (seed / 100 if part != "none" else 0)
                value = start + (moved if subset == "D5_CONS" else 0)
                control = start + (0.02 if subset == "D5_CONS" and part != "none" else 0)
                rows.append(
                    {
                        "recipe": "alias-toy", "run_id": "a", "model": "m", "seed": seed,
                        "word_order": "tae", "stage": 1, "step": 9, "part": part, "from_stage": 2,
                        "from_step": 7, "to_stage": 1, "donor": donor, "subset": subset,
                        "exact_match": value, "answer_log_prob": 10 * value,
                        "control_exact_match": control, "control_answer_log_prob": 10 * control,
                        "n": 5,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def cell(summary: pd.DataFrame, **where: str) -> dict[str, float]:
    rows = summary.loc[(summary[list(where)] == list(where.values())).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0].to_dict()


def test_the_gap_is_paired_within_each_seed():
    summary = summarize_transplants(transplant_table())
    where = {"part": "embeddings", "subset": IML_GAP.gap, "metric": "exact_match"}
    found = cell(summary, **where, contrast="recipient")
    gaps = [0.1 + 0.3 + seed / 100 for seed in SEEDS]

    assert found["value"] == pytest.approx(np.mean(gaps))
    assert (found["value_low"], found["value_high"]) == pytest.approx(t_interval(gaps))
    assert found["control"] == pytest.approx(0.12)
    assert found["recipient"] == pytest.approx(0.1)
    assert found["donor_value"] == pytest.approx(0.1 + 0.525)
    assert (found["n"], found["n_seeds"]) == (4 * 10, 4)


def test_a_value_is_held_against_recipient_and_control():
    summary = summarize_transplants(transplant_table())
    where = {"part": "embeddings", "subset": IML_GAP.gap, "metric": "answer_log_prob"}
    for contrast, base in (("recipient", 0.0), ("control", 0.02)):
        found = cell(summary, **where, contrast=contrast)
        changes = [10 * (0.3 + seed / 100 - base) for seed in SEEDS]
        assert found["difference"] == pytest.approx(np.mean(changes))
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(t_interval(changes))
        assert found["p_value"] == sign_flip_p(changes)
        assert found["p_smallest"] == 0.125


def test_the_gap_is_corrected_over_the_grid_of_parts():
    table = transplant_table()
    # One seed of the MLPs falls, so that its changes are of mixed signs.
    falls = (table["part"] == "mlps") & (table["seed"] == 4) & (table["subset"] == "D5_CONS")
    table.loc[falls, "exact_match"] = 0.1
    gaps = summarize_transplants(table)
    gaps = gaps.loc[(gaps["subset"] == IML_GAP.gap) & (gaps["metric"] == "exact_match")]
    gaps = gaps.loc[gaps["contrast"] == "recipient"].set_index("part")

    changes = {
        "none": [0.0] * 4,
        "all": [0.5 + seed / 100 for seed in SEEDS],
        "embeddings": [0.3 + seed / 100 for seed in SEEDS],
        "mlps": [0.01, 0.02, 0.03, -0.1],
    }
    expected = max_sign_flip_p(np.array(list(changes.values())))
    assert gaps.loc[list(changes), "p_corrected"].tolist() == pytest.approx(expected.tolist())


def test_a_part_that_does_nothing_differs_by_nothing():
    found = cell(
        summarize_transplants(transplant_table()),
        part="none", subset=IML_GAP.gap, metric="exact_match", contrast="control",
    )  # fmt: skip
    assert (found["difference"], found["ci_low"], found["ci_high"]) == (0, 0, 0)
    assert found["p_corrected"] == 1


def test_donors_are_told_apart():
    both = pd.concat([transplant_table(), transplant_table((1, 2), donor="null")])
    summary = summarize_transplants(both)
    where = {"part": "all", "subset": IML_GAP.gap, "metric": "exact_match", "contrast": "recipient"}

    assert cell(summary, **where, donor="same")["donor_value"] == pytest.approx(0.625)
    assert cell(summary, **where, donor="null")["donor_value"] == pytest.approx(0.615)
    assert cell(summary, **where, donor="null")["n_seeds"] == 2


def test_every_subset_has_its_own_cell():
    summary = summarize_transplants(transplant_table())
    where = {"part": "all", "metric": "exact_match", "contrast": "recipient"}

    assert cell(summary, **where, subset="D6_CONS")["difference"] == 0
    assert cell(summary, **where, subset="D5_CONS")["difference"] == pytest.approx(0.525)
    assert len(summary) == len(GAINS) * 4 * 2 * 2
    assert not summary.isna().any(axis=None)


def test_what_is_lost_without_a_part_is_held_against_the_donor_and_a_random_change():
    table = transplant_table()
    lost = {"none": 0.0, "all": 0.525, "embeddings": 0.4, "mlps": 0.1}
    full = {"D5_CONS": 0.725, "D6_CONS": 0.1, "QA7_UNSEEN": 0.05}
    table["without_exact_match"] = [
        full[subset] - lost[part] * (subset == "D5_CONS") + (seed - 2.5) / 100
        for subset, part, seed in zip(table["subset"], table["part"], table["seed"], strict=True)
    ]
    table["without_control_exact_match"] = [full[subset] for subset in table["subset"]]
    for metric in ("without_answer_log_prob", "without_control_answer_log_prob"):
        table[metric] = 0.0

    summary = summarize_transplants(table)

    where = {"part": "embeddings", "subset": "D5_CONS", "metric": "exact_match"}
    found = cell(summary, **where, contrast="lost")
    wholes = [0.2 + 0.5 + seed / 100 for seed in SEEDS]
    losses = [
        0.725 - 0.4 + (seed - 2.5) / 100 - whole for seed, whole in zip(SEEDS, wholes, strict=True)
    ]
    assert found["difference"] == pytest.approx(np.mean(losses))
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(t_interval(losses))
    assert found["without"] == pytest.approx(0.325)
    against = cell(summary, **where, contrast="lost_control")
    assert against["difference"] == pytest.approx(-0.4)
    gap = cell(summary, **(where | {"subset": IML_GAP.gap}), contrast="lost")
    assert gap["without"] == pytest.approx(0.225)


def test_a_table_of_before_has_no_necessity():
    summary = summarize_transplants(transplant_table())
    assert set(summary["contrast"]) == {"recipient", "control"}
    assert "without" not in summary
