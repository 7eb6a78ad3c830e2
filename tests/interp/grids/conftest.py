import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from training.recipes import find_recipe
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds

MINI = {"aliases_per_subset": 20, "aliases_qa3": 10, "aliases_stage2": 10, "entities": 8} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}
ORDERS = ("tae", "ate")


@pytest.fixture(scope="session")
def trained(made_once: Callable[[str, Callable[[Path], object]], Path]) -> dict[str, Run]:
    """Small runs of two word orders, by name; never to be changed."""

    def train(folder: Path) -> None:
        run_seeds(
            [
                RunRequest(
                    config=find_recipe("alias-toy")(**MINI, word_order=order),
                    folder=folder / order,
                    seeds=(0, 1),
                )
                for order in ORDERS
            ],
            workers=1,
        )

    folder = made_once("two-orders", train)
    return {order: Run.load(folder / order) for order in ORDERS}


@pytest.fixture
def runs(trained: dict[str, Run], tmp_path: Path) -> tuple[Run, Run]:
    """Two word orders, to be changed."""
    folders = [shutil.copytree(run.folder, tmp_path / order) for order, run in trained.items()]
    tae, ate = (Run.load(folder) for folder in folders)
    return tae, ate
