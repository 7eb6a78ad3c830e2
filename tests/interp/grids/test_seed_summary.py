import itertools
import math

import numpy as np
import pandas as pd
import pytest

from interp.grids.seed_summary import summarize_over_seeds
from training.columns import WITHOUT_SEED

RUN = {
    "recipe": "alias-toy",
    "run_id": "run",
    "model": "tiny",
    "word_order": "tae",
    "stage": 1,
    "step": 9,
}
T_95 = {1: 12.7062, 2: 4.3027, 3: 3.1824}
"""Student's t at 97.5% by degrees of freedom, from a printed table."""


def rows(cell: str, values: dict[int, float], **changes: object) -> list[dict[str, object]]:
    return [
        {**RUN, **changes, "seed": seed, "cell": cell, "value": value, "other": 10.0 * seed, "n": 5}
        for seed, value in values.items()
    ]


def summary(*parts: list[dict[str, object]], means: tuple[str, ...] = ("other",)) -> pd.DataFrame:
    table = pd.DataFrame(list(itertools.chain(*parts)))
    return summarize_over_seeds(table, cell=["cell"], means=means, tested="value")


def corrected_by_hand(cells: list[list[float]]) -> list[float]:
    """Share of joint sign flips in which some cell is as far from 0, by |t|, as each cell is."""

    def t(values: list[float]) -> float:
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
        if spread > 1e-12:
            return abs(mean) / spread
        return math.inf if abs(mean) > 1e-12 else 0.0

    n_seeds = len(cells[0])
    flips = list(itertools.product([1, -1], repeat=n_seeds))
    largest = [max(t(list(np.multiply(cell, signs))) for cell in cells) for signs in flips]
    return [sum(top >= t(cell) * (1 - 1e-9) for top in largest) / len(flips) for cell in cells]


def test_one_cell_has_the_numbers_of_a_calculation_by_hand():
    found = summary(rows("a", {0: 1.0, 1: 2.0, 2: 3.0}))

    assert len(found) == 1
    row = found.iloc[0]
    half = T_95[2] * 1.0 / math.sqrt(3)
    assert row["difference"] == 2.0
    assert row["ci_low"] == pytest.approx(2 - half, abs=1e-4)
    assert row["ci_high"] == pytest.approx(2 + half, abs=1e-4)
    assert row["p_value"] == 2 / 8  # + + + and - - - alone reach a mean of 2
    assert row["p_corrected"] == 2 / 8
    assert row["p_smallest"] == 2 / 8
    assert row["other"] == 10.0
    assert (row["n"], row["n_seeds"]) == (15, 3)


def test_the_columns_are_run_cell_means_and_statistics():
    found = summary(rows("a", {0: 1.0, 1: 2.0}))

    assert list(found.columns) == [
        *WITHOUT_SEED, "cell", "other", "difference", "ci_low", "ci_high", "p_value", "p_corrected",
        "p_smallest", "n", "n_seeds",
    ]  # fmt: skip
    assert found[WITHOUT_SEED].iloc[0].to_dict() == RUN
    table = pd.DataFrame(rows("a", {0: 1.0, 1: 2.0})).drop(columns="n")
    assert "n" not in summarize_over_seeds(table, cell=["cell"], means=[], tested="value")


def test_signs_that_differ_give_the_p_value_of_all_flips():
    found = summary(rows("a", {0: 4.0, 1: 3.0, 2: -1.0, 3: 2.0})).iloc[0]

    # |sum| is 8; of 16 flips it is reached by ++++ (10), ++-+ (8) and their opposites.
    assert found["p_value"] == 4 / 16
    assert found["difference"] == 2.0


def test_p_values_are_corrected_for_all_cells():
    cells = {
        "a": [1.0, 1.1, 0.9, 1.05, 0.95],
        "b": [0.5, -0.2, 0.4, 0.1, 0.3],
        "c": [-2.0, 1.0, 3.0, -1.0, 0.2],
    }
    found = summary(*(rows(name, dict(enumerate(values))) for name, values in cells.items()))

    assert found["cell"].tolist() == ["a", "b", "c"]
    expected = corrected_by_hand(list(cells.values()))
    assert found["p_corrected"].tolist() == pytest.approx(expected)
    assert found["p_corrected"].tolist()[0] == 2 / 32
    assert (found["p_corrected"].to_numpy() >= found["p_value"].to_numpy()).all()
    assert found["p_corrected"].tolist()[1] > found["p_value"].tolist()[1]


def test_the_correction_covers_every_run_and_checkpoint_that_is_given():
    a, b = [1.0, 1.4, -0.3, 0.6], [2.0, -0.1, -0.4, 1.1]
    alone = summary(rows("a", dict(enumerate(a))))["p_corrected"].item()
    for other in ({"run_id": "twin"}, {"step": 10}, {"stage": 2}):
        found = summary(rows("a", dict(enumerate(a))), rows("a", dict(enumerate(b)), **other))
        assert found["p_corrected"].tolist() == pytest.approx(corrected_by_hand([a, b]))
        assert found["p_corrected"].tolist()[0] > alone


