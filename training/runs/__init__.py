"""The run folder: `Run` opens one; how it is asked for, trained into, published and verified."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.runs.run import Run

__all__ = ["Run"]


def __getattr__(name: str) -> Any:
    """Imports what everybody needs when it is first asked for: the files here import others."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("training.runs.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
