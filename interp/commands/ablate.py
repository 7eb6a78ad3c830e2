"""The command `ablate`: what do the answers lose without a head, an MLP or a route?"""

import argparse

from interp.commands import Subparsers
from interp.commands.grids import TESTED, fill, print_summary
from interp.commands.selectors import add_selectors, refuse, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml ablate` and its options to the command line."""
    ablate = commands.add_parser("ablate", help="heads, MLPs and routes of attention taken away")
    add_selectors(ablate)
    ablate.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of ablations and knock-outs and prints its summary."""
    refuse(arguments.role, "--role", "components are ablated at every token")

    from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis

    selection = selection_of(arguments, sites=ABLATED_SITES)
    summary = fill(AblationAnalysis(), selection, arguments)[1]
    columns = ["kind", "subset", "intervention", "site", "layer", "head", "route", "effect"]
    shown = summary.loc[summary["metric"] == "exact_match"]
    print_summary(shown, [*columns, *TESTED], selection)
    print("effect: exact match with the intervention minus without; -1 is all layers or heads")
    return 0
