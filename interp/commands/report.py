"""The command `report`: one self-contained page on a run, on a sweep, or on several runs."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import InputError, printable
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json

LONGEST_HEAD = 1000  # bytes of a page before it has said what it is


def add_command(commands: Subparsers) -> None:
    """Adds `iml report` and its options to the command line."""
    report = commands.add_parser(
        "report", help="one self-contained HTML page on a run or sweep, or on runs side by side"
    )
    report.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="the folder of a run or sweep; of several runs the page compares them with the first",
    )
    report.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where the page goes: DIR/report.html unless said, of several runs "
        "report-compare.html here; no file but such a page is written over",
    )
    add_json(report, "where the page is, as JSON")
    report.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Writes the page on a run or sweep, or on several runs, and prints where that is."""
    if len(arguments.folders) > 1:
        path = _compare(arguments.folders, arguments.out)
    else:
        path = _report(arguments.folders[0], arguments.out)
    if arguments.json:
        print_json({"report": path})
    else:
        print(printable(path))
    return 0


def _report(folder: Path, out: Path | None) -> Path:
    """The page of a run or sweep, in its folder or as a file elsewhere."""
    from interp.sweeps.folders import FinishedSweep, is_sweep

    if is_sweep(folder):
        sweep = FinishedSweep.load(folder)

        from interp.report.sweep_page import build_sweep_report, sweep_html

        if out is None:
            return build_sweep_report(sweep)
        return _write(out, "report", lambda: sweep_html(sweep))

    from training.runs.run import Run

    run = Run.load(folder)
    run.require_finished()

    from interp.report.page import build_report, report_html
    from training.runs.ledger import note_read

    note_read(run, "report", run.seeds)
    if out is None:
        return build_report(run)
    return _write(out, "report", lambda: report_html(run))


def _compare(folders: Sequence[Path], out: Path | None) -> Path:
    """The page of several runs, in the working folder unless another place is named."""
    from interp.sweeps.folders import CELLS, is_sweep
    from training.runs.run import Run

    for folder in folders:
        if is_sweep(folder):
            raise InputError(f"{folder} is a sweep; compare runs, such as those in its {CELLS}/")
    runs = [Run.load(folder) for folder in folders]
    for run in runs:
        run.require_finished()

    from training.runs.ledger import note_read

    for run in runs:
        note_read(run, "report", run.seeds)

    from interp.report.compare_page import COMPARE_FILE, KIND, compare_html

    path = out or Path(COMPARE_FILE)
    return _write(path, KIND, lambda: compare_html(runs, str(path)))


def _write(path: Path, kind: str, make: Callable[[], str]) -> Path:
    """Writes a page beside no run's own files, and over nothing but a page of its kind.

    Raises:
        InputError: the place is a folder, lies in a run or sweep, or has another file.
    """
    from interp.report.shell import generator
    from interp.sweeps.folders import SWEEP_FILE
    from training.files import require_writable, write_bytes
    from training.runs.info import RUN_FILE
    from training.runs.requests import require_outside

    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file with --out")
    require_outside(path, RUN_FILE, SWEEP_FILE)
    if path.exists():
        with path.open("rb") as file:
            start = file.read(LONGEST_HEAD)
        if generator(kind).encode() not in start:
            raise InputError(
                f"{path} is there and is no {kind} that iml report wrote; choose another file "
                "with --out"
            )
    require_writable(path.parent)
    write_bytes(path, make().encode())
    return path
