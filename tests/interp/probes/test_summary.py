import math

import numpy as np
import pandas as pd
import pytest

from interp.probes.power import min_detectable
from interp.probes.summary import CELL, summarize_probes
from training.columns import WITHOUT_SEED
from training.statistics import max_sign_flip_p, t_interval


def probe_rows(
    above: np.ndarray, *, run_id: str = "run", word_order: str = "tae", targets: tuple[str, ...]
) -> pd.DataFrame:
    """One cell for each row of `above`, one seed for each column; the null accuracy is .5."""
    records = [
        {
            "recipe": "toy",
            "run_id": run_id,
            "model": "none",
            "seed": 1000 + seed,
            "word_order": word_order,
            "stage": 1,
            "step": 7,
            "target": targets[cell],
            "site": "resid_post",
            "layer": cell,
            "role": "alias_last",
            "probe": "logistic",
            "accuracy": 0.5 + value,
            "null_accuracy": 0.5,
            "p_value": 0.5,
            "seen_accuracy": 0.9,
            "control_accuracy": 0.6,
            "selectivity": 0.3,
            "chance": 0.4,  # not 0.5, for which the detectable accuracy would be simulated
            "twin_accuracy": math.nan,
            "n_train": 32,
            "n_test": 8,
            "n_folds": 5,
            "n_divisions": 1,
            "n_read": 40,
            "width": 4,
        }
        for (cell, seed), value in np.ndenumerate(above)
    ]
    return pd.DataFrame(records)


ABOVE = np.array([[0.3, 0.4, 0.5, 0.3, 0.4, 0.5], [0.1, -0.1, 0.0, 0.05, -0.02, 0.03]])


def test_a_cell_is_summarised_over_seeds():
    summary = summarize_probes(probe_rows(ABOVE, targets=("tag", "tag")))
    first = summary.iloc[0]

    assert list(summary.columns[: len(WITHOUT_SEED) + len(CELL)]) == [*WITHOUT_SEED, *CELL]
    assert len(summary) == 2
    assert first["accuracy"] == pytest.approx(0.9)
    # sd = sqrt(.04 / 5), t(5, .975) = 2.570582
    assert first["ci_low"] == pytest.approx(0.9 - 2.570582 * math.sqrt(0.04 / 5 / 6))
    assert first["ci_high"] == pytest.approx(0.9 + 2.570582 * math.sqrt(0.04 / 5 / 6))
    assert first["p_value"] == 2 / 2**6
    assert first["p_smallest"] == 2 / 2**6
    assert first["n_seeds"] == 6
    assert first["selectivity"] == pytest.approx(0.3)


def test_the_correction_covers_the_whole_grid():
    summary = summarize_probes(probe_rows(ABOVE, targets=("tag", "tag")))

    assert summary["p_corrected"].to_numpy() == pytest.approx(max_sign_flip_p(ABOVE))


def test_the_correction_covers_several_runs():
    other = np.random.default_rng(0).normal(size=(3, 6)) / 10
    tables = [
        probe_rows(ABOVE, targets=("tag", "tag")),
        probe_rows(other, run_id="run2", word_order="ate", targets=("tag",) * 3),
    ]
    summary = summarize_probes(pd.concat(tables, ignore_index=True))
    alone = summarize_probes(tables[1])
    expected = max_sign_flip_p(np.concatenate([ABOVE, other]))

    assert list(summary["run_id"]) == ["run"] * 2 + ["run2"] * 3
    assert summary["p_corrected"].to_numpy() == pytest.approx(expected)
    assert (summary["p_corrected"].to_numpy()[2:] >= alone["p_corrected"].to_numpy()).all()


def test_the_planted_control_does_not_count_in_the_correction_of_the_others():
    planted = np.full((1, 6), 0.4)
    targets = ("tag", "tag", "planted_tag")
    summary = summarize_probes(probe_rows(np.concatenate([ABOVE, planted]), targets=targets))
    p_corrected = summary.sort_values("layer")["p_corrected"].tolist()

    assert p_corrected[:2] == pytest.approx(max_sign_flip_p(ABOVE).tolist())
    assert p_corrected[2] == 2 / 2**6


def test_a_cell_that_lacks_seeds_is_corrected_and_counts_with_those_it_has():
    table = probe_rows(ABOVE, targets=("tag", "defined"))
    summary = summarize_probes(table.loc[(table["target"] == "tag") | (table["seed"] < 1004)])
    defined, tag = summary.to_dict("records")
    filled = ABOVE * [[1] * 6, [1] * 4 + [0] * 2]

    assert (tag["n_seeds"], defined["n_seeds"]) == (6, 4)
    assert tag["p_value"] == 2 / 2**6
    assert defined["p_value"] > tag["p_value"]
    assert [tag["p_corrected"], defined["p_corrected"]] == pytest.approx(
        max_sign_flip_p(filled).tolist()
    )


def test_a_cell_below_its_null_is_no_reading_above_it():
    summary = summarize_probes(probe_rows(-ABOVE[:1], targets=("tag",)))

    assert summary["accuracy"].iloc[0] == pytest.approx(0.1)
    assert summary["p_value"].iloc[0] == 2 / 2**6  # two-sided: the sign is in the accuracy


def test_what_a_cell_could_detect_follows_from_its_design_and_the_scatter_of_its_seeds():
    rows = probe_rows(ABOVE, targets=("tag", "tag")).assign(chance=0.5)
    # Of the target's two cells: variances over seeds .008 and .00464, mean .00632.
    expected = min_detectable(sd=math.sqrt(0.00632), n_train=32, width=4, n_seeds=6, n_cells=2)

    assert summarize_probes(rows)["min_detectable"].tolist() == pytest.approx([expected] * 2)


def test_seeds_do_not_scatter_less_than_coin_flips():
    rows = probe_rows(np.full((1, 6), 0.5), targets=("tag",)).assign(chance=0.5, n_read=100)
    expected = min_detectable(sd=0.05, n_train=32, width=4, n_seeds=6, n_cells=1)

    assert summarize_probes(rows)["min_detectable"].tolist() == pytest.approx([expected])


def test_a_tag_is_held_against_the_null_twin_seed_by_seed():
    twin = np.array([0.85, 0.8, 0.9, 0.7, 0.85, 0.9])
    rows = probe_rows(ABOVE, targets=("tag", "tag"))
    rows.loc[rows["layer"] == 0, "twin_accuracy"] = twin
    first, second = summarize_probes(rows).to_dict("records")
    above = ABOVE[0] + 0.5 - twin

    assert first["twin_accuracy"] == pytest.approx(twin.mean())
    assert first["minus_twin"] == pytest.approx(above.mean())
    assert (first["minus_twin_low"], first["minus_twin_high"]) == pytest.approx(t_interval(above))
    assert first["p_twin_corrected"] == pytest.approx(max_sign_flip_p(above[None])[0])
    assert np.isnan(
        [second["twin_accuracy"], second["minus_twin"], second["p_twin_corrected"]]
    ).all()


def test_targets_of_several_classes_have_no_detectable_bayes_accuracy():
    table = probe_rows(ABOVE, targets=("entity", "entity")).assign(chance=0.1)

    assert np.isnan(summarize_probes(table)["min_detectable"].to_numpy()).all()
