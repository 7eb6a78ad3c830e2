"""The command `transplant`: which weights, moved between checkpoints, bring the gap along?"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import STAGES, add_selectors, refuse, roles_of, selection_of

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.selection import GridSelection
    from interp.transplants.analysis import TransplantAnalysis
    from interp.transplants.differences import WeightDifferenceAnalysis


def add_command(commands: Subparsers) -> None:
    """Adds `iml transplant` and its options to the command line."""
    transplant = commands.add_parser("transplant", help="weights moved between checkpoints")
    add_selectors(transplant)
    transplant.add_argument(
        "--donor", type=Path, metavar="DIR", help="another run on the same data; default DIR itself"
    )
    transplant.add_argument(
        "--donor-stage", type=int, choices=STAGES, help="default the one before"
    )
    transplant.add_argument("--donor-step", type=int, metavar="N", help="default the stage's last")
    transplant.add_argument(
        "--differences",
        action="store_true",
        help="also what the last stage changed, module by module",
    )
    transplant.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Moves every part between two stages or runs and prints the gap that comes with it."""
    if len(arguments.folders) > 1:
        raise InputError("transplants are of one run; name one DIR, and the donor with --donor")
    selection = selection_of(arguments)
    branches_at = selection.runs[0].config.schedule.branches_at
    refuse(
        arguments.differences and arguments.along, "--along", "--differences is of one checkpoint"
    )
    if arguments.differences and selection.stage != branches_at:
        has = f"add --stage {branches_at}" if branches_at else f"{arguments.folders[0]} has one"
        raise InputError(f"--differences is about what the last of several stages changed; {has}")

    from interp.grids.selection import GridSelection
    from interp.transplants.analysis import TransplantAnalysis
    from interp.transplants.differences import WeightDifferenceAnalysis
    from training.runs.run import Run

    donor_stage = arguments.donor_stage or (2 if selection.stage == 1 else selection.stage - 1)
    donor = Run.load(arguments.donor or arguments.folders[0])
    donor_place = {"stage": donor_stage, "step": arguments.donor_step, "seeds": selection.seeds}
    GridSelection(runs=(donor,), **donor_place).check()
    roles = roles_of(arguments)
    selection.check_roles(roles)
    analysis = TransplantAnalysis(
        folder=arguments.folders[0],
        recipient_stage=selection.stage,
        recipient_step=selection.step,
        donor_stage=donor_stage,
        donor_step=arguments.donor_step,
        donor_folder=arguments.donor,
        roles=roles,
    )
    summary = fill(analysis, selection, arguments)[1]
    is_here = (summary["from_stage"] == donor_stage) & (summary["donor"] == analysis.donor_name)
    here = summary.loc[is_here]
    further = {}
    if arguments.differences:
        changes = WeightDifferenceAnalysis(folder=arguments.folders[0], step=selection.step)
        further["differences"] = _differences(changes, selection, arguments)
    print_findings(replace(_transplanted(analysis, selection, here), further=further), arguments)
    return 0


def _transplanted(
    analysis: "TransplantAnalysis", selection: "GridSelection", summary: "pd.DataFrame"
) -> Findings:
    """What the parts of one donor bring along."""
    from interp.transplants.wording import found

    chosen = (summary["metric"] == "exact_match") & (summary["contrast"] == "recipient")
    gaps = summary["subset"] == selection.runs[0].design.main.gap
    columns = ["part", "subset", "from_stage", "to_stage", "donor", "value", "recipient"]
    return Findings(
        analysis=analysis.name,
        said=[
            Said(run=run, stage=stage, step=step, sentences=found(cells))
            for run, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary.loc[chosen],
        columns=[*columns, *TESTED],
        first=largest_first(summary.loc[chosen & gaps]),
        which="the gap with each part, those that differ from the recipient's first, by size",
        legend="value: exact match with the donor's part; difference and p: value - recipient.",
    )


def _differences(
    analysis: "WeightDifferenceAnalysis",
    selection: "GridSelection",
    arguments: argparse.Namespace,
) -> Findings:
    """What the last stage changed, module by module."""
    from interp.figures.grid_tables import table_of
    from interp.transplants.wording import differences_found

    summary = fill(analysis, selection, arguments)[1]
    run = selection.runs[0]
    theirs = (
        None
        if run.finished_null is None
        else table_of(run.finished_null, f"{analysis.name}_summary")
    )
    columns = ["module", "norm", "relative_norm", "stable_rank", "cosine_same_tag"]
    return Findings(
        analysis=analysis.name,
        said=[
            Said(run=run, stage=stage, step=step, sentences=differences_found(cells, theirs))
            for run, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=[*columns, "cosine_other_tag", *TESTED[1:]],
        which="modules whose two cosines differ first, by size",
        legend="difference: cosine_same_tag - cosine_other_tag.",
    )
