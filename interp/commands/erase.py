"""The command `erase`: what do the answers lose when the tag cannot be read any more?"""

import argparse

from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import add_selectors, roles_of, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml erase` and its options to the command line."""
    erase = commands.add_parser("erase", help="LEACE erasure of the tag, and what it changes")
    add_selectors(erase)
    erase.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of erasures and prints what the answers lose."""
    selection = selection_of(arguments)
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.interventions.erasure_analysis import ErasureAnalysis
    from interp.interventions.wording import erasure_found

    analysis = ErasureAnalysis(roles=roles) if roles else ErasureAnalysis()
    summary = fill(analysis, selection, arguments)[1]
    columns = ["target", "subset", "site", "layer", "role", "metric", "before", "after"]
    said = [
        Said(run=run, stage=stage, step=step, sentences=erasure_found(cells))
        for run, stage, step, cells, _ in by_checkpoint(selection, summary)
    ]
    findings = Findings(
        analysis=analysis.name,
        said=said,
        summary=summary,
        cells=summary,
        columns=[*columns, *TESTED],
        first=largest_first(summary.loc[summary["metric"] == "answer_log_prob"]),
        which="the answer's log-probability, those that differ from their control first, by size",
        legend="control: as many random directions erased; difference and p: after - control.",
    )
    print_findings(findings, arguments)
    return 0
