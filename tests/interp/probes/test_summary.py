import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from interp.probes.cross_validation import QUICK_INVERSE_PENALTY, grouped_folds, held_out_accuracy
from interp.probes.summary import CELL, RUN, min_detectable, summarize_probes
from training.statistics import max_sign_flip_p


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
            "n_train": 32,
            "n_test": 8,
            "width": 4,
        }
        for (cell, seed), value in np.ndenumerate(above)
    ]
    return pd.DataFrame(records)


ABOVE = np.array([[0.3, 0.4, 0.5, 0.3, 0.4, 0.5], [0.1, -0.1, 0.0, 0.05, -0.02, 0.03]])


def test_a_cell_is_summarised_over_seeds():
    summary = summarize_probes(probe_rows(ABOVE, targets=("tag", "tag")))
    first = summary.iloc[0]

    assert list(summary.columns[: len(RUN) + len(CELL)]) == [*RUN, *CELL]
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


def test_what_a_cell_could_detect_follows_from_its_design():
    summary = summarize_probes(probe_rows(ABOVE, targets=("tag", "tag")).assign(chance=0.5))
    expected = min_detectable(n_aliases=40, width=4, n_seeds=6, n_cells=2)

    assert set(summary["min_detectable"]) == {expected}


def test_targets_of_several_classes_have_no_detectable_bayes_accuracy():
    table = probe_rows(ABOVE, targets=("entity", "entity")).assign(chance=0.1)

    assert np.isnan(summarize_probes(table)["min_detectable"].to_numpy()).all()


def test_too_few_seeds_detect_nothing():
    assert math.isnan(min_detectable(n_aliases=100, width=4, n_seeds=5, n_cells=1))


@pytest.mark.slow
def test_more_aliases_and_more_seeds_detect_more_and_more_cells_less():
    def detectable(n_aliases: int = 60, n_seeds: int = 8, n_cells: int = 8) -> float:
        return min_detectable(n_aliases=n_aliases, width=4, n_seeds=n_seeds, n_cells=n_cells)

    assert 0.5 < detectable(n_aliases=120) < detectable() < 1
    assert 0.5 < detectable(n_seeds=12) < detectable()
    assert 0.5 < detectable(n_cells=1) < detectable()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_aliases", "width", "n_seeds", "n_cells"),
    [(100, 8, 8, 16), (200, 16, 8, 16), (120, 32, 10, 32)],
)
def test_what_is_called_detectable_is_found_nine_times_in_ten(
    n_aliases: int, width: int, n_seeds: int, n_cells: int
):
    bayes = min_detectable(n_aliases=n_aliases, width=width, n_seeds=n_seeds, n_cells=n_cells)
    rng = np.random.default_rng(5)
    labels = np.arange(n_aliases) % 2

    def read(truth: float, times: int) -> np.ndarray:
        read = []
        for _ in range(times):
            features = rng.normal(size=(n_aliases, width))
            features[:, 0] += (2 * labels - 1) * ndtri(truth)
            folds = grouped_folds(np.arange(n_aliases), labels, rng=rng)
            accuracy = held_out_accuracy(
                features,
                labels[:, None],
                folds,
                probe="logistic",
                n_classes=2,
                inverse_penalties=(QUICK_INVERSE_PENALTY,),
            )
            read.append(accuracy[0] - 0.5)
        return np.array(read)

    real, null = read(bayes, 2500), read(0.5, 1000)
    found = []
    for _ in range(2000):
        grid = rng.choice(null, size=(n_cells, n_seeds))
        grid[0] = rng.choice(real, size=n_seeds)
        found.append(max_sign_flip_p(grid)[0] <= 0.05 and grid[0].mean() > 0)
    print(f"{bayes:.3f} is found in {np.mean(found):.3f}")

    assert np.mean(found) == pytest.approx(0.9, abs=0.06)
