"""The command `data`: the rows that a seed of a run was trained on and asked."""

import argparse
import json
from pathlib import Path

from data.errors import InputError
from data.vocabulary import Kind
from interp.commands import Subparsers
from interp.commands.output import add_json


def add_command(commands: Subparsers) -> None:
    """Adds `iml data` and its options to the command line."""
    data = commands.add_parser("data", help="the rows of a seed of a run")
    data.add_argument("folder", type=Path, metavar="DIR")
    data.add_argument("--seed", type=int, metavar="K", help="default the run's first seed")
    data.add_argument("--subset", metavar="NAME")
    data.add_argument("--kind", choices=[str(kind) for kind in Kind])
    data.add_argument("--limit", type=int, metavar="N")
    add_json(data, "one object a line")
    data.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the rows of a seed that the options choose, as text or as JSON."""
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
