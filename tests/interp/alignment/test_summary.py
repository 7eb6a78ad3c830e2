import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float

from data.errors import InputError
from data.tasks.iml import IML_GAP
from interp.alignment.pairs import Pairing
from interp.alignment.summary import (
    ALPHA,
    correlation,
    rank_correlation,
    seed_contrasts,
    shuffle_permutation_p,
    sign_permutation_p,
    sign_test_p,
    summarize_alignment,
    tag_gap,
)

RUN = {"recipe": "toy", "run_id": "0", "model": "m", "word_order": "tae", "stage": 1, "step": 9}
N_DATASETS, N_ALIASES, N_QUESTIONS = 1000, 30, 4


def table_of(values: dict[tuple[str, str, str], list[float]], seed: int = 0) -> pd.DataFrame:
    """Rows of one seed: by subset, alias and pairing the cosines of its questions."""
    return pd.DataFrame(
        [
            RUN
            | {"seed": seed, "row_a": alias, "row_b": f"{pairing}{i}", "alias": alias}
            | {"subset": subset, "pairing": pairing, "component": "all", "pairs": "own"}
            | {"loss_policy": "answer", "measure": "grad_cosine", "value": value}
            for (subset, alias, pairing), cosines in values.items()
            for i, value in enumerate(cosines)
        ]
    )


HAND = {
    ("D5_CONS", "a", "own"): [0.8, 0.6],
    ("D5_CONS", "a", "other_tag"): [0.1],
    ("D5_CONS", "b", "own"): [0.5],
    ("D5_CONS", "b", "other_tag"): [0.3, 0.1],
    ("D5_CONS", "c", "own"): [0.9],
    ("D6_CONS", "d", "own"): [0.2, 0.0],
    ("D6_CONS", "d", "other_tag"): [0.0],
}


def cell(frame: pd.DataFrame, subset: str, pairing: str, against: str) -> dict[str, float]:
    rows = frame.loc[
        (frame["subset"] == subset) & (frame["pairing"] == pairing) & (frame["against"] == against)
    ]
    assert len(rows) == 1
    return rows.iloc[0].to_dict()


def test_questions_are_averaged_by_alias_before_aliases_by_subset():
    level = cell(seed_contrasts(table_of(HAND)), "D5_CONS", "own", "zero")
    assert level["value"] == pytest.approx((0.7 + 0.5 + 0.9) / 3)
    assert level["n"] == 3


def test_own_is_held_against_partners_over_the_aliases_that_have_both():
    found = cell(seed_contrasts(table_of(HAND)), "D5_CONS", "own", "other_tag")
    assert found["value"] == pytest.approx(0.6)
    assert found["null"] == pytest.approx(0.15)
    assert found["difference"] == pytest.approx(0.45)
    assert found["n"] == 2


def test_one_tag_is_held_against_the_other_also_in_the_differences():
    contrasts = seed_contrasts(table_of(HAND))
    gap = cell(contrasts, "D5_CONS-D6_CONS", "own", "zero")
    assert gap["difference"] == pytest.approx(0.7 - 0.1)
    inner = cell(contrasts, "D5_CONS-D6_CONS", "own", "other_tag")
    assert inner["value"] == pytest.approx(0.6 - 0.1)
    assert inner["null"] == pytest.approx(0.15 - 0.0)
    assert inner["difference"] == pytest.approx(0.45 - 0.1)


def test_the_gap_of_a_table_is_that_of_its_summary():
    assert tag_gap(table_of(HAND), IML_GAP) == pytest.approx(0.6)
    assert tag_gap(table_of(HAND), IML_GAP, pairing=Pairing.OTHER_TAG) == pytest.approx(0.15)


def test_a_gap_without_one_of_its_subsets_is_refused():
    with pytest.raises(InputError, match="no own pairs of D6_CONS"):
        tag_gap(
            table_of({key: value for key, value in HAND.items() if key[0] == "D5_CONS"}), IML_GAP
        )


def test_the_summary_is_the_mean_over_seeds_with_their_interval():
    shifted = {
        key: [v + (0.1 if key[0] == "D5_CONS" else 0) for v in values]
        for key, values in HAND.items()
    }
    table = pd.concat([table_of(HAND, seed=0), table_of(shifted, seed=1)])
    gap = cell(summarize_alignment(table), "D5_CONS-D6_CONS", "own", "zero")
    assert gap["difference"] == pytest.approx(0.65)
    half_width = 12.7062047 * np.std([0.6, 0.7], ddof=1) / np.sqrt(2)
    assert gap["ci_high"] - 0.65 == pytest.approx(half_width, rel=1e-6)
    assert (gap["p_value"], gap["n_seeds"]) == (0.5, 2)


