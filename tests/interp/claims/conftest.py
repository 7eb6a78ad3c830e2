from dataclasses import replace

import pytest

from training.recipes import find_recipe
from training.registry import RECIPES, Recipe


@pytest.fixture
def bears_on(monkeypatch: pytest.MonkeyPatch):
    """Makes the recipe of `hand_made_runs.make_run` bear on given claims."""

    def bear(*ids: str) -> None:
        recipe: Recipe = replace(find_recipe("alias-toy"), claims=ids)
        monkeypatch.setitem(RECIPES, "alias-toy", recipe)

    return bear
