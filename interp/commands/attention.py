"""The command `attention`: what do heads look at, write and compose?"""

import argparse

from data.vocabulary import Role
from interp.commands import Subparsers
from interp.commands.grids import TESTED, fill, print_summary
from interp.commands.selectors import add_selectors, choices_of, compared_in, refuse, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml attention` and its options to the command line."""
    attention = commands.add_parser("attention", help="what heads look at, write and compose")
    add_selectors(attention)
    attention.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of attention summaries and prints what carries the alias to the answer."""
    refuse(arguments.site, "--site", "attention has layers and heads")
    roles = choices_of(arguments.role, Role, "role")
    selection = selection_of(arguments)

    from interp.attention.analysis import AttentionAnalysis

    analysis = AttentionAnalysis.of(compared_in(selection), roles or None)
    summary = fill(analysis, selection, arguments)[1]
    columns = ["subset", "text", "kind", "layer", "head", "destination", "source", "value"]
    shown = summary.loc[summary["destination"].isin(["prompt_last", ""])]
    columns += TESTED
    print_summary(shown, columns, selection)
    print("difference and p: value - control; heads by rank (#1 the strongest of each seed)")
    return 0
