"""The command `circuit`: which heads and MLPs carry an answer, and is that beyond chance?"""

import argparse
from typing import TYPE_CHECKING

from data.errors import InputError
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.necessity import add_necessity, run_necessity
from interp.commands.output import Findings, Said, print_findings
from interp.commands.selectors import (
    add_selectors,
    choices_of,
    compared_in,
    refuse,
    selection_of,
    unique,
)

if TYPE_CHECKING:
    import pandas as pd

    from interp.circuits.analysis import CircuitAnalysis
    from interp.grids.selection import GridSelection


def add_command(commands: Subparsers) -> None:
    """Adds `iml circuit` and its options to the command line."""
    circuit = commands.add_parser("circuit", help="which heads and MLPs carry an answer, tested")
    add_selectors(circuit)
    circuit.add_argument(
        "--ablation", action="append", metavar="KIND", help="zero, mean, resample; default mean"
    )
    circuit.add_argument(
        "--unit", action="append", metavar="NAME",
        help="of a circuit of your own, tested in place of a chosen one: a1.h3@alias, m0@alias; "
        "with --edges a0.h1>a1.h3.q, emb>m1, m1>logits",
    )  # fmt: skip
    circuit.add_argument(
        "--edges", action="store_true", help="circuits of edges: what one part says to one other"
    )
    circuit.add_argument(
        "--scores", metavar="METHOD", help="what circuits are chosen by: exact (default), eap, "
        "eap_ig",
    )  # fmt: skip
    circuit.add_argument("--limit", type=int, default=100, metavar="N", help="rows a half")
    add_necessity(circuit)
    circuit.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Finds and tests circuits at every checkpoint of a grid, and prints what carries answers."""
    refuse(arguments.site, "--site", "circuits are of all heads and MLPs")
    refuse(arguments.role, "--role", "units are at the tokens of every role")
    refuse(arguments.layer, "--layer", "circuits are of all layers")
    if arguments.limit < 1:
        raise InputError(f"--limit is {arguments.limit}; give 1 or more rows")
    selection = selection_of(arguments)
    if arguments.necessity:
        refuse(arguments.edges, "--edges", "--necessity is of weights, which are no edge's")
        return run_necessity(selection, arguments)
    refuse(arguments.component, "--component", "it is of --necessity; --unit names units")
    refuse(arguments.others, "--others", "it is of --necessity")

    from interp.circuits.analysis import CircuitAnalysis
    from interp.circuits.scores import ScoreMethod
    from interp.interventions.ablation import AblationKind

    default = CircuitAnalysis()
    kinds = choices_of(arguments.ablation, AblationKind, "ablation")
    scores = [arguments.scores] if arguments.scores else None
    methods = choices_of(scores, ScoreMethod, "kind of scores")
    analysis = CircuitAnalysis(
        contrast=compared_in(selection).name,
        ablations=kinds or default.ablations,
        method=methods[0] if methods else default.method,
        circuit=unique(arguments.unit or ()),
        edges=arguments.edges,
        limit=arguments.limit,
    )
    summary = fill(analysis, selection, arguments)[1]
    print_findings(_carried(analysis, selection, summary), arguments)
    return 0


def _carried(
    analysis: "CircuitAnalysis", selection: "GridSelection", summary: "pd.DataFrame"
) -> Findings:
    """What carries the answers."""
    from interp.circuits.wording import circuit_found, strongest_units

    names = [name for name in dict.fromkeys(summary["circuit"]) if name.startswith("answer")]
    return Findings(
        analysis=analysis.name,
        said=[
            Said(
                run=run,
                stage=stage,
                step=step,
                sentences=circuit_found(cells, compared_in(selection)),
            )
            for run, stage, step, cells, _ in by_checkpoint(selection, summary)
        ],
        summary=summary,
        cells=summary,
        columns=[
            *("circuit", "ablation", "quantity", "unit", "subset", "value", "control"),
            *("difference", "ci_low", "ci_high", "p_corrected", "p_smallest", "n_null", "n_seeds"),
        ],
        short=["circuit", "ablation", "quantity", "unit", "value", "ci_low", "ci_high", "n_seeds"],
        first=strongest_units(summary, names),
        which="nats of what is said that are lost without a unit, the largest first",
        interval_of="value",
        legend="value: mean over seeds; positive: the unit helps.",
    )
