"""The seam to TransformerLens: `load_hooked` opens a checkpoint; addresses of activations in it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.hooked.model import HookedModel, load_hooked, load_hooked_folder

__all__ = ["HookedModel", "load_hooked", "load_hooked_folder"]


def __getattr__(name: str) -> Any:
    """Imports what everybody needs when it is first asked for: the files here import others."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("interp.hooked.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
