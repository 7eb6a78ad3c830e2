"""The command `completion`: what a shell reads to complete `iml` on the Tab key."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.errors import InputError
from interp.commands import Subparsers

SHELLS = ("bash", "zsh", "fish")


def add_command(commands: Subparsers) -> None:
    """Adds `iml completion` to the command line."""
    completion = commands.add_parser("completion", help="completion for a shell, on the Tab key")
    completion.add_argument("shell", choices=SHELLS, help='for bash: eval "$(iml completion bash)"')
    completion.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the completion of the whole command line for a shell.

    Raises:
        InputError: shtab, which makes it, is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise InputError("completion needs the package shtab; pip install shtab") from None
    parser: argparse.ArgumentParser = arguments.parser
    known = _known_names()
    for command, action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue]
        elif action.choices is None:
            action.choices = known.get((command, action.dest)) or known.get(("", action.dest))
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Every option and positional argument, with the name of its command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from ((name, inner) for _, inner in _actions(command))
        else:
            yield "", action


def _known_names() -> dict[tuple[str, str], Iterable[str]]:
    """The names that an argument takes, by command (empty: of all) and argument."""
    from data.catalogue import CATALOGUE
    from interp.commands.models import GET
    from interp.hooked.addresses import SITE_HOOKS, TokenRole
    from interp.sweeps.plans import SWEEPS
    from training.recipes import RECIPES  # which its import fills

    return {
        ("run", "recipe"): list(RECIPES),
        ("recipes", "name"): list(RECIPES),
        ("models", "words"): [GET, *(model.name for model in CATALOGUE)],
        ("sweep", "name"): list(SWEEPS),
        ("", "site"): list(SITE_HOOKS),
        ("", "role"): [str(role) for role in TokenRole],
    }
