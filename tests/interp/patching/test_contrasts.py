import pandas as pd
import pytest

from data.errors import InputError
from interp.patching.contrasts import have_common_seeds, patch_contrast, strongest_heads, tag_gaps
from tests.interp.patching.hand_made_tables import D5, D6, patching_table
from training.statistics import t_interval


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return patching_table()


def test_the_contrast_pairs_effects_by_seed(table: pd.DataFrame):
    contrast = patch_contrast(table, D5, D6)

    where = "site == 'attn_out' and role == 'question_last' and direction == 'denoise'"
    cell = contrast.query(where).iloc[0]
    sides = [table.query(f"{where} and subset == '{name}'")["effect"] for name in (D5, D6)]
    gaps = sides[0].to_numpy() - sides[1].to_numpy()
    assert len(contrast) == 3 * 3 * 2  # whole sites only
    assert cell["difference"] == pytest.approx(gaps.mean())
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx(t_interval(gaps))
    assert cell["n_seeds"] == 8


def test_a_seed_that_one_subset_lacks_is_left_out_of_the_contrast(table: pd.DataFrame):
    fewer = table.loc[(table["subset"] == D5) | (table["seed"] > 1)]

    assert set(patch_contrast(fewer, D5, D6)["n_seeds"]) == {6}


def test_subsets_without_a_seed_in_common_are_refused(table: pd.DataFrame):
    with pytest.raises(InputError, match="no seed keeps enough pairs of both D5_CONS and D8_CONS"):
        patch_contrast(table, D5, "D8_CONS")


def test_two_subsets_have_common_seeds_where_one_keeps_enough_pairs_of_both(table: pd.DataFrame):
    apart = table.loc[(table["subset"] == D5) == (table["seed"] < 4)]

    assert have_common_seeds(table, [D5, D6])
    assert not have_common_seeds(apart, [D5, D6])
    assert not have_common_seeds(table.loc[table["subset"] == D5], [D5])


def test_the_strongest_head_of_each_seed_is_at_the_place_where_heads_do_most(table: pd.DataFrame):
    is_asked = (table["subset"] == D5) & (table["direction"] == "noise") & (table["head"] >= 0)
    loud = table.assign(effect=table["effect"].mask(table["role"] == "all", 2.0))

    best = strongest_heads(loud.loc[is_asked])

    assert set(best["role"]) == {"question_last"}  # what is patched at once is left out
    assert best.sort_values("seed")["head"].tolist() == [0, 1] * 4
    few = loud.loc[is_asked].assign(n=1, dropped=0.99)
    assert strongest_heads(few).empty


def test_the_gap_of_a_tag_is_one_value_for_each_seed_of_enough_pairs():
    rows = pd.DataFrame(
        {"seed": [0, 0, 1, 2], "gap": [0.5, 0.5, 0.7, 9.0], "n": [50, 50, 50, 2]}
    ).assign(dropped=[0.5, 0.5, 0.5, 0.98])

    assert tag_gaps(rows).to_dict() == {0: 0.5, 1: 0.7}
