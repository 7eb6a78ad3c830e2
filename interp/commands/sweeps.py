"""The command `sweep`, and what `summary`, `verify` and `report` do with the folder of a sweep."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import printable
from interp.commands.runs import (
    Subparsers,
    add_executor,
    read_seeds,
    show_summary,
    tell_damage,
    verify_run,
)
from training.executors.executor import find_executor

if TYPE_CHECKING:
    from interp.sweeps.folders import FinishedSweep


def add_sweep_commands(commands: Subparsers) -> None:
    """Enters `sweep` and `report`, and makes `summary` and `verify` read sweeps too."""
    sweep = commands.add_parser("sweep", help="many runs and their analyses, tables joined")
    sweep.add_argument("name", metavar="NAME")
    sweep.add_argument("--out", type=Path, metavar="DIR", help="default runs/NAME")
    sweep.add_argument("--seeds", metavar="N or A:B", help="of every cell, as in iml run")
    sweep.add_argument("--smoke", action="store_true", help="tiny cells; numbers mean nothing")
    add_executor(sweep)
    sweep.set_defaults(run=run_named_sweep)

    report = commands.add_parser("report", help="one self-contained HTML page on a run or sweep")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.set_defaults(run=write_report)

    commands.choices["summary"].set_defaults(run=show_run_or_sweep)
    commands.choices["verify"].set_defaults(run=verify_run_or_sweep)


def run_named_sweep(arguments: argparse.Namespace) -> int:
    """Runs what is missing of a sweep; prints the gap of each cell and the claims."""
    seeds = read_seeds(arguments)

    from interp.sweeps.folders import FinishedSweep, require_place_for
    from interp.sweeps.plans import find_sweep

    sweep = find_sweep(arguments.name)
    folder = arguments.out or Path("runs") / sweep.name
    require_place_for(sweep, folder, smoke=arguments.smoke)
    for request in sweep.requests(folder, seeds, smoke=arguments.smoke):
        request.check()

    from interp.sweeps.sweep import run_sweep
    from training.progress import show_progress

    run_sweep(
        sweep,
        folder,
        seeds,
        smoke=arguments.smoke,
        workers=arguments.workers,
        executor=find_executor(arguments.executor),
        show=show_progress,
    )
    print(sweep_text(FinishedSweep.load(folder)))
    return 0


def show_run_or_sweep(arguments: argparse.Namespace) -> int:
    """Prints the headline numbers of a run, or the cells of a sweep; with the paper's claims."""
    from interp.sweeps.folders import FinishedSweep, is_sweep

    if not is_sweep(arguments.folder):
        return show_summary(arguments)
    sweep = FinishedSweep.load(arguments.folder)
    print(json.dumps(sweep.to_json(), indent=1) if arguments.json else sweep_text(sweep))
    return 0


def verify_run_or_sweep(arguments: argparse.Namespace) -> int:
    """Compares every file of a run, or of each cell of a sweep, with its checksum."""
    from interp.sweeps.folders import is_sweep, sweep_damage

    if not is_sweep(arguments.folder):
        return verify_run(arguments)
    return tell_damage(arguments.folder, sweep_damage(arguments.folder))


def write_report(arguments: argparse.Namespace) -> int:
    """Writes `DIR/report.html`."""
    from interp.sweeps.folders import FinishedSweep, is_sweep

    if is_sweep(arguments.folder):
        sweep = FinishedSweep.load(arguments.folder)

        from interp.report.sweep_page import build_sweep_report

        print(printable(build_sweep_report(sweep)))
        return 0

    from training.runs.run import Run

    run = Run.load(arguments.folder)
    run.require_finished()

    from interp.report.page import build_report

    print(printable(build_report(run)))
    return 0


def sweep_text(sweep: "FinishedSweep") -> str:
    """The main contrast of each cell, and the paper's claims."""
    import pandas as pd

    from interp.claims.text import claims_text
    from interp.figures.words import UNITS, gap_text
    from training.runs.old_rules import old_rules, old_rules_text

    rows, main = [], sweep.design.main
    for run in sweep.runs:
        row = {name: run.config.parameters.get(name) for name in sweep.differing()}
        for metric, unit in UNITS.items():
            found = run.summary[main.name][metric]
            row |= {f"{unit} [95% CI]": gap_text(found), f"p {unit}": f"{found['p_value']:.4f}"}
        rows.append({**row, "n": run.summary[main.name]["exact_match"]["n_seeds"]})
    cells = pd.DataFrame(rows).to_string(index=False)
    rules = dict.fromkeys(old_rules_text(run) for run in sweep.runs if old_rules(run))
    title = f"{sweep.info['name']}: {sweep.info['question']}"
    lines = [title, *rules, f"{main.label} ({' − '.join(main.names)})", cells]
    return "\n".join([*lines, "", claims_text(sweep.verdicts)] if sweep.verdicts else lines)
