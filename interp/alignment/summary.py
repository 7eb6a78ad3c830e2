"""Alignment of own pairs against pairs that match, within a seed and over seeds.

Within a seed the alias is the unit: questions and partners of an alias are averaged first, since
they share its embedding and so are not independent. Two tests, both two-sided permutations:

    own against a matched class   d_i = own mean minus partners' mean of alias i; the two labels of
                                  each alias are exchanged at random, so that d_i flips its sign
    one tag against the other     the tags of the two subsets are shuffled over their aliases

Over seeds each contributes one difference, tested by `interp.grids.seed_summary`. `against` says
what a value is held against: `zero`, or the class of partners. In rows of the subset
`D5_CONS-D6_CONS` values are differences of the two subsets, so that own against a class is a
difference of differences.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from data.design import Contrast
from data.errors import InputError
from data.vocabulary import Role
from interp.alignment.pairs import MATCHED, Pairing
from interp.grids.seed_summary import summarize_over_seeds
from training.columns import WITHOUT_SEED
from training.designs import design_of

ALL = "all"
"""The component that is the whole gradient."""
ZERO = "zero"
CELL = ["subset", "pairing", "against", "component", "loss_policy", "measure", "pairs"]
FAMILY = ["component_kind", "loss_policy", "measure", "pairs"]
"""Columns of what is corrected together: contrasts of a measure, whole and parts apart."""
TOKENS = {*map(str, Role), "word", "end"}
"""What a token's position can be called; see `interp.alignment.analysis.position_roles`."""
ALPHA = 0.05
N_PERMUTATIONS = 999


