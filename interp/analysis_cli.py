"""The commands that look inside a run: `probe`, `lens`."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.errors import InputError
from training.cli import Subparsers

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids import Analysis, GridSelection
    from interp.sites import TokenRole

Value = TypeVar("Value")


def add_analysis_commands(commands: Subparsers) -> None:
    """Enters this module's commands."""
    probe = commands.add_parser("probe", help="linear probes over sites, roles, seeds and runs")
    _add_selectors(probe)
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
    _add_selectors(lens)
    lens.set_defaults(run=run_lens)


def _add_selectors(parser: argparse.ArgumentParser) -> None:
    """Which checkpoints, and where in model and text; the same for every analysis."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="together one grid")
    parser.add_argument(
        "--site", action="append", metavar="S", help="default the residual stream's states"
    )
    parser.add_argument(
        "--role", action="append", metavar="R", help="default alias_last and question_last"
    )
    parser.add_argument("--layer", action="append", type=int, metavar="L", help="default all")
    parser.add_argument("--seed", action="append", type=int, metavar="K", help="default all")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1, help="default 1")
    parser.add_argument("--step", type=int, metavar="N", help="default the stage's last")


def run_probes(arguments: argparse.Namespace) -> int:
    """Fills a grid of probes and prints its summary."""
    selection = _selection(arguments)

    from interp.probe_targets import Target
    from interp.probes import ProbeAnalysis

    choices = [str(target) for target in Target if target is not Target.PLANTED_TAG]
    for name in arguments.target or ():
        if name not in choices:
            raise InputError(f"no target {name!r}; choose one of {', '.join(choices)}")
    analysis = ProbeAnalysis(quick=arguments.quick)
    if arguments.target:
        analysis = replace(analysis, targets=_unique(map(Target, arguments.target)))
    if arguments.role:
        analysis = replace(analysis, roles=_roles(arguments))
    summary = _fill(analysis, selection)
    logistic = summary.loc[summary["probe"] == "logistic"]
    columns = ["target", "site", "layer", "role", "accuracy", "ci_low", "ci_high"]
    columns += ["selectivity", "p_value", "p_corrected", "min_detectable", "n_seeds"]
    _print(logistic, columns)
    smallest = max(summary["p_smallest"].tolist())
    print(
        "accuracy on unseen aliases (chance .5 of two classes); p corrected over the whole grid; "
        f"the smallest p that so many seeds can give is {smallest:.3g}"
    )
    return 0


def run_lens(arguments: argparse.Namespace) -> int:
    """Fills a grid of lenses and prints its summary."""
    selection = _selection(arguments)

    from interp.lenses import LensAnalysis, check_site_names

    check_site_names(arguments.site or ())
    analysis = LensAnalysis()
    if arguments.role:
        analysis = replace(analysis, roles=_roles(arguments))
    summary = _fill(analysis, selection)
    columns = ["subset", "lens", "site", "layer", "role", "quantity", "rank", "log_prob"]
    _print(summary, [*columns, "ci_low", "ci_high", "n_seeds"])
    print("rank 1 is the most likely token; log_prob in nats, with its 95% interval over seeds")
    return 0


def _selection(arguments: argparse.Namespace) -> "GridSelection":
    """The grid that the selectors describe, checked against the runs."""
    from training.runs import Run

    runs = tuple(Run.load(folder) for folder in arguments.folders)
    for run in runs:
        for seed in arguments.seed or ():
            run.require_seed(seed)

    from interp.grids import GridSelection
    from interp.sites import check_site_name

    for name in arguments.site or ():
        check_site_name(name)
    selection = GridSelection(
        runs=runs,
        stage=arguments.stage,
        step=arguments.step,
        seeds=_unique(arguments.seed) if arguments.seed else None,
        sites=_unique(arguments.site) if arguments.site else None,
        layers=_unique(arguments.layer) if arguments.layer else None,
    )
    selection.check()
    return selection


def _roles(arguments: argparse.Namespace) -> "tuple[TokenRole, ...]":
    from interp.sites import TokenRole

    return _unique(TokenRole.parse(role) for role in arguments.role)


def _unique(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def _fill(analysis: "Analysis", selection: "GridSelection") -> "pd.DataFrame":
    from interp.grids import run_grid
    from training.progress import show_progress

    with show_progress(analysis.name, unit="checkpoint") as progress:
        return run_grid(analysis, selection, progress=progress)[1]


def _print(summary: "pd.DataFrame", columns: list[str]) -> None:
    """A table on the terminal; the word order is told only where several runs are compared."""
    if len(set(summary["run_id"])) > 1:
        columns = ["recipe", "word_order", *columns]
    print(summary[columns].round(3).to_string(index=False))
