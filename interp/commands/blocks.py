"""The command `blocks`: what have the weights of one layer learned?"""

import argparse
from pathlib import Path

from interp.commands import Subparsers
from interp.commands.output import Findings, Said, add_output, print_findings


def add_command(commands: Subparsers) -> None:
    """Adds `iml blocks` and its options to the command line."""
    blocks = commands.add_parser("blocks", help="weights of one-layer models: blocks, directions")
    blocks.add_argument("folder", type=Path, metavar="DIR")
    add_output(blocks)
    blocks.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Reads every checkpoint of a run and of its control, writes the tables and prints the end."""
    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.figures.grid_tables import table_of
    from interp.one_layer.analysis import CELL, TABLE, write_blocks
    from interp.one_layer.wording import blocks_found

    table, summary = write_blocks(run)
    twin = run.finished_null
    control = None if twin is None else table_of(twin, TABLE)
    last = max(table["step"].tolist())
    cells = summary.loc[summary["step"] == last]
    (stage,) = set(cells["stage"])
    said = Said(run=run, stage=stage, step=last, sentences=blocks_found(table, control))
    findings = Findings(
        analysis=TABLE,
        said=[said],
        summary=summary,
        cells=cells,
        columns=[*CELL, "value", "ci_low", "ci_high", "n_seeds"],
        first=cells.loc[cells["quantity"] == "block"],
        which="blocks of the value matrix at the last step",
        interval_of="value",
    )
    print_findings(findings, arguments)
    return 0
