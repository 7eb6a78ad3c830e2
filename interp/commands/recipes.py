"""The command `recipes`: what can be run, and with which parameters."""

import argparse

from interp.commands import Subparsers
from interp.commands.output import add_json, print_json
from interp.figures.words import plain


def add_command(commands: Subparsers) -> None:
    """Adds `iml recipes` and its options to the command line."""
    recipes = commands.add_parser("recipes", help="what can be run, and with which parameters")
    recipes.add_argument("name", nargs="?", metavar="NAME")
    add_json(recipes)
    recipes.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints every recipe, or one with its parameters."""
    from training.recipes import find_recipe
    from training.registry import RECIPES

    chosen = [find_recipe(arguments.name)] if arguments.name else list(RECIPES.values())
    if arguments.json:
        print_json([recipe.to_json() for recipe in chosen])
        return 0
    for recipe in chosen:
        print(f"{recipe.name}: {(recipe.function.__doc__ or '').splitlines()[0]}")
        print(f"    figures {', '.join(recipe.figures)}; claims {', '.join(recipe.claims)}")
        print(f"    model   {recipe.model}")
        print(f"    cost    {recipe.cost}")
        if arguments.name:
            print("    parameters (change them with iml run --set NAME=VALUE):")
            for parameter in recipe.parameters.values():
                setting = f"{parameter.name}={plain(parameter.default)}"
                print(f"        {setting:<32}{parameter.kind_name}")
    return 0
