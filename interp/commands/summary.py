"""The command `summary`: the headline numbers of a run, or of the cells of a sweep."""

import argparse
import json
from pathlib import Path

from interp.commands import Subparsers


def add_command(commands: Subparsers) -> None:
    """Adds `iml summary` and its options to the command line."""
    summary = commands.add_parser("summary", help="the headline numbers")
    summary.add_argument("folder", type=Path, metavar="DIR")
    summary.add_argument("--json", action="store_true")
    summary.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the headline numbers of a run, or the cells of a sweep; with the paper's claims."""
    from interp.sweeps.folders import is_sweep

    return _show_sweep(arguments) if is_sweep(arguments.folder) else _show_run(arguments)


def _show_sweep(arguments: argparse.Namespace) -> int:
    from interp.sweeps.folders import FinishedSweep
    from interp.sweeps.summary_text import sweep_text

    sweep = FinishedSweep.load(arguments.folder)
    print(json.dumps(sweep.to_json(), indent=1) if arguments.json else sweep_text(sweep))
    return 0


def _show_run(arguments: argparse.Namespace) -> int:
    """Prints a run's `summary.json` with the paper's claims, or its numbers as a table."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    if arguments.json:
        from interp.claims.verdicts import claims_of_run
        from interp.verdicts.gaps import contrasts_in
        from training.runs.old_rules import old_rules

        claims = [verdict.to_json() for verdict in claims_of_run(run)]
        rules = {"old_rules": found} if (found := old_rules(run)) else {}
        shown = {**run.summary, **contrasts_in(run), "claims": claims, **rules}
        print(json.dumps(shown, indent=1))
    else:
        from interp.claims.summary_text import summary_text

        print(summary_text(run))
    return 0
