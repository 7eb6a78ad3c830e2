import math

import numpy as np
import pandas as pd
import pytest

from training.statistics import seed_means, t_interval
from training.variance_parts import (
    VarianceParts,
    sd_interval,
    seeds_for,
    seeds_needed,
    variance_parts,
)

UP, DOWN = "up", "down"


def drawn(
    rng: np.random.Generator,
    *,
    n_stage2: list[int],
    n_sets: int = 1,
    n_aliases: int = 6,
    mean: float = 1.0,
    stage1: float = 1.0,
    stage2: float = 1.0,
    aliases: float = 1.0,
    rest: float = 1.0,
    is_skewed: bool = False,
) -> pd.DataFrame:
    """Values of two subsets, the gap of which has parts of these standard deviations.

    Of several data sets at once the seeds of the second are numbered from 1000 on, and so on.
    """
    tables = []
    for seed, n in enumerate(n_stage2):
        shape = (n_sets, 2 * n_aliases, n)
        own = rng.normal(size=shape[:2])
        if is_skewed:
            own = rng.exponential(size=shape[:2]) - 1
        values = aliases * own[..., None] + rest * rng.normal(size=shape)
        gaps = mean + stage1 * rng.normal(size=(n_sets, 1)) + stage2 * rng.normal(size=(n_sets, n))
        values[:, :n_aliases] += gaps[:, None]
        sets, alias, stage2_seed = np.indices(shape).reshape(3, -1)
        tables.append(
            pd.DataFrame(
                {"seed": 1000 * sets + seed, "stage2_seed": stage2_seed, "alias": alias,
                 "subset": np.where(alias < n_aliases, UP, DOWN), "value": values.ravel()}
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def parts_of(values: pd.DataFrame) -> VarianceParts:
    return variance_parts(values, higher=UP, lower=DOWN)


def by_hand() -> pd.DataFrame:
    """Seed 0 has gaps 3 and 5, seed 1 gaps 0 and 2; of each side one alias."""
    rows = [(0, 0, 3.0, 0.0), (0, 1, 6.0, 1.0), (1, 0, 1.0, 1.0), (1, 1, 2.0, 0.0)]
    records = [
        {"seed": seed, "stage2_seed": stage2, "subset": side, "value": value}
        for seed, stage2, up, down in rows
        for side, value in ((UP, up), (DOWN, down))
    ]
    return pd.DataFrame(records)


def test_parts_are_those_worked_out_by_hand() -> None:
    found = parts_of(by_hand())
    # Within each seed the gaps differ by 2: variance 2. Means are 4 and 1: variance 4.5, of which
    # 2 / 2 is due to Stage-2 seeds.
    assert found.raw["stage2"] == pytest.approx(2.0)
    assert found.raw["stage1"] == pytest.approx(3.5)
    assert math.isnan(found.raw["aliases"])
    assert found.parts == pytest.approx({"stage1": 3.5, "stage2": 1.0})
    assert found.shares == pytest.approx({"stage1": 3.5 / 4.5, "stage2": 1 / 4.5})
    assert (found.n_seeds, found.n_stage2, found.n_aliases) == (2, 2.0, 0)


def test_aliases_of_one_training_are_those_worked_out_by_hand() -> None:
    rows = [(0, UP, "a", 4.0), (0, UP, "b", 6.0), (0, DOWN, "c", 1.0), (0, DOWN, "d", 1.0)]
    rows += [(1, UP, "a", 2.0), (1, UP, "b", 2.0), (1, DOWN, "c", 0.0), (1, DOWN, "d", 4.0)]
    table = pd.DataFrame(rows, columns=["seed", "subset", "alias", "value"])
    found = parts_of(table.assign(stage2_seed=0))
    # Variances of aliases are 2, 0; 0, 8, each over 2 aliases: gaps of a seed vary by 1 and by 4.
    assert found.raw["aliases"] == pytest.approx((1 + 4) / 2)
    # The gaps are 4 and 0: variance 8.
    assert found.raw["stage1"] == pytest.approx(8 - 2.5)
    assert math.isnan(found.raw["stage2"])
    assert math.isnan(found.raw["rest"])


def test_a_part_below_zero_counts_as_none_and_is_told_as_found() -> None:
    table = by_hand()
    table.loc[table["seed"] == 1, "value"] = [3.0, 0.0, 6.0, 1.0]  # two seeds alike: gaps 3 and 5
    found = parts_of(table)
    assert found.raw["stage1"] == pytest.approx(-1.0)
    assert found.parts["stage1"] == 0.0
    assert found.to_json()["raw"] == {
        "stage1": pytest.approx(-1.0), "stage2": pytest.approx(2.0), "aliases": None, "rest": None,
    }  # fmt: skip


def test_parts_that_were_drawn_are_found_on_average_with_unequal_numbers() -> None:
    rng = np.random.default_rng(0)
    found = [parts_of(drawn(rng, n_stage2=[1, 2, 4, 3] * 4, stage2=0.5)).raw for _ in range(12)]
    table = pd.DataFrame(found)
    drawn_parts = {"stage1": 1.0, "stage2": 0.25, "aliases": 2 / 6, "rest": 2 / 6}
    for name, value in drawn_parts.items():
        each = table[name].to_numpy()
        error = float(each.std(ddof=1)) / math.sqrt(len(each))
        assert abs(each.mean() - value) < 4 * error, name
        assert 4 * error < value, name  # a part that is left out, or counted twice, is noticed


def test_an_alias_that_lacks_a_stage_2_seed_is_refused() -> None:
    table = drawn(np.random.default_rng(0), n_stage2=[2, 2]).iloc[1:]
    with pytest.raises(ValueError, match=f"seed 0 lacks a value of {UP}"):
        parts_of(table)


def test_one_seed_has_no_variance() -> None:
    with pytest.raises(ValueError, match="1 Stage-1 seeds have no variance"):
        parts_of(drawn(np.random.default_rng(0), n_stage2=[2]))


# --- how many seeds -------------------------------------------------------------------------


@pytest.mark.parametrize("half_width", [3.0, 1.0, 0.5, 0.1])
def test_the_number_of_seeds_is_the_first_whose_interval_is_narrow_enough(
    half_width: float,
) -> None:
    from scipy.stats import t

    n = np.arange(2, 4000)
    widths = t.ppf(0.975, n - 1) * 2.0 / np.sqrt(n)
    assert seeds_needed(2.0, half_width) == n[widths <= half_width][0]


def test_seeds_needed_refuses_what_cannot_be_reached() -> None:
    with pytest.raises(ValueError, match="more than 100,000 seeds"):
        seeds_needed(1.0, 1e-6)
    with pytest.raises(ValueError, match="half_width 0"):
        seeds_needed(1.0, 0.0)


def test_seeds_still_needed_count_those_that_are_there() -> None:
    per_seed = {seed: float(value) for seed, value in enumerate([0, 1, 2, 3])}
    found = seeds_for(per_seed, half_width=0.5)
    low, high = t_interval(list(per_seed.values()))
    assert found.half_width_now == pytest.approx((high - low) / 2)
    assert found.n_needed == seeds_needed(math.sqrt(5 / 3), 0.5) > 4
    assert found.n_still == found.n_needed - 4
    assert found.at_most > found.n_needed
    assert seeds_for(per_seed, half_width=100.0).n_still == 0


def test_the_interval_of_a_standard_deviation_is_the_chi_square_one() -> None:
    # sd 1 of 3 values: sqrt(2 / 7.3778) to sqrt(2 / 0.050636)
    assert sd_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((0.52066, 6.28473), rel=1e-4)


# --- coverage -------------------------------------------------------------------------------

NESTED = {
    "one Stage-2 seed": {"n_stage2": [1] * 8},
    "three Stage-2 seeds": {"n_stage2": [3] * 8},
    "few seeds": {"n_stage2": [2] * 5},
    "unequal numbers": {"n_stage2": [1, 4, 2, 1, 3, 2, 4, 1]},
    "Stage 2 alone": {"n_stage2": [3] * 8, "stage1": 0.0, "stage2": 2.0},
    "aliases alone": {"n_stage2": [2] * 8, "stage1": 0.0, "stage2": 0.0, "aliases": 3.0},
    "skewed aliases": {"n_stage2": [2] * 8, "stage1": 0.0, "aliases": 3.0, "is_skewed": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NESTED)
def test_intervals_under_nested_seeds_cover_the_mean_in_93_to_97_percent(case: str) -> None:
    rng = np.random.default_rng(list(NESTED).index(case))
    values = drawn(rng, n_sets=4000, **{"n_aliases": 4, **NESTED[case]})
    sides = {
        side: values.loc[values["subset"] == side].drop(columns="subset") for side in (UP, DOWN)
    }
    by = ("stage2_seed", "alias")
    gaps = seed_means(sides[UP], "value", by=by) - seed_means(sides[DOWN], "value", by=by)
    # As if each Stage-2 training had a Stage 1 of its own: what the nesting is for.
    cells = [each.groupby(["seed", "stage2_seed"])["value"].mean() for each in sides.values()]
    apart = (cells[0] - cells[1]).reset_index(level="stage2_seed", drop=True)
    nested, flat = (
        np.mean([low <= 1 <= high for low, high in map(t_interval, by_set(each))])
        for each in (gaps, apart)
    )
    print(f"{case}: nested {nested:.4f}, Stage-2 trainings as if apart {flat:.4f}")
    assert 0.93 <= nested <= 0.97  # the standard error of a share is .0034
    if case == "three Stage-2 seeds":
        assert flat < 0.90


def by_set(values: pd.Series) -> list[np.ndarray]:
    """The values of each data set."""
    sets = values.index.to_numpy() // 1000
    return [values.to_numpy()[sets == each] for each in np.unique(sets)]
