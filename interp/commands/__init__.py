"""The commands of `iml`, one file each, named after it.

`add_command` enters a command, with its options and help; `run_command`, which it sets as `run`,
carries it out and returns the exit code. What several commands share stands in files named after
it: `selectors`, `seeds`, `executor`, `device`, `grids`, `output`; what `doctor` looks at is in
`machine`. `interp.cli` has the list of commands.
"""

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command enters itself into."""
