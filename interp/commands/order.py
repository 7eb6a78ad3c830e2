"""The command `order`: what comes first in training?"""

import argparse
from pathlib import Path

from data.vocabulary import Part
from interp.commands import Subparsers
from interp.commands.output import Findings, Said, add_output, print_findings
from interp.commands.selectors import STAGES


def add_command(commands: Subparsers) -> None:
    """Adds `iml order` and its options to the command line."""
    order = commands.add_parser("order", help="what comes first in training: gap, alignment ...")
    order.add_argument("folder", type=Path, metavar="DIR")
    order.add_argument("--stage", type=int, choices=STAGES, help="default the last")
    add_output(order)
    order.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Reads the curves that the run's tables have, writes and prints their order."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.orders.summary import ORDER_COLUMNS
    from interp.orders.tables import write_orders
    from interp.orders.wording import RULE, orders_found

    stage = arguments.stage or int(run.config.schedule.read_at(Part.X2))
    table, summary = write_orders(run, stage)
    sentences = orders_found(table, summary)
    findings = Findings(
        analysis="orders",
        said=[Said(run=run, stage=stage, step=max(table["step"].tolist()), sentences=sentences)],
        summary=summary,
        cells=summary,
        columns=ORDER_COLUMNS,
        first=summary,
        which="pairs of curves",
        interval_of="ratio",
        legend=f"ratio: how many times later the second curve is half-way. {RULE}",
    )
    print_findings(findings, arguments)
    return 0
