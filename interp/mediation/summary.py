"""What predicts a definition's internalization among those of its seed and tag, over seeds.

Answers are averaged over Stage-2 seeds first. Then, in each seed, the mean of each tag is taken out
of predictor and answers, so that nothing that differs between tags counts:

    correlation   of the predictor with the log-probability of the answers
    slope         nats for one standard deviation of the predictor (within seed and tag)
    carried       nats of the gap between the tags that would follow from the slope and from how
                  much the predictor differs between them, were the slope a cause
    difference_between_tags    of the predictor itself

each also with the other predictor taken out of both sides (`given`), and among aliases of one
entity (`within` says which means were taken out): an entity may be easy whatever its alias.

Definitions of one seed share a model, so that seeds are the clusters: one statistic a seed, with
Student's t over them (Ibragimov and Mueller 2010). The null of the correlation shuffles the
predictor among definitions of the same seed and tag (and entity), in all seeds at once.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.grids.seed_summary import summarize_over_seeds
from training.columns import RUN_COLUMNS, WITHOUT_SEED
from training.designs import design_of

ALIGNMENT, COEFFICIENT = "alignment", "coefficient"
PREDICTORS = (ALIGNMENT, COEFFICIENT)
OUTCOME = "answer_log_prob"
TAG, ENTITY = "tag", "tag and entity"
GROUPS = {TAG: ["subset"], ENTITY: ["subset", "entity"]}
"""Of what the means are taken out, by what `within` says."""
CELL = ["predictor", "given", "within", "quantity"]
CORRELATION, SLOPE, CARRIED = "correlation", "slope", "carried"
BETWEEN, GAP = "difference_between_tags", "gap"
N_PERMUTATIONS = 999
FEWEST = 4
"""Definitions beyond the means taken out that a seed must have to say anything."""


def summarize_mediation(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each predictor, what is given, within what, and quantity.

    Columns: run columns without the seed, `predictor, given, within, quantity`, the means `value`
    and `null` over seeds, those of `summarize_over_seeds` for their difference, `p_permuted` (NaN
    of what is no correlation); `n` counts definitions. Each quantity is corrected by itself. The
    quantity `gap`, of no predictor, is the one that there is to explain, in nats.
    """
    effects, p_permuted = seed_effects(table)
    summaries = [
        summarize_over_seeds(rows, cell=CELL, means=["value", "null"], tested="difference")
        for _, rows in effects.groupby("quantity", sort=False)
    ]
    summary = pd.concat(summaries, ignore_index=True)
    return summary.merge(p_permuted, on=[*WITHOUT_SEED, *CELL], how="left")


