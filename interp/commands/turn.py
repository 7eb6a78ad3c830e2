"""The command `turn`: both stages trained again with updates turned, beside controls."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import Part
from interp.commands import Subparsers
from interp.commands.device import add_device
from interp.commands.executor import add_executor
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import (
    TESTED,
    Findings,
    Said,
    add_output,
    largest_first,
    print_findings,
)
from interp.commands.selectors import unique

if TYPE_CHECKING:
    import pandas as pd


def add_command(commands: Subparsers) -> None:
    """Adds `iml turn` and its options to the command line."""
    from pathlib import Path

    turn = commands.add_parser(
        "turn", help="train again with updates turned: what do codes and aligned gradients cause?"
    )
    turn.add_argument("folder", type=Path, metavar="DIR")
    turn.add_argument(
        "--treatment", action="append", metavar="NAME",
        help="'own code', 'into question code', alignment (in Stage 1); read-out, 'read-out "
        "space', 'out of question code', 'to question code' (in Stage 2); default all",
    )  # fmt: skip
    turn.add_argument(
        "--dose", action="append", type=float, metavar="X",
        help="how much is taken out; 1 (default) all, -1 as much added",
    )  # fmt: skip
    turn.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    turn.add_argument(
        "--limit", type=int, metavar="N", help="definitions whose alignment is measured; default 50"
    )
    add_device(turn)
    add_executor(turn)
    add_output(turn)
    turn.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Trains, writes the tables and prints what became of the gap.

    Raises:
        InputError: an unknown seed or treatment, or a run whose updates cannot be turned.
    """
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()
    for seed in arguments.seed or ():
        run.require_seed(seed)
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit} leaves no definitions; use 1 or more")

    from interp.grids.selection import GridSelection
    from interp.turns.analysis import TurnAnalysis
    from interp.turns.wording import turns_found

    analysis = TurnAnalysis(
        folder=arguments.folder,
        treatments=unique(arguments.treatment or ()),
        doses=tuple(dict.fromkeys(arguments.dose or (1.0,))),
    )
    if arguments.limit:
        analysis = replace(analysis, limit=arguments.limit)
    seeds = tuple(dict.fromkeys(arguments.seed)) if arguments.seed else None
    start = int(run.config.schedule.read_at(Part.X1))
    selection = GridSelection(runs=(run,), stage=start, seeds=seeds)
    summary = fill(analysis, selection, arguments)[1]
    findings = Findings(
        analysis=analysis.name,
        said=[
            Said(run=run, stage=stage, step=step, sentences=turns_found(cells))
            for _, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=["treatment", "dose", "control_kind", "against", "subset", "metric", "value",
                 "null", *TESTED[1:]],
        first=_first(summary, run.design.main.gap),
        which="the gap of treatments, corrected first, then by size of its change",
        legend="difference: value - null; null: untreated, or the control that is named.",
    )  # fmt: skip
    print_findings(findings, arguments)
    return 0


def _first(summary: "pd.DataFrame", gap: str) -> "pd.DataFrame":
    """The cells of the short table: what treatments change in the gap."""
    is_real = (summary["control_kind"] == "") & (summary["against"] != "")
    return largest_first(
        summary.loc[is_real & (summary["subset"] == gap) & (summary["after"] == 2)]
    )
