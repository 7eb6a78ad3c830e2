"""The commands that train and read runs: `recipes`, `run`, `summary`, `data`, `verify`.

torch and its relatives are imported only by what trains, so that every usage error is quick.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, TypeAlias

from data.errors import DamagedError, InputError, printable
from data.vocabulary import Kind
from interp.figures.words import plain
from training.config import LARGEST_SEED, MOST_SEEDS
from training.executors.executor import executor_names, find_executor

FIRST_SEED = 1000
"""Seeds below were used to choose hyper-parameters; reported figures use seeds from here on."""
DEFAULT_SEEDS, SMOKE_SEEDS = "8", "2"

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_commands(commands: Subparsers) -> None:
    """Enters this module's commands; each sets `run`, a function from arguments to an exit code."""
    recipes = commands.add_parser("recipes", help="what can be run, and with which parameters")
    recipes.add_argument("name", nargs="?", metavar="NAME")
    recipes.add_argument("--json", action="store_true")
    recipes.set_defaults(run=show_recipes)

    run = commands.add_parser("run", help="train a recipe over seeds, or finish and extend a run")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument(
        "--seeds",
        metavar="N or A:B",
        help=f"N seeds from {FIRST_SEED} on (default {DEFAULT_SEEDS}), or seeds A to B-1",
    )
    run.add_argument("--out", type=Path, metavar="DIR", help="default runs/RECIPE")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--with-null", action="store_true", help="also the null twin, in DIR/null")
    run.add_argument("--smoke", action="store_true", help="tiny and quick; numbers mean nothing")
    add_executor(run)
    run.set_defaults(run=run_recipe)

    summary = commands.add_parser("summary", help="the headline numbers")
    summary.add_argument("folder", type=Path, metavar="DIR")
    summary.add_argument("--json", action="store_true")
    summary.set_defaults(run=show_summary)

    data = commands.add_parser("data", help="the rows of a seed of a run")
    data.add_argument("folder", type=Path, metavar="DIR")
    data.add_argument("--seed", type=int, metavar="K", help="default the run's first seed")
    data.add_argument("--subset", metavar="NAME")
    data.add_argument("--kind", choices=[str(kind) for kind in Kind])
    data.add_argument("--limit", type=int, metavar="N")
    data.add_argument("--json", action="store_true", help="one object a line")
    data.set_defaults(run=show_rows)

    verify = commands.add_parser(
        "verify", help="compare every file of a run or sweep with its checksum"
    )
    verify.add_argument("folder", type=Path, metavar="DIR")
    verify.set_defaults(run=verify_run)


class _Workers(argparse.Action):
    """Reads `--workers`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if values < 1:
            raise InputError(f"--workers {values} does nothing; use 1 or more")
        setattr(namespace, self.dest, values)


def add_executor(parser: argparse.ArgumentParser) -> None:
    """What carries out a command's seeds or checkpoints; the same for all that have many."""
    parser.add_argument(
        "--executor", choices=executor_names(), default="local",
        help="what does the work: local (default), processes of this machine",
    )  # fmt: skip
    parser.add_argument(
        "--workers", action=_Workers, type=int, metavar="N", help="most at once; default one a core"
    )


def show_recipes(arguments: argparse.Namespace) -> int:
    """Prints every recipe, or one with its parameters."""
    from training.recipes import find_recipe
    from training.registry import RECIPES

    chosen = [find_recipe(arguments.name)] if arguments.name else list(RECIPES.values())
    if arguments.json:
        print(json.dumps([recipe.to_json() for recipe in chosen], indent=1))
        return 0
    for recipe in chosen:
        print(f"{recipe.name}: {(recipe.function.__doc__ or '').splitlines()[0]}")
        print(f"    figures {', '.join(recipe.figures)}; claims {', '.join(recipe.claims)}")
        print(f"    model   {recipe.model}")
        print(f"    cost    {recipe.cost}")
        if arguments.name:
            print("    parameters (change them with iml run --set NAME=VALUE):")
            for parameter in recipe.parameters.values():
                setting = f"{parameter.name}={plain(parameter.default)}"
                print(f"        {setting:<32}{parameter.kind_name}")
    return 0


