import numpy as np
import pandas as pd
import pytest

from interp.codes.estimation import RELIABLE
from interp.codes.summary import SET, detectable_share, ratio_interval, summarize_codes
from tests.interp.codes.hand_made_tables import COMPARED, codes_table
from training.statistics import detectable_mean

GAPS = np.array([2.0, 4.0, 3.0, 3.0])


def share(summary: pd.DataFrame, edit: str, code: str = RELIABLE) -> dict[str, float]:
    where = {"quantity": "share", "edit": edit, "code": code, "subset": COMPARED}
    rows = summary.loc[(summary[list(where)] == list(where.values())).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0].to_dict()


def test_a_share_is_a_ratio_of_seed_means_and_half_of_it_where_the_gap_is_to_turn_round():
    table = codes_table(tuple(GAPS))
    is_first = (table["seed"] == 0) & (table["edit"] == "equal") & (table["quantity"] == "gap")
    table.loc[is_first & (table["code"] == RELIABLE), "value"] = 2.0  # here nothing is explained
    summary = summarize_codes(table)

    left = 0.25 * GAPS
    assert share(summary, "lower")["value"] == pytest.approx(0.75)
    assert share(summary, "exchange")["value"] == pytest.approx(0.75)
    assert share(summary, "equal")["value"] == pytest.approx(1 - (2.0 + left[1:].sum()) / 12)
    # The mean of the four settings, of which one explains less.
    assert share(summary, SET)["value"] == pytest.approx((3 * 0.75 + (7.5 / 12)) / 4)
    assert share(summary, "lower", code="question")["value"] == pytest.approx(0.0)


def test_a_share_counts_only_off_floor_and_ceiling_and_where_every_null_leaves_the_gap():
    assert share(summarize_codes(codes_table()), SET)["counts"] == 1
    at_floor = summarize_codes(codes_table(answered=-3.7))
    assert share(at_floor, SET)["counts"] == 0
    for kind in ("random", "tag"):
        taken = summarize_codes(codes_table(taken_by={kind: 0.3}))
        assert share(taken, SET)["counts"] == 0
        assert share(taken, SET)[f"null_{kind}"] == pytest.approx(0.3)


def test_a_share_without_any_null_does_not_count():
    table = codes_table()
    nulls = [name for name in table.columns if name.startswith("null_")]
    is_beside = table["edit"] == "beside"
    table.loc[is_beside, [*nulls, "control"]] = np.nan
    summary = summarize_codes(table)
    assert share(summary, "beside")["counts"] == 0
    assert share(summary, "span")["counts"] == 1


def test_a_share_is_tested_against_its_nulls():
    found = share(
        summarize_codes(codes_table(taken_by=dict.fromkeys(("other", "random"), 0.3))), SET
    )
    assert found["control"] == pytest.approx(0.2)  # of three kinds that are drawn, one takes none
    assert found["difference"] == pytest.approx(0.75 - 0.2)
    assert found["p_value"] == pytest.approx(2 / 2**4)


def test_without_a_gap_there_is_no_share():
    summary = summarize_codes(codes_table((0.02, -0.05, 0.01, 0.0)))
    assert "share" not in set(summary["quantity"])


def test_the_bootstrap_draws_seeds_with_both_their_numbers():
    above, below = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    assert ratio_interval(above, below) == pytest.approx((0.5, 0.5))
    low, high = ratio_interval(np.array([0.0, 1.0, 2.0]), np.ones(3))
    assert low == pytest.approx(0.0)
    assert high == pytest.approx(2.0)
    assert np.isnan(ratio_interval(above[:1], below[:1])).all()


def test_a_detectable_share_is_that_of_the_scatter_about_the_ratio():
    above, below = np.array([0.9, 0.5, 0.3, 0.3]), np.array([1.2, 0.8, 1.0, 1.0])
    off = above - 0.5 * below  # the ratio of means is one half
    assert detectable_share(above, below) == pytest.approx(detectable_mean(off.std(ddof=1), 4))
    assert detectable_share(below / 2, below) == pytest.approx(0.0)  # every seed shows the same
    assert np.isnan(detectable_share(above[:1], below[:1]))
    table = summarize_codes(codes_table(tuple(GAPS[:2])))
    assert set(table.loc[table["detectable"].notna(), "quantity"]) == {"share"}
    assert table.loc[table["quantity"] == "share", "detectable"].notna().all()
