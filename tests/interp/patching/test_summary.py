import warnings

import numpy as np
import pandas as pd
import pytest

from interp.patching.analysis import summarize_patching
from interp.patching.kept import is_counted
from interp.patching.summary import attribution_correlation

# ---- over seeds ------------------------------------------------------------------------------


def seed_rows(effects: list[float], controls: list[float], **cell: object) -> pd.DataFrame:
    common: dict[str, object] = {
        "recipe": "alias-toy", "run_id": "r", "model": "m", "word_order": "tae", "stage": 1,
        "step": 9, "pair_kind": "alias", "subset": "D1_CONS_QA1", "site": "z", "layer": 0,
        "head": 0, "role": "alias_last", "direction": "denoise", "metric": "logit_diff",
    }  # fmt: skip
    return pd.DataFrame(
        {
            **(common | cell),
            "seed": seed,
            "effect": effect,
            "attribution": 2 * effect,
            "control": control,
            "n": 10 + seed,
            "dropped": 0.1 * seed,
        }
        for seed, (effect, control) in enumerate(zip(effects, controls, strict=True))
    )


def test_what_is_tested_over_seeds_is_the_effect_minus_its_control():
    row = summarize_patching(seed_rows([1.5, 2.5, 3.5], [0.5, 0.5, 0.5])).iloc[0]

    assert (row["effect"], row["attribution"], row["control"]) == (2.5, 5.0, 0.5)
    assert row["difference"] == 2.0
    assert row["ci_low"] == pytest.approx(-0.4841, abs=1e-4)  # 2 - 4.3027 / sqrt(3)
    assert row["ci_high"] == pytest.approx(4.4841, abs=1e-4)
    assert (row["p_value"], row["p_corrected"], row["p_smallest"]) == (0.25, 0.25, 0.25)
    assert (row["n"], row["n_seeds"]) == (33, 3)
    assert row["dropped"] == pytest.approx(0.1)


def test_seeds_without_a_control_are_not_tested():
    some = summarize_patching(seed_rows([1.0, 7.0, 3.0], [0.0, np.nan, 0.0])).iloc[0]
    none = summarize_patching(seed_rows([1.0, 2.0, 3.0], [np.nan] * 3)).iloc[0]

    assert (some["difference"], some["p_value"], some["n_seeds"]) == (2.0, 0.5, 2)
    assert (none["effect"], none["n_seeds"]) == (2.0, 0)
    untold = none[["control", "difference", "ci_low", "ci_high", "p_value", "p_corrected"]]
    assert untold.isna().tolist() == [True] * 6


def test_the_correlation_is_that_of_each_grid():
    cells = [(1.0, 1.0), (2.0, 1.5), (3.0, 2.0)]
    first = pd.concat([seed_rows([e], [0.0], layer=i).assign(attribution=a)
                       for i, (e, a) in enumerate(cells)])  # fmt: skip
    second = first.assign(seed=1, attribution=[3.0, 2.0, 2.5])
    equal = first.assign(seed=2, attribution=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attribution_correlation(pd.concat([first, second, equal, equal[:1].assign(seed=3)]))

    assert found["seed"].tolist() == [0, 1, 2, 3]
    assert found["n_cells"].tolist() == [3, 3, 3, 1]
    assert found["correlation"].tolist()[:2] == pytest.approx([1.0, -0.5])
    assert found["correlation"].isna().tolist() == [False, False, True, True]
    # By hand: the attribution rises by 1/2 for each 1; errors 0, 1/2, 1 and 2, 0, 1/2.
    assert found["slope"].tolist()[:3] == pytest.approx([0.5, -0.25, 0.0])
    assert found["mean_error"].tolist()[:2] == pytest.approx([0.5, 2.5 / 3])


# ---- tags ------------------------------------------------------------------------------------


def test_what_is_tested_of_tags_is_the_other_tag_minus_the_own_one():
    rows = seed_rows([0.9, 0.9], [0.5, 0.5], pair_kind="tag")
    rows = rows.assign(other_tag=[0.75, 0.85], gap=[2.0, 4.0])

    row = summarize_patching(rows).iloc[0]

    assert row["difference"] == pytest.approx(0.3)
    assert (row["effect"], row["other_tag"], row["gap"]) == (0.9, 0.8, 3.0)


# ---- few pairs -------------------------------------------------------------------------------


def test_a_seed_of_too_few_pairs_counts_in_no_mean_test_or_n():
    """Kept of 100: 38, 2, 52, 17, 33; the second seed is off by far."""
    kept = [38, 2, 52, 17, 33]
    rows = seed_rows([0.8, -9.0, 0.9, 1.0, 0.7], [0.1, 5.0, 0.1, 0.1, 0.1])
    rows = rows.assign(n=kept, dropped=[1 - n / 100 for n in kept])

    row = summarize_patching(rows).iloc[0]
    without = summarize_patching(rows.loc[rows["seed"] != 1]).iloc[0]

    assert (row["effect"], row["control"]) == (pytest.approx(0.85), pytest.approx(0.1))
    assert (row["n"], row["n_seeds"]) == (140, 4)
    for name in ("difference", "ci_low", "ci_high", "p_value", "p_corrected", "p_smallest"):
        assert row[name] == pytest.approx(without[name])
    assert row["dropped"] == pytest.approx(1 - sum(kept) / 500)
    assert row["kept_by_seed"] == (
        "kept by seed 38, 52, 17, 33 of 100 pairs; left out for fewer than 10: 2 (seed 1)"
    )


@pytest.mark.parametrize(
    ("kept", "made", "expected"), [(10, 100, True), (9, 100, False), (2, 4, True), (1, 4, False)]
)
def test_enough_pairs_are_10_or_half_of_few(kept: int, made: int, expected: bool):
    rows = seed_rows([1.0], [0.0]).assign(n=kept, dropped=1 - kept / made)
    assert is_counted(rows).tolist() == [expected]


def test_where_every_seed_has_too_few_pairs_nothing_is_said_over_seeds():
    rows = seed_rows([0.8, 0.9], [0.1, 0.1]).assign(n=2, dropped=0.98)
    row = summarize_patching(rows).iloc[0]

    assert (row["n"], row["n_seeds"]) == (0, 0)
    assert row[["effect", "control", "difference", "p_value"]].isna().all()


def test_tables_of_before_are_summarized_without_the_newer_columns():
    rows = seed_rows([0.8, 0.9], [0.1, 0.1])
    assert {"other_tag", "gap"}.isdisjoint(rows.columns)
    assert summarize_patching(rows)["difference"].item() == pytest.approx(0.75)


def test_a_seed_that_answers_no_pair_has_dropped_all_of_them():
    """It has no rows of the subset: two of four seeds keep 60 and 2 of 100 pairs of it."""
    d5 = seed_rows([0.8] * 4, [0.1] * 4, subset="D5_CONS").assign(n=50, dropped=0.5)
    d6 = seed_rows([0.8] * 2, [0.1] * 2, subset="D6_CONS")
    d6 = d6.assign(n=[60, 2], dropped=[0.4, 0.98])

    summary = summarize_patching(pd.concat([d5, d6]))

    found = dict(zip(summary["subset"], summary["dropped"], strict=True))
    assert found == pytest.approx({"D5_CONS": 0.5, "D6_CONS": (0.4 + 0.98 + 1 + 1) / 4})
    words = dict(zip(summary["subset"], summary["kept_by_seed"], strict=True))
    assert "0 (seed 2), 0 (seed 3)" in words["D6_CONS"]
