"""The command `ablate`: what do the answers lose without a head, an MLP or a route?"""

import argparse

from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import add_selectors, refuse, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml ablate` and its options to the command line."""
    ablate = commands.add_parser("ablate", help="heads, MLPs and routes of attention taken away")
    add_selectors(ablate)
    ablate.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of ablations and knock-outs and prints what the answers need."""
    refuse(arguments.role, "--role", "components are ablated at every token")

    from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis

    selection = selection_of(arguments, sites=ABLATED_SITES)
    from interp.interventions.wording import ablation_found, asked_first

    analysis = AblationAnalysis()
    summary = fill(analysis, selection, arguments)[1]
    columns = ["kind", "subset", "intervention", "site", "layer", "head", "route", "metric"]
    said = [
        Said(
            run=run,
            stage=stage,
            step=step,
            sentences=ablation_found(
                cells,
                asked_first(run.design, run.compared_at(stage).names, set(cells["subset"])),
            ),
        )
        for run, stage, step, cells, _ in by_checkpoint(selection, summary)
    ]
    findings = Findings(
        analysis=analysis.name,
        said=said,
        summary=summary,
        cells=summary,
        columns=[*columns, "effect", *TESTED],
        first=largest_first(summary.loc[summary["metric"] == "answer_log_prob"]),
        which="the answer's log-probability, those that differ from their control first, by size",
        legend="effect: with the intervention minus without (log-probability in nats, exact match "
        "a share); -1 is all layers or heads.",
    )
    print_findings(findings, arguments)
    return 0
