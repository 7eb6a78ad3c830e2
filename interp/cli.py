"""The command `iml`: puts the commands together, and turns errors into lines and exit codes."""

import argparse
import errno
import signal
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from data.errors import (
    CellsFailedError,
    DamagedError,
    DiskFullError,
    InputError,
    WorkerDiedError,
    printable,
    reason_of,
)
from interp.commands import (
    Subparsers,
    ablate,
    align,
    attention,
    blocks,
    circuit,
    codes,
    completion,
    data,
    doctor,
    erase,
    hypothesis,
    lens,
    mediate,
    models,
    order,
    patch,
    probe,
    recipes,
    report,
    run,
    sae,
    summary,
    sweep,
    transplant,
    turn,
    twins,
    verify,
)

COMMANDS = (
    *(recipes, models, run, summary, data, verify),
    *(probe, lens, patch, attention, ablate, erase, circuit, codes, sae, transplant),
    *(align, turn),
    *(mediate, twins, order, blocks, hypothesis),
    *(sweep, report),
    *(doctor, completion),
)
"""In the order of `iml --help`."""
NO_SUCH_PLACE = (
    *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
)
"""What the system says of a path that cannot be read or written, which is for the user to mend."""
LONGEST_PATH = 100  # characters of a path in a message
EXIT_FAILED, EXIT_USAGE, EXIT_DAMAGED, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 3, 130, 143


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Prints the version, which is looked up only where somebody asks for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('iml-workbench')}")
        parser.exit()


class _TerminatedError(BaseException):
    """SIGTERM came; raised in the main thread so that everything is left resumable."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(prog="iml", description="A workbench for implicit meta-learning.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.set_defaults(run=lambda _arguments: parser.print_help() or 0)
    commands: Subparsers = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        command.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 failed, 2 bad input, 3 a damaged file.

    130 and 143 after an interrupt and SIGTERM.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _print_anything()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        if any("\0" in word for word in words):
            raise InputError("an argument holds a NUL character, as no name does; leave it out")
        parser = build_parser()
        arguments = parser.parse_args(words, argparse.Namespace(parser=parser))
        return arguments.run(arguments)
    except InputError as error:
        return _fail(error, EXIT_USAGE, debug)
    except DamagedError as error:
        return _fail(error, EXIT_DAMAGED, debug)
    except KeyboardInterrupt as error:
        return _fail(error, EXIT_INTERRUPTED, debug, "interrupted; repeat the command to go on")
    except _TerminatedError as error:
        return _fail(error, EXIT_TERMINATED, debug, "terminated; repeat the command to go on")
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, which is its right
        return 0
    except (CellsFailedError, DiskFullError, WorkerDiedError) as error:
        return _fail(error, EXIT_FAILED, debug)
    except OSError as error:
        if error.errno not in NO_SUCH_PLACE:
            return _fail(error, EXIT_FAILED, debug, f"{reason_of(error)}; repeat the command")
        place = str(error.filename or "a path")[:LONGEST_PATH]
        words = f"{place}: {error.strerror}; check the path and its mode"
        return _fail(error, EXIT_USAGE, debug, words)
    except Exception as error:
        words = f"{type(error).__name__}: {reason_of(error)}"
        return _fail(error, EXIT_FAILED, debug, f"{words}; repeat with --debug for the traceback")
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_anything() -> None:
    """Lets a terminal or file without some character show another for it, not end the command.

    An ASCII stdout lacks the ± of every summary; a file name may be in no encoding at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _fail(error: BaseException, code: int, debug: bool, message: str | None = None) -> int:
    if debug:
        traceback.print_exception(error)
    print(f"error: {printable(message or error)}", file=sys.stderr)
    return code


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _TerminatedError


if __name__ == "__main__":
    sys.exit(main())
