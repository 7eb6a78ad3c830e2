"""The command `sae`: activations as few of many features, and what those features carry."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.vocabulary import Part
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, print_findings
from interp.commands.selectors import add_selectors, refuse, roles_of, selection_of, unique

if TYPE_CHECKING:
    import pandas as pd

    from interp.dictionaries.analysis import DictionaryAnalysis
    from interp.grids.selection import GridSelection
    from training.runs.run import Run


def add_command(commands: Subparsers) -> None:
    """Adds `iml sae` and its options to the command line."""
    sae = commands.add_parser("sae", help="sparse autoencoders: features, and what they carry")
    add_selectors(sae)
    sae.add_argument("--kind", metavar="K", help="topk (default) or batch_topk")
    sae.add_argument("--matryoshka", action="store_true", help="the first features alone, too")
    sae.add_argument("--k", action="append", type=int, metavar="N", help="features a vector; "
                     "repeatable, default 2 4 8 16 32")  # fmt: skip
    sae.add_argument(
        "--features", type=int, metavar="N", help="default 256; 4 a dimension of texts"
    )
    sae.add_argument("--steps", type=int, metavar="N", help="of training; default 600")
    sae.add_argument("--text", type=Path, metavar="FILE", help="where DIR is a model and no run: "
                     "the text that it reads")  # fmt: skip
    sae.add_argument("--out", type=Path, metavar="DIR", help="with --text: where the table and the "
                     "autoencoders are written; default nowhere")  # fmt: skip
    sae.add_argument("--tokens", type=int, metavar="N", help="of the text; default 200,000")
    sae.set_defaults(run=run_command, along=False)


def run_command(arguments: argparse.Namespace) -> int:
    """Trains autoencoders in a run and its null twin, or on a text, and prints what was found."""
    if len(arguments.folders) > 1:
        raise InputError("iml sae is of one run or model; name one DIR")
    refuse(arguments.along, "--along", "autoencoders are trained at one checkpoint")
    from interp.dictionaries.dictionary import Sparsity

    arguments.kind = Sparsity.parse(arguments.kind or Sparsity.TOPK)
    for name in ("features", "steps", "tokens"):
        if (given := getattr(arguments, name)) is not None and given < 1:
            raise InputError(f"--{name} {given}; choose 1 or more")
    if arguments.text is not None:
        from interp.commands.sae_of_text import run_on_text

        return run_on_text(arguments)
    for flag in ("tokens", "out"):
        refuse(getattr(arguments, flag), f"--{flag}", "it is for --text")
    return _of_run(arguments)


def _of_run(arguments: argparse.Namespace) -> int:
    from training.runs.run import Run

    run = Run.load(arguments.folders[0])
    arguments.stage = arguments.stage or int(run.config.schedule.read_at(Part.X2))

    from interp.dictionaries.analysis import SITES

    selection = selection_of(arguments, sites=SITES)
    roles = roles_of(arguments)
    selection.check_roles(roles)
    analysis = replace(_asked(arguments, run), roles=roles)
    theirs = _of_twin(analysis, selection, arguments)
    summary = fill(analysis, selection, arguments)[1]
    print_findings(_found(selection, summary, theirs), arguments)
    return 0


def _asked(arguments: argparse.Namespace, run: "Run") -> "DictionaryAnalysis":
    """The analysis that the options describe, once nothing of it is refused."""
    from interp.dictionaries.analysis import DictionaryAnalysis
    from interp.dictionaries.training import require_fitting

    analysis = DictionaryAnalysis(
        folder=run.folder,
        stage=arguments.stage,
        sparsity=arguments.kind,
        is_nested=arguments.matryoshka,
    )
    if arguments.k:
        analysis = replace(analysis, ks=unique(sorted(arguments.k)))
    if arguments.features:
        analysis = replace(analysis, n_features=arguments.features)
    if arguments.steps:
        analysis = replace(analysis, n_steps=arguments.steps)
    for k in analysis.ks:
        require_fitting(analysis.fitting(k), width=run.shape.hidden_size, n_vectors=2)
    return analysis


def _of_twin(
    analysis: "DictionaryAnalysis", selection: "GridSelection", arguments: argparse.Namespace
) -> "pd.DataFrame | None":
    """The same of the null twin, whose tables go into its own folder; None without one."""
    run = selection.runs[0]
    twin, seeds = run.finished_null, tuple(selection.seeds_of(run))
    if twin is None or not set(seeds) <= set(twin.seeds):
        return None
    grid = replace(selection, runs=(twin,), seeds=seeds)
    return fill(replace(analysis, folder=twin.folder), grid, arguments)[1]


def _found(
    selection: "GridSelection", summary: "pd.DataFrame", theirs: "pd.DataFrame | None"
) -> Findings:
    """Sentences by place, and the curve over sparsities."""
    from interp.dictionaries.wording import dictionary_sentences

    is_curve = summary["quantity"].isin(["explained_variance", "loss_recovered"])
    return Findings(
        analysis="dictionaries",
        said=[
            Said(run=run, stage=stage, step=step, sentences=dictionary_sentences(cells, theirs))
            for run, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=["site", "layer", "role", "dictionary", "k", "target", "subset", "quantity",
                 "value", "value_low", "value_high", *TESTED],
        short=["site", "layer", "role", "dictionary", "k", "quantity", "value", "control",
               "p_corrected", "n_seeds"],
        first=summary.loc[is_curve].sort_values(["quantity", "k"], kind="stable", ascending=False),
        which="how much is recovered and explained on aliases never seen",
        legend="control: the first principal components, as many; difference: value - control.",
    )  # fmt: skip
