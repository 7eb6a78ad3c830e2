"""What can go wrong, told apart by cause; the command line turns each into an exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input or usage (exit code 2).

    The message is one line: what is wrong and where, a semicolon, what to do.
    """


class DamagedError(RuntimeError):
    """A file on disk is not what was written there (exit code 3)."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error of a name that is none, with the nearest one that is, or else with all of them.

    >>> print(unknown_name("subset", "d5", ["D5_CONS", "QA3"]))
    no subset 'd5'; did you mean D5_CONS?
    >>> print(unknown_name("subset", "all", ["D5_CONS", "QA3"]))
    no subset 'all'; choose one of D5_CONS, QA3
    """
    names = list(known)
    by_lower = {each.lower(): each for each in reversed(names)}
    wanted = name.lower()
    begun = [each for each in by_lower if wanted and each.startswith(wanted)]
    near = begun or get_close_matches(wanted, by_lower, n=1)
    near = near or [each for each in by_lower if len(wanted) > 1 and wanted in each]
    shown = " or ".join(sorted(by_lower[each] for each in near[:3]))
    hint = f"did you mean {shown}?" if near else f"choose one of {', '.join(names)}"
    return InputError(f"no {kind} {name!r}; {hint}")
