"""The command `attention`: what do heads look at, write and compose?"""

import argparse
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import Role
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import add_selectors, choices_of, compared_in, refuse, selection_of

if TYPE_CHECKING:
    from interp.grids.selection import GridSelection


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
    from interp.attention.wording import found

    analysis = AttentionAnalysis.of(compared_in(selection), roles or None)
    _check_roles(selection, analysis.subsets, roles)
    table, summary = fill(analysis, selection, arguments)
    said = [
        Said(
            run=run,
            stage=stage,
            step=step,
            sentences=found(rows, cells, compared=compared_in(selection).names),
        )
        for run, stage, step, cells, rows in by_checkpoint(selection, summary, table)
    ]
    moved = summary.loc[(summary["kind"] == "direct_logit") & (summary["text"] == "qa")]
    columns = ["subset", "text", "kind", "layer", "head", "destination", "source", "value"]
    findings = Findings(
        analysis=analysis.name,
        said=said,
        summary=summary,
        cells=summary,
        columns=[*columns, *TESTED],
        first=largest_first(moved),
        which="of what is moved to the answer's logit, those beyond their control first, by size",
        legend="difference and p: value - control; heads by rank (#1 the strongest of each seed).",
    )
    print_findings(findings, arguments)
    return 0


def _check_roles(
    selection: "GridSelection", subsets: tuple[str, ...], roles: tuple[Role, ...]
) -> None:
    """Refuses a role that no text has that is read, before a model is opened."""
    for run in selection.runs if roles else ():
        rows = run.tokenized_rows(selection.seeds_of(run)[0])
        there = {role for row in rows if row.row.subset.name in subsets for role in row.spans}
        for role in roles:
            if role not in there:
                known = ", ".join(str(each) for each in Role if each in there)
                raise InputError(f"no text of {run.folder} has the role {role}; use one of {known}")
