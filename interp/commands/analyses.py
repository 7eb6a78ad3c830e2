"""The commands that look inside runs: `probe`, `lens`."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.errors import unknown_name
from data.vocabulary import Stage
from interp.commands.runs import Subparsers, add_executor
from training.executors.executor import find_executor

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.grid import Analysis
    from interp.grids.selection import GridSelection
    from interp.hooked.addresses import TokenRole

Value = TypeVar("Value")
STAGES = tuple(map(int, Stage))
"""What `--stage` takes; a run says which of them it has."""


def add_analysis_commands(commands: Subparsers) -> None:
    """Enters this module's commands."""
    probe = commands.add_parser("probe", help="linear probes over sites, roles, seeds and runs")
    add_selectors(probe)
    probe.add_argument(
        "--target",
        action="append",
        metavar="NAME",
        help="tag, defined, consistent, entity, attribute, stage or phantom_tag; "
        "repeatable, default tag and defined",
    )
    probe.add_argument("--quick", action="store_true", help="fix C instead of choosing it")
    probe.set_defaults(run=run_probes)

    lens = commands.add_parser("lens", help="logit lens and tuned lens by layer and role")
    add_selectors(lens)
    lens.set_defaults(run=run_lens)


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """Which checkpoints, where in model and text, and who looks; the same for every analysis."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="together one grid")
    parser.add_argument(
        "--site", action="append", metavar="S", help="default the residual stream's states"
    )
    parser.add_argument(
        "--role", action="append", metavar="R", help="token roles; the command says its default"
    )
    parser.add_argument("--layer", action="append", type=int, metavar="L", help="default all")
    parser.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    parser.add_argument("--stage", type=int, choices=STAGES, default=1, help="default 1")
    parser.add_argument("--step", type=int, metavar="N", help="default the stage's last")
    add_executor(parser)


def run_probes(arguments: argparse.Namespace) -> int:
    """Fills a grid of probes and prints its summary."""
    selection = selection_of(arguments)

    from interp.probes.targets import targets_of

    known = {target.name: target for target in targets_of(selection.runs[0].design)}
    for name in arguments.target or ():
        if name not in known:
            raise unknown_name("target", name, known)
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.probes.analysis import ProbeAnalysis
    from interp.probes.wording import reading_words, twin_words

    analysis = ProbeAnalysis(quick=arguments.quick)
    if arguments.target:
        analysis = replace(analysis, targets=unique(arguments.target))
    if roles:
        analysis = replace(analysis, roles=roles)
    summary = fill(analysis, selection, arguments)[1]
    logistic = summary.loc[summary["probe"] == "logistic"]
    columns = ["target", "site", "layer", "role", "accuracy", "ci_low", "ci_high"]
    columns += ["selectivity", "p_value", "p_corrected", "min_detectable", "twin_accuracy"]
    columns += ["minus_twin", "p_twin_corrected", "n_folds", "n_train", "n_test", "n_seeds"]
    print_summary(logistic, columns, selection, interval_of="accuracy")
    smallest = max(summary["p_smallest"].tolist())
    print(
        "accuracy on unseen aliases (chance .5 of two classes); p corrected over the whole grid; "
        f"the smallest p that so many seeds can give is {smallest:.3g}"
    )
    of_tags = [name for name, target in known.items() if target.is_of_tags]
    tags = logistic.loc[logistic["target"].isin(of_tags)]
    for _, cells in tags.groupby(["target", "run_id"], sort=False):
        best = cells.loc[cells["accuracy"].idxmax()].to_dict()
        print(f"{best['target']} in {best['run_id']}: {reading_words(best)}. {twin_words(best)}")
    return 0


def run_lens(arguments: argparse.Namespace) -> int:
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


def selection_of(
    arguments: argparse.Namespace, *, sites: tuple[str, ...] | None = None
) -> "GridSelection":
    """The grid that the selectors describe, checked against the runs; `sites` unless others are."""
    from training.runs.run import Run

    runs = tuple(Run.load(folder) for folder in arguments.folders)
    for run in runs:
        for seed in arguments.seed or ():
            run.require_seed(seed)

    from interp.grids.selection import GridSelection

    selection = GridSelection(
        runs=runs,
        stage=arguments.stage,
        step=arguments.step,
        seeds=unique(arguments.seed) if arguments.seed else None,
        sites=unique(arguments.site) if arguments.site else sites,
        layers=unique(arguments.layer) if arguments.layer else None,
    )
    selection.check()
    return selection


def roles_of(arguments: argparse.Namespace) -> "tuple[TokenRole, ...]":
    """The roles that were named, each once."""
    from interp.hooked.addresses import TokenRole

    return unique(TokenRole.parse(role) for role in arguments.role or ())


def unique(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each value once, in order."""
    return tuple(dict.fromkeys(values))


def fill(
    analysis: "Analysis", selection: "GridSelection", arguments: argparse.Namespace
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Runs the grid, on what `arguments` say, behind a progress bar; its rows and its summary."""
    from interp.grids.grid import run_grid
    from training.progress import show_progress

    with show_progress(analysis.name, unit="checkpoint") as progress:
        return run_grid(
            analysis,
            selection,
            workers=arguments.workers,
            executor=find_executor(arguments.executor),
            progress=progress,
        )


def print_summary(
    summary: "pd.DataFrame",
    columns: list[str],
    selection: "GridSelection",
    *,
    interval_of: str = "diff",
) -> None:
    """A table on the terminal; a run's folder is told only where several are compared.

    Args:
        summary: Of an analysis.
        columns: Which to show.
        selection: Of the grid.
        interval_of: What the interval is of: the column `difference`, unless another is named.
    """
    ends = {end: f"{interval_of}_{end}" for end in ("ci_low", "ci_high")}
    shown = summary[columns].round(3).rename(ends, axis="columns")
    if len(selection.runs) > 1:
        folders = {run.config.run_id: str(run.folder) for run in selection.runs}
        shown.insert(0, "run", [folders[run_id] for run_id in summary["run_id"]])
    print(shown.to_string(index=False))
