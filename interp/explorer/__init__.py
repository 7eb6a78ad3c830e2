"""A run, or any model, looked at by hand in Jupyter: `explore(run)`, `explore(model, prompts)`."""

from interp.explorer.notebook import explore

__all__ = ["explore"]