def seed_effects(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for each seed and cell, and the permutation p of each correlation over seeds.

    Args:
        table: Rows of a `mediation` table.

    Returns:
        Rows with the run columns, the cell, `value, null, difference, n`; and p values with the run
        columns without the seed, the cell and `p_permuted`.
    """
    records: list[dict[str, object]] = []
    shuffled: dict[tuple[object, ...], list[tuple[float, np.ndarray]]] = {}
    for key, rows in table.groupby(RUN_COLUMNS, sort=True):
        assert isinstance(key, tuple)
        shared = dict(zip(RUN_COLUMNS, key, strict=True))
        aliases = _of_aliases(rows)
        for record, null in _effects(aliases, design_of(table).main.names, int(shared["seed"])):
            records.append(shared | record)
            if null is not None:
                cell = *(shared[name] for name in WITHOUT_SEED), *(record[name] for name in CELL)
                shuffled.setdefault(cell, []).append((float(record["value"]), null))  # pyright: ignore[reportArgumentType]
    p_values = [
        dict(zip([*WITHOUT_SEED, *CELL], cell, strict=True)) | {"p_permuted": _over_seeds(found)}
        for cell, found in shuffled.items()
    ]
    columns = [*WITHOUT_SEED, *CELL, "p_permuted"]
    return pd.DataFrame(records), pd.DataFrame(p_values, columns=columns)


def _of_aliases(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each definition, averaged over Stage-2 seeds."""
    names = [name for name in (*PREDICTORS, OUTCOME) if name in rows]
    groups = rows.groupby(["subset", "alias", "entity"], sort=True)
    return groups.agg(dict.fromkeys(names, "mean")).reset_index()


def _effects(
    aliases: pd.DataFrame, compared: Sequence[str], seed: int
) -> Iterator[tuple[dict[str, object], np.ndarray | None]]:
    """What one seed says of each cell, and of a correlation what it is when shuffled."""
    yield _record(("", "", "", GAP), _between(aliases, OUTCOME, compared), len(aliases)), None
    known = [
        name for name in PREDICTORS if name in aliases and not aliases[name].isna().to_numpy().all()
    ]
    for predictor in known:
        apart = _between(aliases, predictor, compared)
        yield _record((predictor, "", "", BETWEEN), apart, len(aliases)), None
        for given in ("", *(name for name in known if name != predictor)):
            used = aliases.dropna(subset=[predictor, *([given] if given else [])])
            for within, columns in GROUPS.items():
                groups = used.groupby(columns, sort=True).ngroup().to_numpy()
                sides = _residuals(used, predictor, given, groups)
                if sides is None:
                    continue
                one, other = sides
                slope = float(one @ other / (one @ one))
                own = _centred(used[predictor].to_numpy(dtype=float), groups)
                null = _shuffled(one, other, groups, seed)
                cell, n = (predictor, given, within), len(used)
                value = _correlation(one, other)
                yield _record((*cell, CORRELATION), value, n, null=float(null.mean())), null
                yield _record((*cell, SLOPE), slope * float(own.std()), n), None
                if within == TAG:
                    yield _record((*cell, CARRIED), slope * apart, n), None


def _record(cell: tuple[str, ...], value: float, n: int, *, null: float = 0.0) -> dict[str, object]:
    found: dict[str, object] = dict(zip(CELL, cell, strict=True))
    return found | {"value": value, "null": null, "difference": value - null, "n": n}


def _between(aliases: pd.DataFrame, column: str, compared: Sequence[str]) -> float:
    """The mean of the one compared subset minus that of the other."""
    higher, lower = (aliases.loc[aliases["subset"] == name, column].mean() for name in compared)
    return float(higher - lower)


def _residuals(
    used: pd.DataFrame, predictor: str, given: str, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Predictor and answers without the means of groups and without what is given, if any is left.

    The slope of the one on the other is that of a regression on all of it (Frisch and Waugh 1933).
    """
    names = [predictor, OUTCOME, *([given] if given else [])]
    sides = [_centred(used[name].to_numpy(dtype=float), groups) for name in names]
    freedom = len(used) - len(set(groups)) - (1 if given else 0)
    if freedom < FEWEST or any(np.ptp(side) == 0 for side in sides):
        return None
    one, other, *rest = sides
    for third in rest:
        one, other = (side - third * (side @ third) / (third @ third) for side in (one, other))
    return one, other


def _centred(
    values: Float[np.ndarray, " alias"], groups: np.ndarray
) -> Float[np.ndarray, " alias"]:
    sums = np.bincount(groups, weights=values)
    return values - (sums / np.bincount(groups))[groups]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0


def _shuffled(
    one: np.ndarray, other: np.ndarray, groups: np.ndarray, seed: int
) -> Float[np.ndarray, " permutation"]:
    """The correlation when the predictor is shuffled within each group."""
    rng = np.random.default_rng(seed)
    moved = np.empty((N_PERMUTATIONS, len(one)))
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        moved[:, places] = rng.permuted(np.tile(one[places], (N_PERMUTATIONS, 1)), axis=1)
    return moved @ other / (np.linalg.norm(one) * np.linalg.norm(other))


def _over_seeds(found: Sequence[tuple[float, np.ndarray]]) -> float:
    """How often a mean over seeds as far from 0 comes out when all seeds are shuffled."""
    observed = abs(sum(value for value, _ in found))
    null = np.abs(np.sum([null for _, null in found], axis=0))
    return (1 + int((null >= observed * (1 - 1e-12)).sum())) / (1 + N_PERMUTATIONS)
