"""What can go wrong, told apart by cause; the command line turns each into an exit code."""


class InputError(ValueError):
    """Bad input or usage (exit code 2).

    The message is one line: what is wrong and where, a semicolon, what to do.
    """


class DamagedError(RuntimeError):
    """A file on disk is not what was written there (exit code 3)."""
