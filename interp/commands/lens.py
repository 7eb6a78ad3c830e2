"""The command `lens`: what would the model say at each layer and token?"""

import argparse
from dataclasses import replace

from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import Findings, Said, print_findings
from interp.commands.selectors import add_selectors, compared_in, roles_of, selection_of


def add_command(commands: Subparsers) -> None:
    """Adds `iml lens` and its options to the command line."""
    lens = commands.add_parser("lens", help="logit lens and tuned lens by layer and role")
    add_selectors(lens)
    lens.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of lenses and prints where the answer appears."""
    selection = selection_of(arguments)

    from interp.hooked.addresses import check_residual

    check_residual(arguments.site or ())
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.figures.places import at_words
    from interp.lenses.analysis import LensAnalysis
    from interp.lenses.wording import found, predicting_role
    from interp.report.guessing import guess_of

    analysis = replace(LensAnalysis(), roles=roles) if roles else LensAnalysis()
    table, summary = fill(analysis, selection, arguments)
    columns = ["subset", "lens", "site", "layer", "role", "quantity", "rank", "log_prob"]
    compared = compared_in(selection).names
    said = [
        Said(
            run=run,
            stage=stage,
            step=step,
            sentences=found(rows, cells, compared=compared, guess=guess_of(run)),
        )
        for run, stage, step, cells, rows in by_checkpoint(selection, summary, table)
    ]
    role = predicting_role(summary)
    asked = (summary["quantity"] == "answer") & (summary["role"] == role)
    answers = summary.loc[asked & summary["subset"].isin(compared)]
    findings = Findings(
        analysis=analysis.name,
        said=said,
        summary=summary,
        cells=summary,
        columns=[*columns, "ci_low", "ci_high", "n_seeds"],
        first=answers.sort_values("log_prob", ascending=False, kind="stable"),
        which=f"the answer of {' and '.join(compared)} {at_words(role)}, the most likely first",
        interval_of="log_prob",
        legend="rank 1 is the most likely token; log_prob in nats, with its 95% interval over "
        "seeds.",
    )
    print_findings(findings, arguments)
    return 0
