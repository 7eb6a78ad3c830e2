"""Heads as cells of a table, so that they can be compared over seeds.

Head 2 of one seed has nothing to do with head 2 of another: training starts anew and heads are
interchangeable. Beside its own heads a layer therefore has cells that no renaming of heads changes:

    all      the layer's heads together: the mean over them, of logits the sum
    #1 #2 .. the heads from strongest to weakest, which are ranked by value minus control on half
             of the aliases and measured on the other half, both ways, so that ranking favours none
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from data.errors import InputError
from data.tokens import TokenizedRow

ALL_HEADS = "all"


def head_cells(
    value: Float[np.ndarray, "row layer head"],
    control: Float[np.ndarray, "row layer head"],
    *,
    is_first: Bool[np.ndarray, " row"],
    layers: Sequence[int],
    is_summed: bool = False,
) -> pd.DataFrame:
    """Columns `layer head value control n`: each head, all of them, and the ranked ones.

    Rows in which the value or its control is NaN do not count.

    Args:
        value: The measurement.
        control: The same where nothing is expected.
        is_first: Which rows are of the first half.
        layers: Names of the layers.
        is_summed: Whether heads are summed for `all`, not averaged.

    Raises:
        InputError: a half has no rows.
    """
    known = np.isfinite(value).all((1, 2)) & np.isfinite(control).all((1, 2))
    halves = [known & is_first, known & ~is_first]
    if not all(half.any() for half in halves):
        raise InputError(
            "ranking heads takes rows of two aliases at least, whose question is asked of another "
            "alias too; give more rows"
        )
    pairs = np.stack([value, control])  # [2, row, layer, head]
    own = pairs[:, known].mean(1)
    joined = own.sum(-1) if is_summed else own.mean(-1)
    ranked = _ranked(*(pairs[:, half].mean(1) for half in halves))
    tables = []
    for i, layer in enumerate(layers):
        n_heads = own.shape[-1]
        heads = [*map(str, range(n_heads)), ALL_HEADS, *(f"#{k + 1}" for k in range(n_heads))]
        numbers = np.concatenate([own[:, i], joined[:, i, None], ranked[:, i]], axis=1)
        columns = {"layer": layer, "head": heads, "value": numbers[0], "control": numbers[1]}
        tables.append(pd.DataFrame(columns | {"n": int(known.sum())}))
    return pd.concat(tables, ignore_index=True)


def head_name(layer: int, head: str) -> str:
    """How figures name a head, a rank of heads or all of a layer.

    >>> head_name(1, "3"), head_name(1, "#2"), head_name(0, "all")
    ('layer 1, head 3', 'layer 1, #2', 'layer 0, all heads')
    """
    if head == ALL_HEADS:
        return f"layer {layer}, all heads"
    return f"layer {layer}, {head if head.startswith('#') else f'head {head}'}"


def first_half(rows: Sequence[TokenizedRow]) -> Bool[np.ndarray, " row"]:
    """Every second alias; where a row has none, it is told by its id."""
    units = [row.row.alias or row.row.row_id for row in rows]
    place = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
    return np.array([place[unit] % 2 == 0 for unit in units], dtype=bool)


def is_comparable(table: pd.DataFrame) -> Bool[np.ndarray, " cell"]:
    """Which rows of a table with a column `head` mean the same in every seed."""
    return np.array([not name.isdigit() for name in table["head"]], dtype=bool)


def _ranked(
    first: Float[np.ndarray, "2 layer head"], second: Float[np.ndarray, "2 layer head"]
) -> Float[np.ndarray, "2 layer head"]:
    """Each half's numbers in the order of the other half's, averaged."""
    sides = []
    for ranking, measured in ((first, second), (second, first)):
        order = np.argsort(-(ranking[0] - ranking[1]), axis=-1, kind="stable")
        sides.append(np.take_along_axis(measured, np.stack([order, order]), axis=-1))
    return np.mean(sides, axis=0)
