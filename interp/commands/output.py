"""What commands print: JSON for programs; of analyses sentences and a short table, or all."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from data.errors import printable

if TYPE_CHECKING:
    import pandas as pd

    from training.runs.run import Run

WIDTH = 100  # characters of a line of text
MOST_SENTENCES, MOST_SAID, MOST_CELLS = 8, 32, 12
"""Sentences about a run, lines of sentences, and cells of a table that are printed unless `--full`.

With what stands around them a command prints 60 lines at most.
"""
TESTED = ["control", "difference", "ci_low", "ci_high", "p_corrected", "n_seeds"]
"""The columns of a summary that tell what was found from its control."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """Sentences about one checkpoint of a run."""

    run: "Run"
    stage: int
    step: int
    sentences: Sequence[str]
    details: Sequence[str] = ()
    """What is only said with `--full`, and to programs."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an analysis found, as sentences and as the cells of its summary."""

    analysis: str
    """The name of the tables in the run folder."""
    said: Sequence[Said]
    summary: "pd.DataFrame"
    """For programs, who get all of it."""
    cells: "pd.DataFrame"
    """Those of the summary that a person gets."""
    columns: Sequence[str]
    short: Sequence[str] = ()
    """Those of the columns that the short table has; all unless given."""
    first: "pd.DataFrame | None" = None
    """The cells of the short table; those with the largest `difference` unless given."""
    which: str = "those that differ from their control first, by size"
    """What the cells of the short table are."""
    interval_of: str = "diff"
    """What `ci_low` and `ci_high` are the ends of."""
    legend: str = ""
    further: Mapping[str, "Findings"] = field(default_factory=dict)
    """Findings of a second analysis of the same command, by their key in JSON."""


def add_json(parser: argparse.ArgumentParser, what: str = "JSON for programs") -> None:
    """Adds `--json`, with which a command prints JSON and nothing else on stdout."""
    parser.add_argument("--json", action="store_true", help=what)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds `--full` and `--json`, which say how an analysis prints what it found."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--full", action="store_true", help="every sentence and every cell")
    chosen.add_argument(
        "--json", action="store_true", help="sentences, settings and every cell, for programs"
    )


def print_json(value: object) -> None:
    """Prints a value as JSON; what is not a finite number is null."""
    print(json.dumps(_jsonable(value), indent=1, allow_nan=False))


def print_findings(findings: Findings, arguments: argparse.Namespace) -> None:
    """Prints what was found, as `--full` or `--json` want it or else in at most 60 lines."""
    if arguments.json:
        print_json(_record(findings))
        return
    parts = [findings, *findings.further.values()]
    share = None if arguments.full else len(parts)
    print("\n\n".join("\n".join(_lines(each, share)) for each in parts))


def largest_first(cells: "pd.DataFrame", column: str = "difference") -> "pd.DataFrame":
    """Cells that survive correction, then the others; of each those with the largest value."""
    from interp.figures.grid_tables import ALPHA

    order = cells.assign(_size=-cells[column].abs(), _open=~(cells["p_corrected"] <= ALPHA))
    return cells.loc[order.sort_values(["_open", "_size"], kind="stable").index]


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, break_on_hyphens=False)


