"""A run looked at by hand, in Jupyter: `explore(run)`."""

from interp.explorer.notebook import explore

__all__ = ["explore"]