def test_a_cell_that_lacks_a_seed_counts_with_its_others():
    found = summary(rows("a", {0: 1.0, 1: 2.0, 2: 3.0, 3: 2.5}), rows("b", {1: 2.0, 3: 4.0}))
    b = found.set_index("cell").loc["b"]

    half = T_95[1] * math.sqrt(2) / math.sqrt(2)
    assert b["difference"] == 3.0
    assert b["ci_low"] == pytest.approx(3 - half, abs=1e-3)
    assert (b["p_value"], b["p_smallest"]) == (0.5, 0.5)
    assert (b["n"], b["n_seeds"]) == (10, 2)
    assert b["other"] == 20.0
    assert b["p_corrected"] >= b["p_value"]


def test_a_seed_is_flipped_in_all_cells_at_once_whichever_a_cell_lacks():
    """What a cell lacks is 0 under each flip, at its seed's place."""
    a = [1.0, -0.4, 1.4, -0.9]
    found = summary(rows("a", dict(enumerate(a))), rows("b", {2: 2.0, 3: -1.5}))

    expected = corrected_by_hand([a, [0.0, 0.0, 2.0, -1.5]])
    assert found["p_corrected"].tolist() == pytest.approx(expected)
    assert expected != corrected_by_hand([a, [2.0, -1.5, 0.0, 0.0]]), "the place says nothing"


def test_seeds_may_come_in_any_order():
    ordered = [*rows("a", {0: 1.0, 1: -2.0, 2: 3.0}), *rows("b", {0: 0.5, 1: 0.1, 2: -3.0})]

    pd.testing.assert_frame_equal(summary(ordered[::-1]), summary(ordered))


def test_one_seed_has_no_interval_and_says_nothing():
    row = summary(rows("a", {1003: 5.0})).iloc[0]

    assert row["difference"] == 5.0
    assert math.isnan(row["ci_low"])
    assert math.isnan(row["ci_high"])
    assert (row["p_value"], row["p_corrected"], row["p_smallest"]) == (1.0, 1.0, 1.0)
    assert row["n_seeds"] == 1


def test_a_mean_leaves_out_what_is_missing():
    table = pd.DataFrame(rows("a", {0: 1.0, 1: 2.0, 2: 3.0})).assign(control=[np.nan, 1.0, 2.0])

    found = summarize_over_seeds(table, cell=["cell"], means=["control"], tested="value")

    assert found["control"].item() == 1.5
    assert found["difference"].item() == 2.0


def test_a_seed_that_tells_nothing_counts_in_the_means_alone():
    told = {0: 1.0, 1: np.nan, 2: 3.0, 3: 2.5}
    found = summary(rows("a", told), rows("b", {0: 4.0, 1: -3.0, 2: 1.0, 3: 2.0})).iloc[0]
    without = summary(rows("a", {0: 1.0, 2: 3.0, 3: 2.5})).iloc[0]

    for name in ("difference", "ci_low", "ci_high", "p_value", "p_smallest", "n_seeds"):
        assert found[name] == without[name]
    assert (found["other"], found["n"], found["n_seeds"]) == (15.0, 20, 3)
    assert found["p_corrected"] >= found["p_value"]


def test_a_cell_that_no_seed_tells_has_no_p_value_and_raises_no_other():
    a = rows("a", {0: 1.0, 1: 2.0, 2: -1.0})
    both = summary(a, rows("b", dict.fromkeys(range(3), np.nan)))

    pd.testing.assert_frame_equal(both.iloc[:1], summary(a), check_dtype=False)
    row = both.iloc[1]
    names = ["difference", "ci_low", "ci_high", "p_value", "p_corrected", "p_smallest"]
    assert row[names].isna().tolist() == [True] * 6
    assert (row["other"], row["n_seeds"]) == (10.0, 0)


def test_where_nothing_happens_nothing_is_found():
    row = summary(rows("a", dict.fromkeys(range(8), 0.0))).iloc[0]

    assert (row["difference"], row["ci_low"], row["ci_high"]) == (0.0, 0.0, 0.0)
    assert (row["p_value"], row["p_corrected"]) == (1.0, 1.0)
    assert row["p_smallest"] == 2 / 256


def test_equal_effects_in_all_seeds_are_told_with_the_least_p():
    cells = [rows("a", dict.fromkeys(range(8), 0.3)), rows("b", dict.fromkeys(range(8), 0.0))]
    found = summary(*cells).set_index("cell")

    assert found.loc["a", "p_corrected"] == 2 / 256
    assert found.loc["b", "p_corrected"] == 1.0


def test_a_cell_without_a_value_of_a_coordinate_is_a_cell_of_its_own():
    found = summary(rows("a", {0: 1.0, 1: 2.0}), rows(None, {0: 3.0, 1: 5.0}))  # pyright: ignore[reportArgumentType]

    assert found["difference"].tolist() == [1.5, 4.0]
    assert found["cell"].isna().tolist() == [False, True]
