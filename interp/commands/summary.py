"""The command `summary`: the headline numbers of a run, or of the cells of a sweep."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json

if TYPE_CHECKING:
    from interp.sweeps.folders import FinishedSweep
    from training.runs.run import Run


def add_command(commands: Subparsers) -> None:
    """Adds `iml summary` and its options to the command line."""
    summary = commands.add_parser("summary", help="the headline numbers")
    summary.add_argument("folder", type=Path, metavar="DIR")
    summary.add_argument(
        "--half-width", type=float, metavar="NATS",
        help="of the gap's interval: how many seeds would it take? default half of what it is",
    )  # fmt: skip
    add_json(summary)
    summary.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the headline numbers of a run, or the cells of a sweep; with the paper's claims."""
    from interp.sweeps.folders import is_sweep

    wanted = arguments.half_width
    if wanted is not None and not 0 < wanted < math.inf:
        raise InputError(f"--half-width {wanted:g} is no width; use a positive number of nats")
    return _show_sweep(arguments) if is_sweep(arguments.folder) else _show_run(arguments)


def _show_sweep(arguments: argparse.Namespace) -> int:
    from interp.sweeps.folders import FinishedSweep

    tell_sweep(FinishedSweep.load(arguments.folder), as_json=arguments.json)
    return 0


def _show_run(arguments: argparse.Namespace) -> int:
    from training.runs.run import Run

    tell_run(Run.load(arguments.folder), as_json=arguments.json, half_width=arguments.half_width)
    return 0


def tell_sweep(sweep: "FinishedSweep", *, as_json: bool) -> None:
    """Prints the cells of a sweep, with the paper's claims."""
    from interp.sweeps.summary_text import sweep_text

    if as_json:
        from interp.sweeps.ladder import ladder_table

        ladder = ladder_table(sweep).to_json(orient="records") if sweep.rungs else "[]"
        found = {"ladder": json.loads(ladder)} if sweep.rungs else {}
        print_json({**sweep.to_json(), **found})
    else:
        print(sweep_text(sweep))


def tell_run(run: "Run", *, as_json: bool, half_width: float | None = None) -> None:
    """Prints a run's `summary.json` with the paper's claims, or its numbers as a table.

    Args:
        run: A finished run.
        as_json: Whether for programs.
        half_width: Of the gap's interval, for which seeds are counted.
    """
    from training.runs.ledger import note_read

    note_read(run, "summary", run.seeds)
    if as_json:
        from interp.claims.verdicts import claims_of_run
        from interp.verdicts.gaps import contrasts_in
        from interp.verdicts.spread import spreads_of
        from training.runs.old_rules import old_rules

        claims = [verdict.to_json() for verdict in claims_of_run(run)]
        rules = {"old_rules": found} if (found := old_rules(run)) else {}
        spread = {name: each.to_json() for name, each in spreads_of(run, half_width).items()}
        known = {**run.summary, **contrasts_in(run), "claims": claims, **rules}
        print_json({**known, **({"spread": spread} if spread else {})})
    else:
        from interp.claims.summary_text import summary_text

        print(summary_text(run, half_width))
