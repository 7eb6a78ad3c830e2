"""The command `twins`: the gap paired with that of a twin with exchanged tags."""

import argparse
from pathlib import Path

from data.vocabulary import Part
from interp.commands import Subparsers
from interp.commands.device import add_device
from interp.commands.executor import add_executor
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import Findings, Said, add_output, print_findings
from interp.commands.selectors import chosen_seeds, unique

EXCHANGED_IN = (1, 2)


def add_command(commands: Subparsers) -> None:
    """Adds `iml twins` and its options to the command line."""
    twins = commands.add_parser("twins", help="train twins with exchanged tags: the gap in pairs")
    twins.add_argument("folder", type=Path, metavar="DIR")
    twins.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    twins.add_argument(
        "--exchanged-in", action="append", type=int, choices=EXCHANGED_IN,
        help="the stage whose tags change places; default each in a twin of its own",
    )  # fmt: skip
    add_device(twins)
    add_executor(twins)
    add_output(twins)
    twins.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Trains the twins, writes the tables and prints the paired gap and what pairing gains."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.grids.selection import GridSelection
    from interp.twins.analysis import TwinAnalysis
    from interp.twins.wording import twins_found

    analysis = TwinAnalysis(
        folder=arguments.folder, exchanged_in=unique(arguments.exchanged_in or EXCHANGED_IN)
    )
    stage = int(run.config.schedule.read_at(Part.X2))
    selection = GridSelection(runs=(run,), stage=stage, seeds=chosen_seeds(run, arguments.seed))
    summary = fill(analysis, selection, arguments)[1]
    findings = Findings(
        analysis=analysis.name,
        said=[
            Said(run=each, stage=at, step=step, sentences=twins_found(cells))
            for each, at, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=["exchanged_in", "metric", "estimator", "value", "ci_low", "ci_high",
                 "p_corrected", "correlation", "variance_ratio", "ratio_low", "ratio_high",
                 "alias_ratio", "n_seeds"],
        first=summary,
        which="gaps by the stage whose tags are exchanged",
        interval_of="value",
    )  # fmt: skip
    print_findings(findings, arguments)
    return 0
