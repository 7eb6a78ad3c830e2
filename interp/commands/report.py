"""The command `report`: one self-contained page on a run or a sweep."""

import argparse
from pathlib import Path

from data.errors import printable
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json


def add_command(commands: Subparsers) -> None:
    """Adds `iml report` and its options to the command line."""
    report = commands.add_parser("report", help="one self-contained HTML page on a run or sweep")
    report.add_argument("folder", type=Path, metavar="DIR")
    add_json(report, "where the page is, as JSON")
    report.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Writes the page of a run or sweep to `DIR/report.html`, and prints where that is."""
    from interp.sweeps.folders import FinishedSweep, is_sweep

    if is_sweep(arguments.folder):
        sweep = FinishedSweep.load(arguments.folder)

        from interp.report.sweep_page import build_sweep_report

        return _tell(build_sweep_report(sweep), arguments)

    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.report.page import build_report

    return _tell(build_report(run), arguments)


def _tell(page: Path, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json({"report": page})
    else:
        print(printable(page))
    return 0