def summarize_alignment(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each subset (and tag contrast), pairing and what it is held against.

    Columns: run columns without the seed, `CELL`, the means over seeds `value` and `null` (of what
    it is held against), `found_within` (share of seeds whose own permutation p is at most .05; NaN
    of levels and of parts), and those of `summarize_over_seeds` for value minus null; `n` counts
    aliases. Means by subset are corrected apart from contrasts.
    """
    contrasts = seed_contrasts(table)
    contrasts["found"] = (contrasts["p_within"] <= ALPHA).where(contrasts["p_within"].notna())
    contrasts["found_within"] = contrasts["found"].astype(float)
    contrasts["component_kind"] = np.where(contrasts["component"] == ALL, ALL, "part")
    contrasts["is_level"] = (contrasts["against"] == ZERO) & ~contrasts["subset"].isin(
        [contrast.gap for contrast in design_of(table).leading]
    )
    families = contrasts.groupby([*FAMILY, "is_level"], sort=True)
    summaries = [
        summarize_over_seeds(
            family, cell=CELL, means=["value", "null", "found_within"], tested="difference"
        )
        for _, family in families
    ]
    return pd.concat(summaries, ignore_index=True)


def seed_contrasts(table: pd.DataFrame, *, within: bool = True) -> pd.DataFrame:
    """One row for each seed and cell of the summary.

    Columns: run columns, `CELL`, `value, null, difference, p_within, n`; `p_within` is the
    permutation p within the seed, NaN of levels and of parts of the gradient.

    Args:
        table: Rows of an `alignment` table.
        within: Whether to permute within seeds; without, `p_within` is NaN.
    """
    keys = [*WITHOUT_SEED, "seed", "component", "loss_policy", "measure", "pairs"]
    compared = [contrast.names for contrast in sorted(design_of(table).leading, key=_part)]
    records = []
    for key, rows in table.groupby(keys, sort=True):
        assert isinstance(key, tuple)
        shared = dict(zip(keys, key, strict=True))
        test = within and shared["component"] == ALL
        records += [
            shared | record for record in _contrasts(alias_means(rows), compared, test=test)
        ]
    return pd.DataFrame(records)


def with_seeds(levels: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a summary with a column `by_seed`: the `value` of each seed that has the cell.

    Args:
        levels: The rows.
        table: Rows of the `alignment` table that was summarized.
    """
    shared = [*WITHOUT_SEED, "component", "loss_policy", "measure", "pairs"]
    rows = table.merge(levels[shared].drop_duplicates(), on=shared)
    cell = [*WITHOUT_SEED, *CELL]
    found: dict[object, dict[int, float]] = {}
    for record in [] if rows.empty else seed_contrasts(rows, within=False).to_dict("records"):
        key = tuple(record[name] for name in cell)
        found.setdefault(key, {})[record["seed"]] = record["value"]
    keys = levels[cell].itertuples(index=False, name=None)
    return levels.assign(by_seed=[found.get(key, {}) for key in keys])


def alias_means(rows: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """By subset and pairing the mean of each alias, from rows of one seed, part and measure."""
    means: dict[tuple[str, str], pd.Series] = {}
    for name, group in rows.groupby(["subset", "pairing"], sort=True):
        assert isinstance(name, tuple)
        by_alias: pd.Series = group.groupby("alias", sort=True)["value"].mean()  # pyright: ignore[reportAssignmentType]
        means[str(name[0]), str(name[1])] = by_alias
    return means


def tag_gap(
    table: pd.DataFrame,
    contrast: Contrast,
    measure: str = "grad_cosine",
    *,
    pairing: Pairing = Pairing.OWN,
) -> float:
    """The alignment of one subset minus that of the other, of one seed and checkpoint.

    Args:
        table: Rows of `measure_alignment`.
        contrast: Whose definitions, D5 minus D6 say.
        measure: Which of the three measures.
        pairing: Own pairs, or a class of partners.

    Raises:
        InputError: the table lacks one of the two.
    """
    rows = table.loc[(table["component"] == ALL) & (table["measure"] == measure)]
    means = alias_means(rows)
    for subset in contrast.names:
        if (subset, pairing) not in means:
            raise InputError(f"there are no {pairing} pairs of {subset}; choose another pairing")
    higher, lower = (means[subset, pairing].mean() for subset in contrast.names)
    return float(higher - lower)


def sign_permutation_p(differences: Float[np.ndarray, " alias"]) -> float:
    """The p value of a mean as far from 0, were the sign of each alias's difference a coin's."""
    null = _signs(len(differences)) @ differences
    return _share(abs(float(differences.sum())), np.abs(null))


def shuffle_permutation_p(
    one: Float[np.ndarray, " one"], other: Float[np.ndarray, " other"]
) -> float:
    """The p value of means as far apart, were the group of each alias drawn at random."""
    pooled = np.concatenate([one, other])
    sums = pooled[_orders(len(pooled))[:, : len(one)]].sum(1)
    means = sums / len(one) - (pooled.sum() - sums) / len(other)
    return _share(abs(float(one.mean() - other.mean())), np.abs(means))


def rank_correlation(one: pd.Series, other: pd.Series) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where either is constant.

    >>> rank_correlation(pd.Series([1, 2, 3]), pd.Series([1, 5, 4]))
    0.5
    """
    return correlation(one.rank(), other.rank())


def correlation(one: pd.Series, other: pd.Series) -> float:
    """Pearson's correlation; 0 where either is constant."""
    if one.nunique() < 2 or other.nunique() < 2:
        return 0.0
    return float(np.corrcoef(one.to_numpy(dtype=float), other.to_numpy(dtype=float))[0, 1])


def sign_test_p(values: np.ndarray) -> float:
    """Two-sided sign test of values around 0; those that are 0 are left out.

    >>> sign_test_p(np.array([1.0, 2.0, 3.0, -1.0]))
    0.625
    """
    from scipy.stats import binomtest

    kept = values[values != 0]
    return float(binomtest(int((kept > 0).sum()), len(kept)).pvalue) if len(kept) else 1.0


def is_token_part(component: str) -> bool:
    """Whether a part is a definition's token x a question's; crossed modules are named alike.

    >>> is_token_part("alias x question"), is_token_part("embed_in x lm_head")
    (True, False)
    """
    left, _, right = component.partition(" x ")
    return {left, right} <= TOKENS


def _part(contrast: Contrast) -> int:
    return contrast.part


def _contrasts(
    means: Mapping[tuple[str, str], pd.Series], compared: Sequence[tuple[str, str]], *, test: bool
) -> Iterator[dict[str, object]]:
    for (subset, pairing), values in means.items():
        yield _record(subset, pairing, ZERO, values.mean(), 0.0, len(values))
    found = {subset for subset, pairing in means if pairing == Pairing.OWN}
    differences = {
        (subset, str(against)): (means[subset, Pairing.OWN] - means[subset, against]).dropna()
        for subset in sorted(found)
        for against in MATCHED
        if (subset, against) in means
    }
    for (subset, against), values in differences.items():
        own, null = (means[subset, name].loc[values.index].mean() for name in ("own", against))
        p = sign_permutation_p(values.to_numpy(dtype=float)) if test else np.nan
        yield _record(subset, Pairing.OWN, against, own, null, len(values), p)
    for higher, lower in compared:
        for pairing in Pairing:
            if (higher, pairing) in means and (lower, pairing) in means:
                yield _tag_record(means, (higher, lower), pairing, test=test)
        for against in MATCHED:
            if (higher, against) in differences and (lower, against) in differences:
                yield _difference_of_differences(means, differences, (higher, lower), against, test)


def _tag_record(
    means: Mapping[tuple[str, str], pd.Series], pair: tuple[str, str], pairing: str, *, test: bool
) -> dict[str, object]:
    one, other = (means[subset, pairing].to_numpy(dtype=float) for subset in pair)
    p = shuffle_permutation_p(one, other) if test else np.nan
    value = one.mean() - other.mean()
    return _record("-".join(pair), pairing, ZERO, value, 0.0, len(one) + len(other), p)


def _difference_of_differences(
    means: Mapping[tuple[str, str], pd.Series],
    differences: Mapping[tuple[str, str], pd.Series],
    pair: tuple[str, str],
    against: str,
    test: bool,
) -> dict[str, object]:
    one, other = (differences[subset, against] for subset in pair)
    arrays = one.to_numpy(dtype=float), other.to_numpy(dtype=float)
    p = shuffle_permutation_p(*arrays) if test else np.nan
    value, null = (
        means[pair[0], name].loc[one.index].mean() - means[pair[1], name].loc[other.index].mean()
        for name in (Pairing.OWN, against)
    )
    n = len(one) + len(other)
    return _record("-".join(pair), Pairing.OWN, against, value, null, n, p)


def _record(
    subset: str,
    pairing: str,
    against: str,
    value: float,
    null: float,
    n: int,
    p_within: float = np.nan,
) -> dict[str, object]:
    return {
        "subset": subset,
        "pairing": str(pairing),
        "against": str(against),
        "value": float(value),
        "null": float(null),
        "difference": float(value - null),
        "p_within": p_within,
        "n": n,
    }


def _share(observed: float, null: Float[np.ndarray, " permutation"]) -> float:
    """The share of permutations that reach a value, the identity counted as one more."""
    reached = int((null >= observed * (1 - 1e-12)).sum())
    return (1 + reached) / (1 + len(null))


@cache
def _signs(n: int) -> Float[np.ndarray, "permutation alias"]:
    rng = np.random.default_rng(0)
    return 1.0 - 2.0 * rng.integers(2, size=(N_PERMUTATIONS, n))


@cache
def _orders(n: int) -> Int[np.ndarray, "permutation alias"]:
    rng = np.random.default_rng(0)
    return rng.permuted(np.tile(np.arange(n), (N_PERMUTATIONS, 1)), axis=1)
