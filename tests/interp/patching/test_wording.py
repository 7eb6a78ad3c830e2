import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from interp.patching.contrasts import patch_contrast
from interp.patching.summary import summarize_patching
from interp.patching.wording import (
    attribution_sentence,
    carrying_sentence,
    head_sentence,
    is_above_control,
    limit_sentence,
    patch_caption,
    patch_contrast_sentence,
    patch_sentences,
)
from tests.interp.patching.hand_made_tables import D5, D6, patching_table
from training.statistics import t_interval


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return patching_table()


@pytest.fixture(scope="module")
def summary(table: pd.DataFrame) -> pd.DataFrame:
    return summarize_patching(table)


def of(cells: pd.DataFrame, subset: str, direction: str = "denoise") -> pd.DataFrame:
    return cells.loc[(cells["subset"] == subset) & (cells["direction"] == direction)]


def test_a_planted_carrier_is_named_with_its_control_interval_and_n(
    table: pd.DataFrame, summary: pd.DataFrame
):
    sentence = carrying_sentence(of(summary, D5))

    cells = of(table, D5).query("site == 'attn_out' and role == 'question_last'")
    low, high = t_interval(cells["effect"] - cells["control"])
    assert (
        "above the control in 1 of 4 cells: layer 1, attention at the last question token 0.90"
        in sentence
    )
    difference = cells["effect"].mean() - cells["control"].mean()
    assert f"control 0.40, difference {difference:+.3f} " in sentence
    assert f"[{low:+.3f}, {high:+.3f}], corrected p = 0.0078" in sentence
    assert "n = 8 seeds, 80 pairs, 25% dropped" in sentence


def test_where_nothing_is_found_the_nearest_cell_and_its_p_are_said(table: pd.DataFrame):
    nothing = table.assign(effect=table["control"] + 0.01 * (-1.0) ** table["seed"])

    sentence = carrying_sentence(of(summarize_patching(nothing), D5))

    assert "above the control in none of 4 cells. Nearest:" in sentence
    assert "corrected p = 1" in sentence


def test_what_is_known_beforehand_is_not_told(table: pd.DataFrame):
    known = (table["site"] == "resid_pre") & (table["layer"] == 0) | (table["role"] == "all")
    loud = table.assign(effect=table["effect"].mask(known, table["effect"] + 1))

    sentence = carrying_sentence(of(summarize_patching(loud), D5))

    assert "in 1 of 4 cells" in sentence
    assert "stream before layer 0" not in sentence


def test_an_effect_below_its_control_is_not_found():
    cell = {"p_corrected": 0.01, "difference": 0.3}

    assert is_above_control(cell)
    assert not is_above_control(cell | {"difference": -0.3})
    assert not is_above_control(cell | {"p_corrected": 0.06})
    assert not is_above_control(cell | {"p_corrected": float("nan")})


def test_the_contrast_is_told_with_both_effects(table: pd.DataFrame):
    contrast = patch_contrast(table, D5, D6)

    sentence = patch_contrast_sentence(
        contrast.loc[contrast["direction"] == "noise"], "D5 minus D6"
    )

    assert (
        "D5 minus D6, noising: the effects differ in 1 of 4 cells, most in layer 1, attention at"
        in (sentence)
    )
    assert "0.90 against 0.60" in sentence
    assert "(n = 8 seeds)" in sentence


def test_a_contrast_without_a_difference_claims_none_and_no_equality(table: pd.DataFrame):
    same = table.assign(effect=0.5 + 0.01 * (-1.0) ** table["seed"] * (table["subset"] == D5))

    contrast = patch_contrast(same, D5, D6)
    sentence = patch_contrast_sentence(
        contrast.loc[contrast["direction"] == "noise"], "D5 minus D6"
    )

    assert "are not shown to differ in any of 4 cells; they do most in" in sentence


def test_the_strongest_head_is_sought_within_each_seed(table: pd.DataFrame):
    heads = of(table, D5).query("head >= 0")

    sentence = head_sentence(heads)

    at_question = heads.query("role == 'question_last'")
    tops = np.array([rows["effect"].max() for _, rows in at_question.groupby("seed")])
    low, high = t_interval(tops)
    assert f"layer 1 at the last question token, with an effect of {tops.mean():.2f}" in sentence
    assert f"[{low:.2f}, {high:.2f}] and a control of 0.05 (mean over 8 seeds" in sentence


def test_correlations_have_their_mean_and_lowest_seed(table: pd.DataFrame):
    rows = table.loc[table["direction"] == "denoise"]
    worse = rows.assign(attribution=rows["attribution"].mask(rows["seed"] == 3, -rows["effect"]))

    sentence = attribution_sentence(worse, [D5])

    assert "D5_CONS r = 0.750 (lowest of 8 seeds -1.000)" in sentence


def test_so_few_seeds_that_nothing_could_be_found_are_said():
    assert limit_sentence(summarize_patching(patching_table(2))) == (
        "So many seeds can give no p below 0.5: nothing, however strong, could be found."
    )


def test_one_seed_has_no_intervals(table: pd.DataFrame):
    one = table.loc[table["seed"] == 3]

    sentences = " ".join(patch_sentences(one, summarize_patching(one), [D5], metric="logit_diff"))

    assert "nan" not in sentences
    assert "n = 1 seed, 10 pairs" in sentences
    assert "(mean over 1 seed;" in sentences


def test_every_subset_and_direction_is_told_and_two_subsets_are_compared(
    table: pd.DataFrame, summary: pd.DataFrame
):
    sentences = patch_sentences(table, summary, [D5, D6], metric="logit_diff")

    starts = [sentence.split(" (")[0].split(":")[0] for sentence in sentences]
    answers = [f"{D5}, {{}}", f"{D6}, {{}}", f"{D5} minus {D6}, {{}}"]
    heads = [f"{D5}, {{}} one head", f"{D6}, {{}} one head"]
    heads += ["Attribution patching, {}, against the exact effect"]
    first, then = (
        [start.format(name) for name in ("denoising", "noising") for start in of_direction]
        for of_direction in (answers, heads)
    )
    assert starts == [*first, starts[len(first)], *then]
    assert starts[len(first)].startswith("So many seeds can give no p below ")


def test_the_caption_says_n_pairs_dropped_and_the_smallest_p(summary: pd.DataFrame):
    caption = " ".join(patch_caption(of(summary, D5), [D5]))

    assert "D5_CONS: n = 8 seeds, 80 pairs, 25% dropped" in caption
    assert "no p below 0.0078 is possible" in caption
    assert "Denoising (clean into corrupted)" in caption


def test_a_subset_of_too_few_pairs_is_said_and_compared_with_nothing(table: pd.DataFrame):
    few = table.assign(
        n=table["n"].mask(table["subset"] == D6, 3),
        dropped=table["dropped"].mask(table["subset"] == D6, 0.97),
    )
    sentences = patch_sentences(few, summarize_patching(few), (D5, D6), metric="logit_diff")

    of_d6 = [each for each in sentences if each.startswith(f"{D6}, denoising (")]
    assert len(of_d6) == 1
    assert "kept by seed none of 100 pairs; left out for fewer than 10: 3 (seed 0), 3" in of_d6[0]
    assert of_d6[0].endswith("no seed keeps enough pairs.")
    assert not any("minus" in each for each in sentences)
    assert not any("nan" in each for each in sentences)
    with pytest.raises(InputError, match="no seed keeps enough pairs of both"):
        patch_contrast(few, D5, D6)
