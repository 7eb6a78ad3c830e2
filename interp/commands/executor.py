"""What carries out a command's seeds or checkpoints: `--executor` and `--workers`."""

import argparse
from typing import Any

from data.errors import InputError
from training.executors.executor import executor_names


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
        help="what does the work: local (default), processes of this machine",
    )  # fmt: skip
    parser.add_argument(
        "--workers", action=_Workers, type=int, metavar="N", help="most at once; default one a core"
    )
