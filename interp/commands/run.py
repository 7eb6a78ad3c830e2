"""The command `run`: trains what is missing of a run, and says what it shows.

torch and its relatives are imported only by what trains, so that every usage error is quick.
"""

import argparse
import sys
from pathlib import Path

from data.errors import printable
from interp.commands import Subparsers
from interp.commands.executor import add_executor, chosen_executor
from interp.commands.output import add_json
from interp.commands.seeds import DEFAULT_SEEDS, FIRST_SEED, read_seeds
from interp.commands.summary import tell_run


def add_command(commands: Subparsers) -> None:
    """Adds `iml run` and its options to the command line."""
    run = commands.add_parser("run", help="train a recipe over seeds, or finish and extend a run")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument(
        "--seeds",
        metavar="N or A:B",
        help=f"N seeds from {FIRST_SEED} on (default {DEFAULT_SEEDS}), or seeds A to B-1",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="default runs/RECIPE")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--with-null", action="store_true", help="also the control twin, in DIR/null")
    run.add_argument("--smoke", action="store_true", help="tiny and quick; numbers mean nothing")
    add_executor(run)
    add_json(run, "the summary as JSON, as iml summary --json has it")
    run.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Trains what is missing of a run (and of its control twin) and prints the summary."""
    from training.recipes import find_recipe
    from training.runs.requests import RunRequest, check_together

    executor = chosen_executor(arguments)
    recipe = find_recipe(arguments.recipe)
    seeds = read_seeds(arguments)
    smoke = recipe.smoke if arguments.smoke else {}
    config = recipe(**{**smoke, **recipe.parse_arguments(arguments.set)})
    folder = arguments.out or Path("runs") / recipe.name
    request = RunRequest(config=config, folder=folder, seeds=seeds)
    requests = [request, request.null_twin()] if arguments.with_null else [request]
    check_together(requests)

    from training.progress import is_spokesman, show_progress
    from training.runs.run import Run, write_null_verdict

    for note in request.notes if is_spokesman() else ():
        print(f"note: {printable(note)}", file=sys.stderr)
    if any(request.missing_seeds() for request in requests):
        from training.runs.runner import run_seeds

        with show_progress(recipe.name) as progress:
            run_seeds(
                requests,
                workers=arguments.workers,
                executor=executor,
                progress=progress,
            )
    if is_spokesman():
        for each in requests:
            each.note_places()
        write_null_verdict(Run.load(folder))
        tell_run(Run.load(folder), as_json=arguments.json)
    return 0
