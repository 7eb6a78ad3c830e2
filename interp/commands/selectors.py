"""Which checkpoints, where in model and text: the options that every analysis has.

`--site`, `--role`, `--layer`, `--seed`, `--stage`, `--step` and `--along`, and what is made of
them. Along training what is compared is what the last of the stages is about, at each checkpoint.
"""

import argparse
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.errors import InputError, unknown_name
from data.vocabulary import Stage
from interp.commands.device import add_device
from interp.commands.executor import add_executor
from interp.commands.output import add_output

if TYPE_CHECKING:
    from data.design import Contrast
    from interp.grids.selection import GridSelection
    from interp.hooked.addresses import TokenRole
    from training.runs.run import Run

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=StrEnum)
STAGES = tuple(map(int, Stage))
"""What `--stage` takes; a run says which of them it has."""


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """Adds the options by which every analysis chooses checkpoints, sites and token roles."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="together one grid")
    parser.add_argument(
        "--site", action="append", metavar="S", help="default the residual stream's states"
    )
    parser.add_argument(
        "--role", action="append", metavar="R", help="token roles; the command says its default"
    )
    parser.add_argument("--layer", action="append", type=int, metavar="L", help="default all")
    parser.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    parser.add_argument("--stage", type=int, choices=STAGES, help="default 1, all with --along")
    parser.add_argument("--step", type=int, metavar="N", help="default the stage's last")
    parser.add_argument(
        "--along", action="store_true", help="every checkpoint that all seeds have, in one grid"
    )
    add_device(parser)
    add_executor(parser)
    add_output(parser)


def selection_of(
    arguments: argparse.Namespace, *, sites: tuple[str, ...] | None = None
) -> "GridSelection":
    """The grid that the selectors describe, checked against the runs; `sites` unless others are."""
    from training.runs.run import Run

    runs = tuple(Run.load(folder) for folder in arguments.folders)
    for run in runs:
        for seed in arguments.seed or ():
            run.require_seed(seed)

    if arguments.along:
        refuse(arguments.step is not None, "--step", "--along takes every step")

    from interp.grids.selection import GridSelection

    stages = tuple(map(int, runs[0].config.schedule.stages))
    selection = GridSelection(
        runs=runs,
        stage=arguments.stage or (max(stages) if arguments.along else 1),
        step=arguments.step,
        seeds=unique(arguments.seed) if arguments.seed else None,
        sites=unique(arguments.site) if arguments.site else sites,
        layers=unique(arguments.layer) if arguments.layer else None,
        along=((arguments.stage,) if arguments.stage else stages) if arguments.along else (),
    )
    selection.check()
    return selection


def chosen_seeds(run: "Run", seeds: list[int] | None) -> tuple[int, ...] | None:
    """The seeds that `--seed` names, each once; None for all.

    Raises:
        InputError: the run lacks one of them.
    """
    for seed in seeds or ():
        run.require_seed(seed)
    return unique(seeds) if seeds else None


def roles_of(arguments: argparse.Namespace) -> "tuple[TokenRole, ...]":
    """The token roles that `--role` names, each once."""
    from interp.hooked.addresses import TokenRole

    return unique(TokenRole.parse(role) for role in arguments.role or ())


def unique(values: Iterable[Value]) -> tuple[Value, ...]:
    """The values without repetitions, in the order in which they first come."""
    return tuple(dict.fromkeys(values))


def choices_of(names: list[str] | None, kind: type[Choice], what: str) -> tuple[Choice, ...]:
    """The members of an enumeration that were named, each once.

    Raises:
        InputError: a name is none of its members; `what` says what they are.
    """
    known = [str(member) for member in kind]
    for name in names or ():
        if name not in known:
            raise unknown_name(what, name, known)
    return unique(kind(name) for name in names or ())


def refuse(given: object, flag: str, reason: str) -> None:
    """Refuses an option that this analysis has no use for, if it was given."""
    if given:
        raise InputError(f"{flag} does nothing here: {reason}; leave it out")


def compared_in(selection: "GridSelection") -> "Contrast":
    """What the stage of a grid is about, by the design and schedule of its first run."""
    return selection.runs[0].compared_at(selection.stage)