def _lines(findings: Findings, share: int | None) -> list[str]:
    """Sentences, table and legend; cut to a share of what fits, unless there is none."""
    cells, legend = findings.cells.reset_index(drop=True), findings.legend
    if share is None:
        told = [(each, [*each.sentences, *each.details]) for each in findings.said]
        said = _under_headings(told)
        heading, shown, columns = f"{len(cells):,} cells:", cells, findings.columns
    else:
        said, is_cut = _short_said(findings.said, MOST_SAID // share)
        legend += f" {_least_p(findings.summary)}" if is_cut else ""
        first = largest_first(cells) if findings.first is None else findings.first
        shown = first.head(MOST_CELLS // share)
        shared = _shared(shown, findings.short or findings.columns)
        columns = [name for name in findings.short or findings.columns if name not in shared]
        which = "; ".join([findings.which, *(f"{name} {value}" for name, value in shared.items())])
        heading = f"{len(shown):,} of {len(cells):,} cells ({which}); --full for all:"
    table = _table(findings, shown, columns).splitlines() if len(shown) else ["(none)"]
    space = [""] if said else []
    return [*said, *space, *_wrapped(heading), *table, *_wrapped(legend)]


def _short_said(said: Sequence[Said], most: int) -> tuple[list[str], bool]:
    """Sentences in so many lines, and whether some are missing.

    Each run and checkpoint has an equal share, as far as its first sentence goes.
    """
    shown: list[tuple[Said, list[str]]] = []
    for place, each in enumerate(said):
        used, is_one = len(_under_headings(shown, said)), len(said) == 1
        room = (most - used) // (len(said) - place) - (not is_one)
        body = _fitting(each.sentences, room, at_most=most - used - (not is_one))
        if each.sentences and not body:
            left = f"{len(said) - place} more runs or checkpoints; --full says what of them."
            return [*_under_headings(shown, said), left], True
        shown.append((each, body))
    is_cut = any(len(body) < len(each.sentences) for each, body in shown)
    lines = _under_headings(shown, said)
    if is_cut:
        n_left = sum(len(each.sentences) - len(body) for each, body in shown)
        lines.append(f"({n_left} more sentences: --full)")
    return lines, is_cut


def _fitting(sentences: Sequence[str], room: int, *, at_most: int) -> list[str]:
    """As many sentences as there is room for, the first one also where it takes a little more."""
    kept: list[str] = []
    n_lines = 0
    for text in sentences[:MOST_SENTENCES]:
        n_lines += len(_wrapped(text))
        if n_lines > (room if kept else at_most):
            break
        kept.append(text)
    return kept


def _under_headings(
    told: Sequence[tuple[Said, Sequence[str]]], among: Sequence[Said] | None = None
) -> list[str]:
    """Lines of sentences, under what tells runs and checkpoints apart where there are several."""
    names = _headings([each for each, _ in told] if among is None else among)
    return [
        line
        for name, (_, sentences) in zip(names, told, strict=False)
        for text in ([f"{name}:"] if name else []) + list(sentences)
        for line in _wrapped(text)
    ]


def _least_p(summary: "pd.DataFrame") -> str:
    """What the cut sentences would have said at their end."""
    if "p_smallest" not in summary:
        return ""
    n_seeds = int(summary["n_seeds"].to_numpy().max())
    if "n_tested" in summary:  # where some seeds have nothing to be held against, it is said there
        summary = summary.loc[summary["n_tested"] == summary["n_seeds"]]
    smallest = float(summary["p_smallest"].dropna().to_numpy().max(initial=0.0))
    return f"n = {n_seeds} seed{'s' * (n_seeds != 1)} can give no p below {smallest:.2g}."


def _shared(cells: "pd.DataFrame", columns: Sequence[str]) -> dict[str, object]:
    """Coordinates that all cells of a table have in common: they are said once, above it."""
    if len(cells) < 2:
        return {}
    told = [name for name in columns if name not in ("n", "n_seeds")]
    first = cells.iloc[0].to_dict()
    known = {name: set(cells[name].tolist()) for name in told if cells[name].dtype.kind != "f"}
    same = [name for name, values in known.items() if len(values) == 1]
    return {name: first[name] for name in same if first[name] != ""}


def _headings(said: Sequence[Said]) -> list[str]:
    """What tells runs and checkpoints apart; nothing where there is but one."""
    folders = {str(each.run.folder) for each in said}
    places = {(each.stage, each.step) for each in said}
    return [
        ", ".join(
            ([printable(each.run.folder)] if len(folders) > 1 else [])
            + ([f"Stage {each.stage}, step {each.step}"] if len(places) > 1 else [])
        )
        for each in said
    ]


def _table(findings: Findings, cells: "pd.DataFrame", columns: Sequence[str]) -> str:
    """Cells as text; a run's folder is told only where several are compared."""
    ends = {end: f"{findings.interval_of}_{end}" for end in ("ci_low", "ci_high")}
    shown = cells[list(columns)].round(3).rename(ends, axis="columns")
    places = {(each.stage, each.step) for each in findings.said}
    if len(places) > 1 and not {"stage", "step"} & set(shown) and {"stage", "step"} <= set(cells):
        shown.insert(0, "step", cells["step"])
        shown.insert(0, "stage", cells["stage"])
    folders = {each.run.config.run_id: printable(each.run.folder) for each in findings.said}
    if len(folders) > 1:
        shown.insert(0, "run", [folders[run_id] for run_id in cells["run_id"]])
    return shown.to_string(index=False)


def _record(findings: Findings) -> dict[str, Any]:
    """What programs get: the same keys of every analysis."""
    from interp.grids.settings import table_settings
    from training.runs.run import read_table

    runs: dict[str, dict[str, Any]] = {}
    for each in findings.said:
        path = each.run.folder / f"{findings.analysis}_summary.parquet"
        known = {
            "folder": each.run.folder,
            "run_id": each.run.config.run_id,
            "settings": table_settings(read_table(path)),
            "found": [],
        }
        sentences = [*each.sentences, *each.details]
        of_run = runs.setdefault(each.run.config.run_id, known)
        of_run["found"].append({"stage": each.stage, "step": each.step, "sentences": sentences})
    return {
        "analysis": findings.analysis,
        "runs": list(runs.values()),
        "summary": findings.summary.to_dict("records"),
        **{name: _record(each) for name, each in findings.further.items()},
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    number = value.item() if hasattr(value, "item") else value  # of numpy
    return None if isinstance(number, float) and not math.isfinite(number) else number
