"""The command `align`: gradient alignment, and the tests of what it means."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import LossPolicy, Part
from interp.alignment.pairs import DEFAULT_LIMIT
from interp.commands import Subparsers
from interp.commands.device import add_device
from interp.commands.executor import add_executor, chosen_executor
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import (
    TESTED,
    Findings,
    Said,
    add_output,
    largest_first,
    print_findings,
)
from interp.commands.selectors import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from interp.grids.grid import Analysis
    from training.runs.run import Run

TESTS = ("branches", "updates", "surgery", "left-out")
"""What `--test` takes: the experiments that train again."""


def add_command(commands: Subparsers) -> None:
    """Adds `iml align` and its options to the command line."""
    align = commands.add_parser(
        "align", help="do gradients of definitions and of their questions point the same way?"
    )
    align.add_argument("folder", type=Path, metavar="DIR")
    align.add_argument(
        "--pairs", choices=("own", "all"), default="own",
        help="own pairs with matched partners (default), or all",
    )  # fmt: skip
    align.add_argument(
        "--loss-policy", choices=[str(policy) for policy in LossPolicy], help="default the run's"
    )
    align.add_argument(
        "--subset", action="append", metavar="NAME", help="of the definitions; default those that "
        "are compared",
    )  # fmt: skip
    align.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    align.add_argument("--stage", type=int, choices=STAGES, help="default 1")
    align.add_argument("--step", type=int, metavar="N", help="default the stage's last")
    align.add_argument(
        "--all-steps",
        "--along",
        action="store_true",
        help="every checkpoint of all stages, one by one",
    )
    align.add_argument(
        "--limit", type=int, metavar="N",
        help=f"definitions of each subset; default all, {DEFAULT_LIMIT} with --pairs all or "
        "--components, a few with --test",
    )  # fmt: skip
    align.add_argument(
        "--components", choices=("module", "tokens"), help="also split the inner products"
    )
    align.add_argument(
        "--allow-materialise", action="store_true",
        help="form the gradients of modules that the exact form does not cover",
    )  # fmt: skip
    align.add_argument(
        "--test", choices=TESTS,
        help="train again instead: what does alignment predict, and what does it cause?",
    )  # fmt: skip
    add_device(align)
    add_executor(align)
    add_output(align)
    align.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Measures, writes the tables and prints whether gradients align."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()
    for seed in arguments.seed or ():
        run.require_seed(seed)
    _check(run, arguments)
    if arguments.test:
        return _run_test(run, arguments)

    from interp.alignment.analysis import AlignmentAnalysis, Components
    from interp.alignment.pairs import PairMode, default_limit

    components = Components(arguments.components or "none")
    analysis = AlignmentAnalysis(
        folder=arguments.folder,
        stage=arguments.stage or 1,
        step=arguments.step,
        subsets=tuple(dict.fromkeys(arguments.subset or ())),
        pairs=PairMode(arguments.pairs),
        loss_policy=_policy(arguments),
        limit=arguments.limit or default_limit(arguments.pairs, components),
        components=components,
        allow_materialise=arguments.allow_materialise,
    )
    if arguments.all_steps:
        from interp.alignment.steps import alignment_over_steps
        from training.progress import show_progress

        with show_progress(analysis.name, unit="step") as progress:
            summary = alignment_over_steps(
                run,
                analysis,
                seeds=_seeds(arguments),
                workers=arguments.workers,
                executor=chosen_executor(arguments),
                device=arguments.device,
                progress=progress,
            )
    else:
        summary = _fill(run, analysis, arguments, stage=analysis.stage, step=analysis.step)
    print_findings(_aligned(run, arguments, summary), arguments)
    return 0


def _aligned(run: "Run", arguments: argparse.Namespace, summary: "pd.DataFrame") -> Findings:
    """What the cosines of definitions with their own questions are, and what they are beside."""
    from interp.alignment.pairs import Pairing
    from interp.alignment.summary import ALL
    from interp.alignment.wording import CAUTION, alignment_sentences

    whole = (summary["measure"] == "grad_cosine") & (summary["component"] == ALL)
    contrasts = summary.loc[whole & (summary["pairing"] == Pairing.OWN)]
    columns = ["subset", "against", "pairs", "loss_policy", "value", "null", *TESTED[1:]]
    if arguments.all_steps:
        columns = ["stage", "step", *columns]
    return Findings(
        analysis="alignment",
        said=_said(run, arguments, summary, alignment_sentences),
        summary=summary,
        cells=contrasts,
        columns=columns,
        which="cosines with own questions, those that differ from what they are held against "
        "first, by size",
        legend=f"difference and p: value - null. {CAUTION}",
    )


def _run_test(run: "Run", arguments: argparse.Namespace) -> int:
    """Runs one of the tests that train again, and prints what it found."""
    from interp.alignment import wording
    from interp.alignment.branches import BranchAnalysis
    from interp.alignment.left_out import LeftOutAnalysis
    from interp.alignment.surgery import SurgeryAnalysis
    from interp.alignment.updates import UpdateAnalysis
    from training.columns import WITHOUT_SEED

    analyses = {
        "branches": (BranchAnalysis, wording.branch_sentences),
        "updates": (UpdateAnalysis, wording.update_sentences),
        "surgery": (SurgeryAnalysis, wording.surgery_sentences),
        "left-out": (LeftOutAnalysis, wording.left_out_sentences),
    }
    kind, sentences = analyses[arguments.test]
    analysis = kind(
        folder=arguments.folder,
        loss_policy=_policy(arguments),
        allow_materialise=arguments.allow_materialise,
    )
    if arguments.limit:
        analysis = replace(analysis, limit=arguments.limit)
    start = int(run.config.schedule.read_at(Part.X1))
    summary = _fill(run, analysis, arguments, stage=start, step=None)
    own = [name for name in summary.columns if name not in (*WITHOUT_SEED, *TESTED, "p_value", "n")]
    findings = Findings(
        analysis=analysis.name,
        said=_said(run, arguments, summary, sentences),
        summary=summary,
        cells=summary,
        columns=[*own, *TESTED[1:]],
        first=largest_first(summary),
        which="those that differ from 0 first, by size",
    )
    print_findings(findings, arguments)
    return 0


def _said(
    run: "Run",
    arguments: argparse.Namespace,
    summary: "pd.DataFrame",
    sentences: "Callable[[pd.DataFrame], list[str]]",
) -> list[Said]:
    """Sentences of a kind about every checkpoint of the run that was measured."""
    from interp.grids.selection import GridSelection

    selection = GridSelection(runs=(run,), seeds=_seeds(arguments))
    return [
        Said(run=run, stage=stage, step=step, sentences=sentences(cells))
        for _, stage, step, cells, _ in by_checkpoint(selection, summary)
    ]


def _check(run: "Run", arguments: argparse.Namespace) -> None:
    """Refuses what does nothing or cannot be, before anything is loaded.

    Raises:
        InputError: one line that says what.
    """
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit {arguments.limit} leaves no definitions; use 1 or more")
    run.design.require(arguments.subset or ())
    given = {
        "--stage": arguments.stage,
        "--step": arguments.step,
        "--subset": arguments.subset,
        "--components": arguments.components,
        "--all-steps": arguments.all_steps or None,
        "--pairs all": None if arguments.pairs == "own" else arguments.pairs,
    }
    named = [name for name, value in given.items() if value is not None]
    if arguments.test and named:
        raise InputError(
            f"--test {arguments.test} starts from the end of Stage 1 with "
            f"{' and '.join(run.design.main.short_names)}; leave out {', '.join(named)}"
        )
    if arguments.all_steps and (arguments.stage is not None or arguments.step is not None):
        raise InputError("--all-steps takes every stage and step; leave out --stage and --step")


def _fill(
    run: "Run", analysis: "Analysis", arguments: argparse.Namespace, *, stage: int, step: int | None
) -> "pd.DataFrame":
    from interp.grids.selection import GridSelection

    selection = GridSelection(runs=(run,), stage=stage, step=step, seeds=_seeds(arguments))
    return fill(analysis, selection, arguments)[1]


def _seeds(arguments: argparse.Namespace) -> tuple[int, ...] | None:
    return tuple(dict.fromkeys(arguments.seed)) if arguments.seed else None


def _policy(arguments: argparse.Namespace) -> LossPolicy | None:
    return LossPolicy(arguments.loss_policy) if arguments.loss_policy else None
