"""Does a file of a person's own hide `data` or `training`, on which everything here stands?

A `data.py` or a folder `data` beside a script is found before the installed package of that name.
What would follow is an ImportError of some name deep inside; said here is which file it is.
"""

import os.path
import sys
from importlib.util import find_spec
from typing import NoReturn

PACKAGES = ("data", "training")
COMMAND, EXIT_USAGE = "iml", 2


def hidden_package() -> str:
    """Which file or folder hides which package, and what to do; nothing if none does."""
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for name in PACKAGES:
        own, found = os.path.join(home, name), _places(name)
        if found and all(os.path.realpath(place) != own for place in found):
            return (
                f"{found[0]} hides the package {name} of iml-workbench; give it another name, or "
                "run from another folder"
            )
    return ""


def stop_with(problem: str) -> NoReturn:
    """Ends the command with a line and its exit code for bad input; elsewhere raises.

    Raises:
        ImportError: this is not the command.
    """
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    if program == COMMAND or sys.orig_argv[1:3] == ["-m", "interp.cli"]:
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)
    raise ImportError(problem)


def _places(name: str) -> list[str]:
    """The folder of a package, or the file of a module, as an import finds it."""
    module = sys.modules.get(name)
    spec = find_spec(name) if module is None else module.__spec__
    if spec is None:
        return [each for each in [getattr(module, "__file__", None)] if each]
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [spec.origin] if spec.origin else []
