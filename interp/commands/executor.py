"""What carries out a command's seeds or checkpoints: `--executor`, `--workers` and the like."""

import argparse
import math
from typing import Any

from data.errors import InputError
from training.executors.executor import Executor, executor_names, find_executor

OPTIONS = ("address", "gpus", "minutes", "partition", "account")
"""Options of single executors, which are fields of theirs."""


class _Workers(argparse.Action):
    """Takes the number behind `--workers`, and refuses one below 1."""

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
    """Adds `--executor` and `--workers`, by which the seeds or checkpoints are carried out."""
    parser.add_argument(
        "--executor", choices=executor_names(), default="local",
        help="what does the work: local (default), processes of this machine; ray; slurm",
    )  # fmt: skip
    parser.add_argument(
        "--workers", action=_Workers, type=int, metavar="N", help="most at once; default one a core"
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="ray: a cluster that is there")
    parser.add_argument("--gpus", type=_share, metavar="G", help="ray, slurm: for each cell")
    parser.add_argument("--minutes", type=int, metavar="M", help="slurm: time limit; default 60")
    parser.add_argument("--partition", metavar="NAME", help="slurm: where jobs go")
    parser.add_argument("--account", metavar="NAME", help="slurm: who pays")


def chosen_executor(arguments: argparse.Namespace) -> Executor:
    """The executor that a command line asks for.

    Raises:
        InputError: it has no such option, or what it needs is not there.
    """
    options = {name: getattr(arguments, name) for name in OPTIONS}
    return find_executor(arguments.executor, **options)


def _share(text: str) -> float:
    """GPUs of a cell: a positive number, below 1 for several cells on one."""
    gpus = float(text)
    if not 0 < gpus < math.inf:
        raise ValueError(text)
    return gpus
