"""The command `lens`: what would the model say at each layer and token?"""

import argparse
from dataclasses import replace

from interp.commands import Subparsers
from interp.commands.grids import fill, print_summary
from interp.commands.selectors import add_selectors, roles_of, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml lens` and its options to the command line."""
    lens = commands.add_parser("lens", help="logit lens and tuned lens by layer and role")
    add_selectors(lens)
    lens.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of lenses and prints its summary."""
    selection = selection_of(arguments)

    from interp.hooked.addresses import check_residual

    check_residual(arguments.site or ())
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.lenses.analysis import LensAnalysis

    analysis = replace(LensAnalysis(), roles=roles) if roles else LensAnalysis()
    summary = fill(analysis, selection, arguments)[1]
    columns = ["subset", "lens", "site", "layer", "role", "quantity", "rank", "log_prob"]
    columns += ["ci_low", "ci_high", "n_seeds"]
    print_summary(summary, columns, selection, interval_of="log_prob")
    print("rank 1 is the most likely token; log_prob in nats, with its 95% interval over seeds")
    return 0
