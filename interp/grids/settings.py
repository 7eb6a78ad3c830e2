"""With which settings was each row of a table measured? A table of a run folder carries the answer.

A table holds rows of several commands, which may have set things otherwise, so it has a list of
entries; one whose rows were all measured anew is gone. An entry says

    analysis    every field of the analysis, defaults too, by name
    selection   sites and layers as they were asked for (None: all), the ids of the runs whose
                grid it was, over which p values were corrected together, and the device, where it
                was another than the CPU
    covers      the seeds that it has rows of, by run, stage and step
    rows        where they stand in the table as it was written, `[first, last + 1]` each; a
                summary over seeds has no such rows

`table_settings` reads them. They are JSON in `DataFrame.attrs["iml_settings"]`, which pandas keeps
in the metadata of Parquet files. Nothing in them tells of the day, the machine or the folder, so
that the same command writes the same bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool

from data.errors import reading
from interp.grids.selection import GridSelection
from interp.hooked.devices import CPU

KEY = "iml_settings"
LABEL = "settings"
"""Column of `labelled` tables, of which none is written."""
PLACE = ["run_id", "stage", "step"]
TOLD_ELSEWHERE = {
    *("folder", "donor_folder"),
    *("stage", "step", "recipient_stage", "recipient_step"),
}
"""Fields of analyses that are paths, or the place of the grid, which `covers` has."""

Entry = dict[str, Any]
Placed = TypeVar("Placed")


@runtime_checkable
class FurtherSettings(Protocol):
    """An analysis with settings that are none of its fields."""

    @property
    def further_settings(self) -> dict[str, object]:
        """The further settings by name."""
        ...


def settings_of(analysis: object, selection: GridSelection, device: str = CPU) -> Entry:
    """What the rows that an analysis measures in a grid are measured with."""
    given = {
        each.name: getattr(analysis, each.name)
        for each in fields(analysis)  # pyright: ignore[reportArgumentType]  (every analysis is one)
        if each.name not in TOLD_ELSEWHERE
    }
    if isinstance(analysis, FurtherSettings):
        given |= analysis.further_settings
    selected = {"sites": selection.sites, "layers": selection.layers}
    selected |= {"runs": sorted(run.config.run_id for run in selection.runs)}
    selected |= {} if device == CPU else {"device": device}
    return json.loads(json.dumps({"analysis": given, "selection": selected}, default=str))


def placed(analysis: Placed, stage: int, step: int | None) -> Placed:
    """The analysis with the checkpoint that it says to look at, if it says one, changed.

    Args:
        analysis: A dataclass.
        stage: Of the checkpoint.
        step: Of the checkpoint; None for the stage's last.
    """
    here = {"stage": stage, "recipient_stage": stage, "step": step, "recipient_step": step}
    names = {each.name for each in fields(analysis)}  # pyright: ignore[reportArgumentType]
    return replace(analysis, **{name: here[name] for name in here.keys() & names})  # pyright: ignore[reportArgumentType, reportCallIssue]


def table_settings(table: pd.DataFrame) -> list[Entry]:
    """The entries of a table that was read from a run folder; none of one made before they were.

    Raises:
        DamagedError: what it carries is no such list.
    """
    with reading(
        "the settings that a table carries",
        "repeat the command that made it",
        fault="are unreadable",
    ):
        entries = json.loads(table.attrs.get(KEY, "[]"))
        for entry in entries:
            _ = entry["analysis"].items(), entry["selection"].items()
            _ = [(*(each[name] for name in PLACE), *each["seeds"]) for each in entry["covers"]]
            _ = [(first, last) for first, last in entry.get("rows", [])]
    return entries


def labelled(table: pd.DataFrame, entry: Entry | None = None) -> pd.DataFrame:
    """The table with its settings in a column, row by row, so that its rows can be mixed.

    Args:
        table: Which has them in its metadata; rows of older tables get an empty label.
        entry: Of all rows, instead.
    """
    if entry is not None:
        labels = np.full(len(table), _label(entry), dtype=object)
    else:
        labels = np.full(len(table), "", dtype=object)
        for known in table_settings(table):
            for first, last in known.get("rows", []):
                labels[first:last] = _label(known)
    labelled_table = table.assign(**{LABEL: labels})
    labelled_table.attrs = {}
    return labelled_table


def gathered(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Entry]]:
    """A labelled table without labels, and the entries that say the same."""
    entries = []
    labels = table[LABEL].to_numpy()
    for label in dict.fromkeys(labels):
        if not label:
            continue
        mine = labels == label
        edges = np.flatnonzero(np.diff(np.concatenate([[False], mine, [False]]).astype(int)))
        covers = [
            {"run_id": run_id, "stage": int(stage), "step": int(step)}
            | {"seeds": sorted(map(int, set(rows["seed"])))}
            for (run_id, stage, step), rows in table.loc[mine].groupby(PLACE, sort=True)  # pyright: ignore[reportGeneralTypeIssues]
        ]
        entries.append(
            {**json.loads(label), "covers": covers, "rows": edges.reshape(-1, 2).tolist()}
        )
    return table.drop(columns=LABEL), entries


def carrying(table: pd.DataFrame, entries: Sequence[Entry], *, rows: bool = True) -> pd.DataFrame:
    """The table with entries in its metadata.

    Args:
        table: Not changed.
        entries: Which.
        rows: Whether they say of which rows they are; a summary's do not.
    """
    kept = [e if rows else {n: v for n, v in e.items() if n != "rows"} for e in entries]
    table = table.copy(deep=False)
    table.attrs = {KEY: json.dumps(kept)} if kept else {}
    return table


def measured_with(table: pd.DataFrame, settings: Entry) -> Bool[np.ndarray, " row"]:
    """Which rows of a table, as it was read from a run folder, were measured with settings.

    Args:
        table: Whose metadata tell.
        settings: See `settings_of`.
    """
    return labelled(table)[LABEL].to_numpy() == _label(settings)


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several runs, one below the other, with the entries of all."""
    entries: dict[str, Entry] = {}
    above = 0
    for table in tables:
        for entry in table_settings(table):
            moved = [[first + above, last + above] for first, last in entry.get("rows", [])]
            known = entries.setdefault(_label(entry), {**entry, "covers": [], "rows": []})
            known["covers"] += entry["covers"]
            known["rows"] += moved
        above += len(table)
    has_rows = any(entry["rows"] for entry in entries.values())
    whole = pd.concat(list(tables), ignore_index=True)
    return carrying(whole, list(entries.values()), rows=has_rows)


def unrecorded(table: pd.DataFrame) -> bool:
    """Whether some row's settings are not known, of a table that is no summary."""
    known = sum(
        last - first for entry in table_settings(table) for first, last in entry.get("rows", [])
    )
    return known < len(table)


def _label(entry: Entry) -> str:
    """The settings of an entry as text, the same for all rows that were measured alike."""
    return json.dumps({name: entry[name] for name in ("analysis", "selection")})
