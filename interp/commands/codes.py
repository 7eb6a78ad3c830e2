"""The command `codes`: in which code is an alias written, and does its amount explain the gap?"""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import Part
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import add_selectors, roles_of, selection_of

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.selection import GridSelection


def add_command(commands: Subparsers) -> None:
    """Adds `iml codes` and its options to the command line."""
    codes = commands.add_parser(
        "codes", help="which code an alias is written in, and what its amount explains"
    )
    add_selectors(codes)
    codes.set_defaults(run=run_command, stage=None)


def run_command(arguments: argparse.Namespace) -> int:
    """Measures codes and edits in a run and in its null twin, and prints what was found."""
    if len(arguments.folders) > 1:
        raise InputError("codes are of one run; name one DIR, whose null twin is looked at, too")
    if arguments.site and not arguments.role:
        raise InputError(
            "--site needs --role, such as alias_last; without both, the embedding is looked at"
        )
    from training.runs.run import Run

    run = Run.load(arguments.folders[0])
    arguments.stage = arguments.stage or int(run.config.schedule.read_at(Part.X2))

    from interp.codes.analysis import CODE_SITES, CodesAnalysis
    from interp.codes.places import WEIGHTS, CodePlace
    from interp.hooked.addresses import Site

    asked = tuple(arguments.site or CODE_SITES)
    in_stream = tuple(site for site in asked if site != WEIGHTS)
    # The blocks' weights write behind each block, at the layers of these states.
    arguments.site = list(in_stream or CODE_SITES)
    selection = selection_of(arguments, sites=CODE_SITES)
    for name in selection.sites or ():
        CodePlace(site=Site(name, 0))  # refuses what is no state of the stream
    if arguments.stage < 2:
        raise InputError("codes are about what a later stage changes; leave out --stage 1")
    roles = roles_of(arguments)
    selection.check_roles(roles)

    analysis = CodesAnalysis(
        folder=run.folder,
        stage=arguments.stage,
        roles=roles,
        in_stream=bool(in_stream),
        in_weights=WEIGHTS in asked,
    )
    theirs = _of_twin(analysis, selection, arguments)
    summary = fill(analysis, selection, arguments)[1]
    print_findings(_found(selection, summary, theirs), arguments)
    return 0


def _of_twin(
    analysis: object, selection: "GridSelection", arguments: argparse.Namespace
) -> "pd.DataFrame | None":
    """The same of the null twin, whose tables go into its own folder; None without one."""
    from interp.codes.analysis import CodesAnalysis

    assert isinstance(analysis, CodesAnalysis)
    run = selection.runs[0]
    twin = run.finished_null
    if twin is None or not set(selection.seeds_of(run)) <= set(twin.seeds):
        return None
    seeds = tuple(selection.seeds_of(run))
    grid = replace(selection, runs=(twin,), seeds=seeds)
    return fill(replace(analysis, folder=twin.folder), grid, arguments)[1]


def _found(
    selection: "GridSelection", summary: "pd.DataFrame", theirs: "pd.DataFrame | None"
) -> Findings:
    """Sentences by place, and the shares of the gap."""
    from interp.codes.edited import SHARE
    from interp.codes.wording import at_places

    shares = summary.loc[summary["quantity"] == SHARE]
    columns = ["site", "layer", "role", "code", "edit", "value", "value_low", "value_high"]
    columns += ["null_tag", "detectable", "counts"]
    return Findings(
        analysis="codes",
        said=[
            Said(run=run, stage=stage, step=step, sentences=at_places(cells, theirs))
            for run, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=shares,
        columns=[*columns, *TESTED],
        short=["site", "layer", "role", "code", "edit", "value", "control", "null_tag",
               "detectable", "counts", "p_corrected", "n_seeds"],
        first=largest_first(shares),
        which="the share of the gap that an edit explains, largest first",
        legend="value: 1 - remaining / original gap in nats (halved where it is to turn round); "
        "control: the same amounts of other vectors; difference: value - control.",
    )  # fmt: skip
