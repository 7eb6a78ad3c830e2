"""The command `mediate`: what predicts that a definition is internalized?"""

import argparse
from pathlib import Path

from data.errors import InputError
from data.vocabulary import LossPolicy, Part
from interp.commands import Subparsers
from interp.commands.device import add_device
from interp.commands.executor import add_executor
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import Findings, Said, add_output, print_findings
from interp.commands.selectors import chosen_seeds


def add_command(commands: Subparsers) -> None:
    """Adds `iml mediate` and its options to the command line."""
    mediate = commands.add_parser("mediate", help="what predicts how well each definition is used")
    mediate.add_argument("folder", type=Path, metavar="DIR")
    mediate.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    mediate.add_argument(
        "--limit", type=int, metavar="N", help="definitions of each subset; default all"
    )
    mediate.add_argument(
        "--loss-policy", choices=list(LossPolicy), help="of the gradients; default the run's"
    )
    mediate.add_argument(
        "--allow-materialise", action="store_true",
        help="form the gradients of modules that the exact form does not cover",
    )  # fmt: skip
    add_device(mediate)
    add_executor(mediate)
    add_output(mediate)
    mediate.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Looks at every definition, writes the tables and prints what predicts its internalization."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit} leaves no definitions; use 1 or more")

    from interp.grids.selection import GridSelection
    from interp.mediation.analysis import MediationAnalysis
    from interp.mediation.summary import CORRELATION
    from interp.mediation.wording import CAUTION, mediation_found

    analysis = MediationAnalysis(
        folder=arguments.folder,
        limit=arguments.limit,
        loss_policy=LossPolicy(arguments.loss_policy) if arguments.loss_policy else None,
        allow_materialise=arguments.allow_materialise,
    )
    stage = int(run.config.schedule.read_at(Part.X1))
    selection = GridSelection(runs=(run,), stage=stage, seeds=chosen_seeds(run, arguments.seed))
    summary = fill(analysis, selection, arguments)[1]
    correlations = summary.loc[summary["quantity"] == CORRELATION]
    findings = Findings(
        analysis=analysis.name,
        said=[
            Said(run=each, stage=at, step=step, sentences=mediation_found(cells))
            for each, at, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=["predictor", "given", "within", "quantity", "value", "null", "difference",
                 "ci_low", "ci_high", "p_permuted", "p_corrected", "n", "n_seeds"],
        first=correlations,
        which="correlations within seed and tag",
        legend=f"difference and p: value - null. {CAUTION}",
    )  # fmt: skip
    print_findings(findings, arguments)
    return 0
