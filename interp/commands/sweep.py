"""The command `sweep`: many runs and their analyses, with their tables joined."""

import argparse
from pathlib import Path

from interp.commands import Subparsers
from interp.commands.executor import add_executor
from interp.commands.output import add_json
from interp.commands.seeds import read_seeds
from interp.commands.summary import tell_sweep
from training.executors.executor import find_executor


def add_command(commands: Subparsers) -> None:
    """Adds `iml sweep` and its options to the command line."""
    sweep = commands.add_parser("sweep", help="many runs and their analyses, tables joined")
    sweep.add_argument("name", metavar="NAME")
    sweep.add_argument("--out", type=Path, metavar="DIR", help="default runs/NAME")
    sweep.add_argument("--seeds", metavar="N or A:B", help="of every cell, as in iml run")
    sweep.add_argument("--smoke", action="store_true", help="tiny cells; numbers mean nothing")
    sweep.add_argument("--until", metavar="RUNG", help="of a ladder: the rungs up to this one")
    add_executor(sweep)
    add_json(sweep, "the cells as JSON, as iml summary --json has them")
    sweep.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Runs what is missing of a sweep; prints the gap of each cell and the claims."""
    seeds = read_seeds(arguments)

    from interp.sweeps.folders import FinishedSweep, require_place_for
    from interp.sweeps.plans import find_sweep

    sweep = find_sweep(arguments.name)
    if arguments.until is not None:
        sweep = sweep.until(arguments.until)
    folder = arguments.out or Path("runs") / sweep.name
    require_place_for(sweep, folder, smoke=arguments.smoke)
    requests = sweep.requests(folder, seeds, smoke=arguments.smoke)
    for request in sweep.with_twins(requests):
        request.check()

    from interp.sweeps.sweep import run_sweep
    from training.progress import show_progress

    run_sweep(
        sweep,
        folder,
        seeds,
        smoke=arguments.smoke,
        workers=arguments.workers,
        executor=find_executor(arguments.executor),
        show=show_progress,
    )
    tell_sweep(FinishedSweep.load(folder), as_json=arguments.json)
    return 0
