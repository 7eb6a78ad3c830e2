"""New rows among those that a run's table had: in the place of the same cells, the rest stays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from interp.grids.settings import Entry, carrying, gathered, labelled
from training.columns import CHECKPOINT
from training.files import table_bytes
from training.runs.publication import Files, is_published, read
from training.runs.run import Run, read_table


def contents(
    run: Run,
    name: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    settings: Sequence[Entry],
    vectors: list[dict[str, np.ndarray]],
) -> Files:
    """The contents of the files that an analysis writes into a run's folder."""
    rows, summary = tables
    of_run = summary.loc[summary["run_id"] == run.config.run_id]
    path = run.folder / f"{name}_summary.parquet"
    if is_published(path):
        old = _of_same_rules(read_table(path), of_run)
        of_run = pd.concat([old.loc[~is_at_checkpoints_of(old, of_run)], of_run])
    files = {
        f"{name}.parquet": table_bytes(carrying(rows, settings)),
        path.name: table_bytes(carrying(of_run.reset_index(drop=True), settings, rows=False)),
    }
    new = {key: np.ascontiguousarray(v) for part in vectors for key, v in part.items()}
    path = run.folder / f"{name}_vectors.safetensors"
    return files | ({path.name: _merged_vectors(path, new)} if new else {})


def merged(
    run: Run,
    name: str,
    coordinates: Sequence[str],
    new: pd.DataFrame,
    settings: Entry,
    withdrawn: Sequence[dict[str, object]],
) -> tuple[pd.DataFrame, list[Entry]]:
    """A run's new rows in place of those of the same seed, checkpoint and cell, and all others.

    Beside them the settings with which all of them were measured.

    Args:
        run: Whose table it is.
        name: Of the analysis.
        coordinates: The columns that tell the cells of one checkpoint apart.
        new: The rows of all runs.
        settings: With which they were measured.
        withdrawn: Coordinates at which nothing could be measured this time.
    """
    new = labelled(new.loc[new["run_id"] == run.config.run_id], settings)
    path = run.folder / f"{name}.parquet"
    if is_published(path):
        old = _of_same_rules(labelled(read_table(path)), new)
        # A table of before a coordinate was added is known by the others.
        key = ["seed", *CHECKPOINT, *(column for column in coordinates if column in old)]
        for gone in withdrawn:
            columns = list(gone)
            old = old.loc[[k != tuple(gone.values()) for k in _keys(old, columns)]]
        replaced = set(_keys(new, key))
        new = pd.concat([old.loc[[k not in replaced for k in _keys(old, key)]], new])
    return gathered(new.sort_values([*CHECKPOINT, "seed"], kind="stable", ignore_index=True))


def _of_same_rules(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """No row of a table that lacks a column: it was measured otherwise, and would mix two rules."""
    return old if set(new.columns) <= set(old.columns) else old.iloc[:0]


def is_at_checkpoints_of(table: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Which rows are of a stage and step that the other table has."""
    there = set(_keys(other, CHECKPOINT))
    return np.array([key in there for key in _keys(table, CHECKPOINT)], dtype=bool)


def _keys(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[object, ...]]:
    return list(zip(*(table[column] for column in columns), strict=True))


def _merged_vectors(path: Path, new: dict[str, np.ndarray]) -> bytes:
    """Old vectors with the new ones in place; their names tell seed, checkpoint and cell."""
    from safetensors.numpy import load, save

    old = load(read(path)) if is_published(path) else {}
    return save(dict(sorted((old | new).items())))
