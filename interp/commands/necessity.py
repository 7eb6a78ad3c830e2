"""`iml circuit DIR --necessity`: Stage 2 trained again without one component after the other."""

import argparse
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import Part
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import refuse, unique

if TYPE_CHECKING:
    from interp.grids.selection import GridSelection


def add_necessity(parser: argparse.ArgumentParser) -> None:
    """Adds the options of necessity in training to those of `iml circuit`."""
    parser.add_argument(
        "--necessity", action="store_true",
        help="train Stage 2 again, components frozen or heads clamped: does the gap still form?",
    )  # fmt: skip
    parser.add_argument(
        "--component", action="append", metavar="NAME",
        help="with --necessity: a1.h3, m0, emb, or several, a0.h1+m1; default the leading heads, "
        "all MLPs and the embeddings",
    )  # fmt: skip
    parser.add_argument(
        "--others", type=int, metavar="N",
        help="with --necessity: most others that each is held against; default 7",
    )  # fmt: skip


def run_necessity(selection: "GridSelection", arguments: argparse.Namespace) -> int:
    """Trains, writes the tables and prints what of the gap forms without each component.

    Args:
        selection: Runs and seeds; whatever its stage, the end of Stage 2 is looked at.
        arguments: Of `iml circuit`.

    Raises:
        InputError: an option that does nothing here, or a component that the model lacks.
    """
    for flag in ("step", "along"):
        given = getattr(arguments, flag) not in (None, False)
        refuse(given, f"--{flag}", "Stage 2 is trained to its end")
    for name in ("ablation", "unit", "scores"):
        refuse(
            getattr(arguments, name), f"--{name}", "--necessity trains again and ablates nothing"
        )
    if arguments.others is not None and arguments.others < 1:
        raise InputError(f"--others is {arguments.others}; give 1 or more")

    from dataclasses import replace

    import pandas as pd

    from interp.circuits.necessity import N_OTHERS, NecessityAnalysis
    from interp.circuits.necessity_wording import necessity_found

    said, summaries = [], []
    for run in selection.runs:
        stage = int(run.config.schedule.read_at(Part.X2))
        grid = replace(selection, runs=(run,), stage=stage)
        analysis = NecessityAnalysis(
            folder=run.folder,
            components=unique(arguments.component or ()),
            n_others=arguments.others or N_OTHERS,
        )
        summary = fill(analysis, grid, arguments)[1]
        summaries.append(summary)
        said += [
            Said(run=each, stage=at, step=step, sentences=necessity_found(cells))
            for each, at, step, cells, _ in by_checkpoint(grid, summary)
        ]
    summary = pd.concat(summaries, ignore_index=True)
    gaps = summary.loc[(summary["subset"] == "gap") & (summary["mode"] != "untouched")]
    findings = Findings(
        analysis="necessity",
        said=said,
        summary=summary,
        cells=summary,
        columns=["mode", "part", "subset", "metric", "untouched", "value", *TESTED],
        first=largest_first(gaps),
        which="the gap, corrected first, then by size of its change",
        legend="difference: value - untouched; control: that of others of its layer and kind.",
    )
    print_findings(findings, arguments)
    return 0
