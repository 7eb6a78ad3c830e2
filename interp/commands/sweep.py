"""The command `sweep`: many runs and their analyses, with their tables joined."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import CellsFailedError, InputError, printable
from interp.commands import Subparsers
from interp.commands.executor import add_executor, chosen_executor
from interp.commands.output import add_json, print_json
from interp.commands.seeds import read_seeds
from interp.commands.summary import tell_sweep

if TYPE_CHECKING:
    from interp.sweeps.plans import Sweep


def add_command(commands: Subparsers) -> None:
    """Adds `iml sweep` and its options to the command line."""
    sweep = commands.add_parser("sweep", help="many runs and their analyses, tables joined")
    sweep.add_argument("name", metavar="NAME or FILE.py")
    sweep.add_argument("--out", type=Path, metavar="DIR", help="default runs/NAME")
    sweep.add_argument("--seeds", metavar="N or A:B", help="of every cell, as in iml run")
    sweep.add_argument("--smoke", action="store_true", help="tiny cells; numbers mean nothing")
    sweep.add_argument("--until", metavar="RUNG", help="of a ladder: the rungs up to this one")
    sweep.add_argument(
        "--retries", type=int, default=2, metavar="N",
        help="how often a seed or checkpoint that fails is begun again; default 2",
    )  # fmt: skip
    sweep.add_argument(
        "--plan",
        action="store_true",
        help="say what is missing and what it would take; run nothing",
    )
    add_executor(sweep)
    add_json(sweep, "the cells as JSON, as iml summary --json has them")
    sweep.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Runs what is missing of a sweep; prints the gap of each cell and the claims."""
    seeds = read_seeds(arguments)
    if arguments.retries < 0:
        raise InputError(f"--retries {arguments.retries} is less than none; use 0 or more")
    executor = None if arguments.plan else chosen_executor(arguments)
    sweep = _chosen(arguments)

    from interp.sweeps.folders import FinishedSweep, require_place_for

    folder = arguments.out or Path("runs") / sweep.name
    require_place_for(sweep, folder, smoke=arguments.smoke)
    requests = sweep.requests(folder, seeds, smoke=arguments.smoke)
    for request in sweep.with_twins(requests):
        request.check()
    if executor is None:
        return _tell_plan(arguments, sweep, folder, seeds)

    from interp.sweeps.sweep import run_sweep
    from training.progress import show_cells, show_progress

    try:
        run_sweep(
            sweep,
            folder,
            seeds,
            smoke=arguments.smoke,
            workers=arguments.workers,
            executor=executor,
            retries=arguments.retries,
            show=show_progress,
            show_cells=show_cells,
        )
    except CellsFailedError as error:
        for name, reason in error.failures.items():
            print(f"failed: {printable(name)}: {printable(reason)}", file=sys.stderr)
        raise
    tell_sweep(FinishedSweep.load(folder), as_json=arguments.json)
    return 0


def _tell_plan(
    arguments: argparse.Namespace, sweep: "Sweep", folder: Path, seeds: tuple[int, ...]
) -> int:
    """Prints what the missing part of a sweep would take."""
    from interp.sweeps.estimates import estimate_json, estimate_text, estimated
    from training.progress import show_progress

    found = estimated(sweep, folder, seeds, smoke=arguments.smoke, show=show_progress)
    if arguments.json:
        print_json(estimate_json(found, arguments.workers))
    else:
        print(estimate_text(sweep, found, arguments.workers))
    return 0


def _chosen(arguments: argparse.Namespace) -> "Sweep":
    """The sweep of a name, or of a file."""
    from interp.sweeps.own import ENDING, own_sweep
    from interp.sweeps.plans import find_sweep

    is_file = arguments.name.endswith(ENDING)
    sweep = own_sweep(Path(arguments.name)) if is_file else find_sweep(arguments.name)
    return sweep if arguments.until is None else sweep.until(arguments.until)
