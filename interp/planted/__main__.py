"""`python -m interp.planted KIND --draw N --out DIR` makes a run whose mechanism is known."""

import argparse
import sys
from pathlib import Path

from data.errors import InputError
from interp.planted.kinds import KINDS


def main(arguments: list[str] | None = None) -> int:
    """Makes the run that the command line asks for; returns the exit code."""
    listed = "\n".join(f"  {kind.name:10}{kind.meaning}" for kind in KINDS.values())
    parser = argparse.ArgumentParser(
        prog="python -m interp.planted",
        description="Makes a run, and its null twin, whose mechanism is known.",
        epilog=f"kinds:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", metavar="KIND")
    parser.add_argument("--draw", type=int, default=0, metavar="N")
    parser.add_argument("--seeds", type=int, default=8, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args(arguments)
    from interp.planted.processes import planted_run

    try:
        run = planted_run(asked.kind, asked.draw, asked.out, n_seeds=asked.seeds)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{run.folder}: {KINDS[asked.kind].meaning}; the truth is in planted.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
