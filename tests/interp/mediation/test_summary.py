import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from interp.mediation.summary import (
    ALIGNMENT,
    BETWEEN,
    CARRIED,
    COEFFICIENT,
    CORRELATION,
    ENTITY,
    GAP,
    OUTCOME,
    SLOPE,
    TAG,
    seed_effects,
    summarize_mediation,
)
from interp.mediation.wording import is_shown, mediation_found

D5, D6 = "D5_CONS", "D6_CONS"
RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 1}
RUN |= {"step": 9}
Made = Callable[[np.random.Generator, pd.DataFrame], pd.DataFrame]


def aliases(rng: np.random.Generator, *, n_seeds: int = 6, n: int = 20) -> pd.DataFrame:
    """Definitions of both tags, four of each entity, that differ in nothing but noise."""
    index = pd.MultiIndex.from_product(
        [range(n_seeds), [0, 1], [D5, D6], range(n)],
        names=["seed", "stage2_seed", "subset", "place"],
    )
    table = index.to_frame(index=False).assign(**RUN)
    table["alias"] = table["subset"] + table["place"].astype(str)
    table["entity"] = "e" + (table["place"] // 4).astype(str)
    each = table.groupby(["seed", "alias"]).ngroup()
    drawn = rng.normal(size=(4, int(each.max()) + 1))
    table[ALIGNMENT], table[COEFFICIENT] = drawn[0][each], drawn[1][each]
    table["own"] = drawn[2][each]
    table[OUTCOME] = table["own"] + 0.1 * rng.normal(size=len(table))
    return table.drop(columns="place")


def cells(table: pd.DataFrame) -> dict[tuple[str, str, str, str], dict]:
    records = summarize_mediation(table.drop(columns="own", errors="ignore")).to_dict("records")
    return {(r["predictor"], r["given"], r["within"], r["quantity"]): r for r in records}


def by_hand() -> pd.DataFrame:
    """Two seeds alike. D5: alignments 1, 2, 3 and answers 0, 2, 4; D6: -1, 0, 1 and -3, -2, -1."""
    values = {
        D5: [(1.0, 0.0), (2.0, 2.0), (3.0, 4.0)],
        D6: [(-1.0, -3.0), (0.0, -2.0), (1.0, -1.0)],
    }
    return pd.DataFrame(
        [
            {**RUN, "seed": seed, "stage2_seed": 0, "subset": subset, "alias": f"{subset}{i}",
             "entity": f"e{i}", ALIGNMENT: x, OUTCOME: y, COEFFICIENT: math.nan}
            for seed in (0, 1)
            for subset, pairs in values.items()
            for i, (x, y) in enumerate(pairs)
        ]
    )  # fmt: skip


def test_effects_are_those_worked_out_by_hand() -> None:
    found = cells(by_hand())
    # Centred: x -1, 0, 1 twice; y -2, 0, 2 and -1, 0, 1: products 6, squares 4 and 10.
    assert found[ALIGNMENT, "", TAG, CORRELATION]["value"] == pytest.approx(6 / math.sqrt(40))
    assert found[ALIGNMENT, "", TAG, SLOPE]["value"] == pytest.approx(1.5 * math.sqrt(4 / 6))
    assert found[ALIGNMENT, "", "", BETWEEN]["value"] == pytest.approx(2.0)
    assert found[ALIGNMENT, "", TAG, CARRIED]["value"] == pytest.approx(3.0)
    assert found["", "", "", GAP]["value"] == pytest.approx(4.0)
    assert (ALIGNMENT, "", ENTITY, CORRELATION) not in found  # one alias of each entity and tag
    assert not {cell for cell in found if COEFFICIENT in cell}


def test_a_difference_between_tags_alone_predicts_nothing_within_them() -> None:
    table = aliases(np.random.default_rng(0))
    is_reliable = table["subset"] == D5
    table[ALIGNMENT] += 5.0 * is_reliable
    table[OUTCOME] += 5.0 * is_reliable
    found = cells(table)
    assert found["", "", "", GAP]["value"] > 4
    assert not is_shown(found[ALIGNMENT, "", TAG, CORRELATION])


def test_what_is_planted_is_found_and_carries_the_gap() -> None:
    table = aliases(np.random.default_rng(7))
    table[ALIGNMENT] += 2.0 * (table["subset"] == D5)
    table[OUTCOME] += 1.0 * table[ALIGNMENT]
    found = cells(table)
    cell = found[ALIGNMENT, "", TAG, CORRELATION]
    assert is_shown(cell)
    assert cell["value"] == pytest.approx(1 / math.sqrt(2), abs=0.1)
    assert abs(cell["null"]) < 0.02
    assert found[ALIGNMENT, "", TAG, CARRIED]["value"] == pytest.approx(2.0, abs=0.4)
    assert not is_shown(found[COEFFICIENT, "", TAG, CORRELATION])


def test_a_predictor_that_another_explains_is_nothing_given_it() -> None:
    rng = np.random.default_rng(2)
    table = aliases(rng)
    table[OUTCOME] += 1.0 * table[COEFFICIENT]
    table[ALIGNMENT] = table[COEFFICIENT] + table[ALIGNMENT]
    found = cells(table)
    assert is_shown(found[ALIGNMENT, "", TAG, CORRELATION])
    assert not is_shown(found[ALIGNMENT, COEFFICIENT, TAG, CORRELATION])
    assert is_shown(found[COEFFICIENT, ALIGNMENT, TAG, CORRELATION])


def test_a_partial_slope_is_that_of_a_regression_on_all_dummies() -> None:
    table = aliases(np.random.default_rng(3), n_seeds=2)
    table[OUTCOME] += 0.5 * table[ALIGNMENT] + 0.3 * table[COEFFICIENT]
    own = table.loc[table["seed"] == 0].groupby(["subset", "alias"])[
        [ALIGNMENT, COEFFICIENT, OUTCOME]
    ].mean().reset_index()  # fmt: skip
    dummies = np.stack([own["subset"] == name for name in (D5, D6)], axis=1).astype(float)
    design = np.column_stack([own[ALIGNMENT], own[COEFFICIENT], dummies])
    slope = np.linalg.lstsq(design, own[OUTCOME], rcond=None)[0][0]
    apart = own.groupby("subset")[ALIGNMENT].mean()
    effects = seed_effects(table.drop(columns="own"))[0]
    chosen = (effects["seed"] == 0) & (effects["quantity"] == CARRIED)
    chosen &= (effects["predictor"] == ALIGNMENT) & (effects["given"] == COEFFICIENT)
    (carried,) = effects.loc[chosen, "value"]
    assert carried == pytest.approx(slope * (apart[D5] - apart[D6]))


def test_an_entity_that_is_easy_predicts_nothing_among_its_own_aliases() -> None:
    rng = np.random.default_rng(7)
    table = aliases(rng)
    ease = rng.normal(size=(6, 5))
    add = ease[table["seed"], table["entity"].str[1:].astype(int)]
    table[ALIGNMENT] += 2 * add
    table[OUTCOME] += 2 * add
    found = cells(table)
    assert is_shown(found[ALIGNMENT, "", TAG, CORRELATION])
    assert not is_shown(found[ALIGNMENT, "", ENTITY, CORRELATION])


def test_sentences_say_what_is_found_and_what_is_not() -> None:
    table = aliases(np.random.default_rng(7)).drop(columns="own")
    table[OUTCOME] += 1.0 * table[ALIGNMENT]
    said = mediation_found(summarize_mediation(table))
    assert "before Stage 2 predicts: correlation +0." in said[0]
    assert "(shuffled " in said[0]
    assert "240 definitions of 6 seeds" in said[0]
    assert any("own entity's code is not shown to predict" in each for each in said)
    alone = mediation_found(summarize_mediation(table.assign(**{COEFFICIENT: math.nan})))
    assert "No code coefficients are in the run's folder, so alignment stands alone." in alone


@pytest.mark.slow
def test_nothing_is_found_in_95_percent_where_nothing_is() -> None:
    rng = np.random.default_rng(5)
    keys = [(ALIGNMENT, given, TAG, CORRELATION) for given in ("", COEFFICIENT)]
    found = [cells(aliases(rng, n=8)) for _ in range(300)]
    for key in keys:
        p_values = np.array([each[key]["p_permuted"] for each in found])
        print(f"{key}: p <= .05 in {(p_values <= 0.05).mean():.3f}")
        assert 0.02 <= (p_values <= 0.05).mean() <= 0.085  # standard error .013


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [5, 8])
def test_intervals_of_slopes_that_differ_between_seeds_cover_the_mean(n_seeds: int) -> None:
    # Clusters with slopes and outcomes of their own, of unequal spread: one slope a seed is drawn.
    rng, covered = np.random.default_rng(n_seeds), []
    for _ in range(1000):
        table = aliases(rng, n_seeds=n_seeds, n=6)
        seeds = table["seed"].to_numpy()
        slopes = 1.0 + 0.5 * rng.normal(size=n_seeds)
        apart = 2.0 * (table["subset"] == D5)
        table[OUTCOME] += (
            slopes[seeds] * (table[ALIGNMENT] + apart) + rng.normal(size=n_seeds)[seeds]
        )
        table[ALIGNMENT] += apart
        effects = _carried_per_distance(table)
        low, high = effects
        covered.append(low <= 1.0 <= high)
    share = float(np.mean(covered))
    print(f"{n_seeds} seeds: covered {share:.3f}")
    assert 0.93 <= share <= 0.97  # standard error .007


def _carried_per_distance(table: pd.DataFrame) -> tuple[float, float]:
    """The interval of the raw slope: what is carried over the distance that it is carried."""
    from training.statistics import t_interval

    effects = seed_effects(table.drop(columns=["own", COEFFICIENT]))[0].set_index("seed")
    chosen = effects.loc[effects["quantity"] == CARRIED, "value"]
    apart = effects.loc[effects["quantity"] == BETWEEN, "value"]
    return t_interval((chosen / apart).to_numpy())


def test_where_each_alias_is_an_entity_by_itself_nothing_is_said_of_aliases_of_one() -> None:
    table = aliases(np.random.default_rng(0))
    found = cells(table.assign(entity=table["alias"]))
    assert (ALIGNMENT, "", TAG, CORRELATION) in found
    assert not [key for key in found if key[2] == ENTITY]
