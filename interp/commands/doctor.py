"""The command `doctor`: what is wrong with this machine, and what to do about it."""

import argparse
from dataclasses import asdict
from pathlib import Path

from data.errors import printable
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json

EXIT_WRONG = 1


def add_command(commands: Subparsers) -> None:
    """Adds `iml doctor` to the command line."""
    doctor = commands.add_parser("doctor", help="what is wrong with this machine, with remedies")
    add_json(doctor)
    doctor.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints a line a check; 1 if one of them found something wrong, a note is nothing wrong."""
    from interp.commands.machine import State, all_checks

    checks = all_checks(Path.cwd())
    is_well = all(check.state is not State.PROBLEM for check in checks)
    if arguments.json:
        print_json({"ok": is_well, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            remedy = f"; {check.remedy}" if check.remedy else ""
            print(printable(f"{check.state:<8} {check.name:<15} {check.found}{remedy}"))
    return 0 if is_well else EXIT_WRONG
