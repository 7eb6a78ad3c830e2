"""Every experiment as a function, with what it serves; the only home of hyper-parameter numbers.

A recipe's arguments are what `iml run RECIPE --set NAME=VALUE` can change. The settings of what is
trained from scratch were chosen on seeds below 1000; the figures that this project reports are from
seeds 1000 on. Settings of pretrained models are the paper's (Appendix B).

Importing this package enters every recipe in `training.registry.RECIPES`.
"""

from data.errors import unknown_name
from training.recipes import toys  # isort: split

from training.recipes import text  # isort: split

from training.recipes import figures, people, set_inclusion
from training.registry import RECIPES, Recipe

__all__ = ["figures", "find_recipe", "people", "set_inclusion", "text", "toys"]


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        InputError: there is none.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
