"""Every experiment as a function, with what it serves; the only home of hyper-parameter numbers.

A recipe's parameters are what `iml run RECIPE --set NAME=VALUE` can change. The settings of what is
trained from scratch were chosen on seeds below 1000; the figures that this project reports are from
seeds 1000 on. Settings of pretrained models are the paper's (Appendix B).

Importing this package imports every file in it, which enters its recipes in
`training.registry.RECIPES`. The toys are the first that `iml recipes` lists.
"""

from importlib import import_module
from pkgutil import iter_modules

from data.errors import unknown_name
from training.registry import RECIPES, Recipe

_found = [module.name for module in iter_modules(__path__)]
for _name in sorted(_found, key=lambda name: (name != "toys", name)):
    import_module(f"{__name__}.{_name}")


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        InputError: there is no recipe of this name.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