def planted(
    rng: np.random.Generator, *, effect: float = 0.0
) -> tuple[Float[np.ndarray, "alias question"], Float[np.ndarray, "alias question"]]:
    """Own and matched cosines of one subset.

    Aliases differ in their definitions, in their questions and in how far their own pairs align,
    by which nothing is aligned on average unless there is an effect.
    """
    definition, question, own = rng.normal(size=(3, N_ALIASES)) * 0.2
    partners = rng.integers(N_ALIASES, size=(N_ALIASES, N_QUESTIONS))
    noise = rng.normal(size=(2, N_ALIASES, N_QUESTIONS)) * 0.1
    of_own = (definition + question + own + effect)[:, None] + noise[0]
    return of_own, definition[:, None] + question[partners] + noise[1]


def matched_p(rng: np.random.Generator, *, as_pairs: bool = False, effect: float = 0.0) -> float:
    own, matched = planted(rng, effect=effect)
    differences = own - matched
    return sign_permutation_p(differences.flatten() if as_pairs else differences.mean(1))


def tag_p(rng: np.random.Generator, *, as_pairs: bool = False, effect: float = 0.0) -> float:
    sides = planted(rng, effect=effect)[0], planted(rng)[0]
    one, other = (side.flatten() if as_pairs else side.mean(1) for side in sides)
    return shuffle_permutation_p(one, other)


@pytest.mark.parametrize("test", [matched_p, tag_p])
def test_a_null_is_called_an_effect_in_at_most_7_percent_of_datasets(test):
    rng = np.random.default_rng(1)
    found = [test(rng) <= ALPHA for _ in range(N_DATASETS)]
    assert np.mean(found) <= 0.07


@pytest.mark.parametrize("test", [matched_p, tag_p])
def test_the_simulated_null_would_fool_a_test_that_takes_pairs_as_units(test):
    rng = np.random.default_rng(1)
    assert np.mean([test(rng, as_pairs=True) <= ALPHA for _ in range(200)]) >= 0.12


@pytest.mark.parametrize("test", [matched_p, tag_p])
def test_a_planted_effect_is_found(test):
    rng = np.random.default_rng(1)
    assert np.mean([test(rng, effect=0.4) <= ALPHA for _ in range(100)]) >= 0.95


def seeds_table(effect: float) -> pd.DataFrame:
    """Eight seeds of both subsets; D5's own pairs are aligned by so much more."""
    rng = np.random.default_rng(2)
    tables = []
    for seed in range(8):
        values = {}
        for subset, shift in (("D5_CONS", effect), ("D6_CONS", 0.0)):
            own, matched = planted(rng, effect=shift)
            for alias in range(N_ALIASES):
                name = f"{subset}{alias}"
                values[subset, name, "own"] = own[alias].tolist()
                values[subset, name, "other_tag"] = matched[alias].tolist()
        tables.append(table_of(values, seed=seed))
    return pd.concat(tables, ignore_index=True)


def test_over_seeds_a_planted_effect_is_found_where_it_is_and_only_there():
    summary = summarize_alignment(seeds_table(0.5))
    for against in ("zero", "other_tag"):
        gap = cell(summary, "D5_CONS-D6_CONS", "own", against)
        assert gap["p_corrected"] == gap["p_smallest"] == 2 / 256
        assert gap["ci_low"] < 0.5 < gap["ci_high"]
        assert gap["found_within"] == 1.0
    assert cell(summary, "D6_CONS", "own", "other_tag")["p_corrected"] > 0.05
    assert cell(summary, "D5_CONS-D6_CONS", "other_tag", "zero")["p_corrected"] > 0.05


def test_over_seeds_nothing_is_found_where_nothing_is():
    found = summarize_alignment(seeds_table(0.0))["p_corrected"].to_numpy(dtype=float)
    assert found.min() > 0.05


def test_parts_have_no_permutation_of_their_own():
    table = table_of(HAND).assign(component="mlp")
    assert np.isnan(seed_contrasts(table)["p_within"].to_numpy(dtype=float)).all()


def test_permutation_p_of_a_perfect_separation_is_the_least_possible():
    one = np.arange(20.0) + 100
    assert shuffle_permutation_p(one, np.arange(20.0)) == pytest.approx(1 / 1000)
    assert sign_permutation_p(one) == pytest.approx(1 / 1000)


def test_a_constant_has_no_correlation():
    one, other = pd.Series([1.0, 2.0, 4.0]), pd.Series([1.0, 1.0, 1.0])
    assert correlation(one, other) == rank_correlation(one, other) == 0.0
    assert correlation(one, -2 * one) == pytest.approx(-1.0)


def test_a_sign_test_leaves_zeros_out():
    assert sign_test_p(np.array([1.0] * 8 + [0.0])) == pytest.approx(2 / 256)
    assert sign_test_p(np.zeros(3)) == 1.0
