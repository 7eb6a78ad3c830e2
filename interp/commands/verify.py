"""The command `verify`: is every file of a run, or of a sweep, what was written?"""

import argparse
import sys
from pathlib import Path

from data.errors import DamagedError, printable
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json


def add_command(commands: Subparsers) -> None:
    """Adds `iml verify` and its options to the command line."""
    verify = commands.add_parser(
        "verify", help="compare every file of a run or sweep with its checksum"
    )
    verify.add_argument("folder", type=Path, metavar="DIR")
    add_json(verify, "what is damaged, as JSON")
    verify.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Compares every file of a run, or of each cell of a sweep, with its checksum."""
    from interp.sweeps.folders import is_sweep, sweep_damage
    from training.runs.integrity import run_damage

    damage = sweep_damage if is_sweep(arguments.folder) else run_damage
    problems = damage(arguments.folder)
    if arguments.json:
        print_json({"folder": arguments.folder, "damaged": problems})
    return _tell_damage(arguments.folder, problems, is_told=arguments.json)


def _tell_damage(folder: Path, problems: list[str], *, is_told: bool) -> int:
    """Says that nothing is damaged in a folder, or what is.

    Raises:
        DamagedError: something is; the message names the first of it, the rest is printed.
    """
    if problems:
        for problem in () if is_told else problems[1:]:
            print(printable(problem), file=sys.stdout)
        more = f" (and {len(problems) - 1} more, listed above)" if len(problems) > 1 else ""
        raise DamagedError(
            f"{problems[0]}{more}; delete what is damaged (of a checkpoint, its seed's folder) "
            "and repeat the command that made it"
        )
    if not is_told:
        print(f"{printable(folder)}: every file matches its checksum")
    return 0
