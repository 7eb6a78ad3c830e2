"""The command `report`: one self-contained page on a run or a sweep."""

import argparse
from pathlib import Path

from data.errors import printable
from interp.commands import Subparsers


def add_command(commands: Subparsers) -> None:
    """Adds `iml report` and its options to the command line."""
    report = commands.add_parser("report", help="one self-contained HTML page on a run or sweep")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Writes the page of a run or sweep to `DIR/report.html`, and prints where that is."""
    from interp.sweeps.folders import FinishedSweep, is_sweep

    if is_sweep(arguments.folder):
        sweep = FinishedSweep.load(arguments.folder)

        from interp.report.sweep_page import build_sweep_report

        print(printable(build_sweep_report(sweep)))
        return 0

    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.report.page import build_report

    print(printable(build_report(run)))
    return 0