def run_recipe(arguments: argparse.Namespace) -> int:
    """Trains what is missing of a run (and of its null twin) and prints the summary."""
    from training.recipes import find_recipe
    from training.runs.requests import RunRequest, check_together

    recipe = find_recipe(arguments.recipe)
    seeds = read_seeds(arguments)
    smoke = recipe.smoke if arguments.smoke else {}
    config = recipe(**{**smoke, **recipe.parse_arguments(arguments.set)})
    folder = arguments.out or Path("runs") / recipe.name
    request = RunRequest(config=config, folder=folder, seeds=seeds)
    requests = [request, request.null_twin()] if arguments.with_null else [request]
    check_together(requests)

    from interp.claims.summary_text import summary_text
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
                executor=find_executor(arguments.executor),
                progress=progress,
            )
    if is_spokesman():
        for each in requests:
            each.note_places()
        write_null_verdict(Run.load(folder))
        print(summary_text(Run.load(folder)))
    return 0


def read_seeds(arguments: argparse.Namespace) -> tuple[int, ...]:
    """The seeds of `--seeds`, or the default: fewer under `--smoke`."""
    default = SMOKE_SEEDS if arguments.smoke else DEFAULT_SEEDS
    return parse_seeds(default if arguments.seeds is None else arguments.seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads `N` (seeds 1000 to 1000+N-1) or `A:B` (seeds A to B-1).

    Raises:
        InputError: the text is neither, or there is no seed in it.

    >>> parse_seeds("2"), parse_seeds("5:7")
    ((1000, 1001), (5, 6))
    """
    if re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        first, end = FIRST_SEED, FIRST_SEED + int(text)
    elif match := re.fullmatch(r"(\d{1,20}):(\d{1,20})", text, re.ASCII):
        first, end = int(match[1]), int(match[2])
    else:
        raise InputError(f"--seeds {text} is no number of seeds; write 8, or 1008:1016")
    if end <= first:
        raise InputError(f"--seeds {text} holds no seed; write 8, or 1008:1016")
    if end - first > MOST_SEEDS or end > LARGEST_SEED:
        raise InputError(
            f"--seeds {text} are {end - first:,} seeds up to {end - 1:,}; a run holds at most "
            f"{MOST_SEEDS:,}, numbered below {LARGEST_SEED:,}"
        )
    return tuple(range(first, end))


def show_summary(arguments: argparse.Namespace) -> int:
    """Prints `summary.json` with the paper's claims, or its numbers as a table."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    if arguments.json:
        from interp.claims.summary_text import contrasts_in
        from interp.claims.verdicts import claims_of_run
        from training.runs.old_rules import old_rules

        claims = [verdict.to_json() for verdict in claims_of_run(run)]
        rules = {"old_rules": found} if (found := old_rules(run)) else {}
        shown = {**run.summary, **contrasts_in(run), "claims": claims, **rules}
        print(json.dumps(shown, indent=1))
    else:
        from interp.claims.summary_text import summary_text

        print(summary_text(run))
    return 0


def show_rows(arguments: argparse.Namespace) -> int:
    """Prints the rows of a seed."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    if arguments.subset is not None:
        run.design.subset(arguments.subset)
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit} shows nothing; use 1 or more")
    seed = run.seeds[0] if arguments.seed is None else arguments.seed
    run.require_seed(seed)

    from data.tables import row_record

    rows = [
        row
        for row in run.tokenized_rows(seed)
        if arguments.subset in (None, row.row.subset.name)
        and arguments.kind in (None, row.row.kind)
    ]
    if not rows:
        kind = f" of kind {arguments.kind}" if arguments.kind else ""
        present = ", ".join(sorted({row.row.subset.name for row in run.tokenized_rows(seed)}))
        raise InputError(
            f"{arguments.folder} has no rows of {arguments.subset}{kind}; its subsets: {present}"
        )
    for row in rows[: arguments.limit]:
        record = row_record(row, seed)
        if arguments.json:
            print(json.dumps(record))
        else:
            print(f"{record['row_id']:<34}{record['split']:<6} {record['text']!r}")
    return 0


def verify_run(arguments: argparse.Namespace) -> int:
    """Compares every file with its checksum."""
    from training.runs.integrity import run_damage

    return tell_damage(arguments.folder, run_damage(arguments.folder))


def tell_damage(folder: Path, problems: list[str]) -> int:
    """Says that nothing is damaged in a folder, or what is.

    Raises:
        DamagedError: something is; the message names the first of it, the rest is printed.
    """
    if problems:
        for problem in problems[1:]:
            print(printable(problem), file=sys.stdout)
        more = f" (and {len(problems) - 1} more, listed above)" if len(problems) > 1 else ""
        raise DamagedError(
            f"{problems[0]}{more}; delete what is damaged (of a checkpoint, its seed's folder) "
            "and repeat the command that made it"
        )
    print(f"{printable(folder)}: every file matches its checksum")
    return 0
