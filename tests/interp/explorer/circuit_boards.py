"""Boards of the circuit tab without a run: a loud model of random weights, and few rows."""

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.explorer.background import Rows
from interp.explorer.choice import Choice
from interp.explorer.circuit_tab import CircuitTab
from interp.explorer.shelf import CheckpointPlace, Shelf
from interp.explorer.view import View
from interp.hooked.model import HookedModel
from tests.interp.circuits.toys import folded
from tests.interp.random_models import loud_model
from training.designs import recipe_design

DESIGN = recipe_design("alias-toy")
D5, D6 = DESIGN.main.names
HERE = Choice(seed=0, step=10)


class FoldedRows(Rows):
    """Rows that a test model reads, whose tokens have no words."""

    def __init__(self, rows: Sequence[TokenizedRow]) -> None:
        self.rows = rows

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [f"t{i}" for i in ids]

    def laid_out_alike(self, row: TokenizedRow) -> list[TokenizedRow]:
        return [each for each in self.rows if each.spans == row.spans][:4]


class OneModel(Shelf):
    """A shelf whose only run has these rows, and this model at every checkpoint."""

    def __init__(self, model: HookedModel, read_rows: Callable[[int], Any]) -> None:
        run: Any = SimpleNamespace(
            design=DESIGN, compared_at=lambda _stage: DESIGN.main, tokenized_rows=read_rows
        )
        self.runs, self._only = (run,), model

    def model(self, place: CheckpointPlace) -> HookedModel:
        return self._only


def few_rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    """Rows whose tokens the test models know, just enough to be halved."""
    return folded(toy_rows(sizes=SubsetSizes(defined=16, undefined=16, stage2=16), n_attributes=2))


def loud_heads() -> HookedModel:
    """A loud model whose attention adds nothing that is no head's."""
    model = loud_model()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("attention.dense.bias"):
                weight.zero_()
    return HookedModel.from_hf(model)


def view_of(model: HookedModel, rows: Sequence[TokenizedRow]) -> View:
    """The first question about the higher subset."""
    asked = Behaviour(kind=BehaviourKind.ANSWER, subset=D5).rows(rows)
    return View(model=model, rows=FoldedRows(asked), question=asked[0], corrupted=None)


def drawn(tab: CircuitTab) -> dict[str, Any]:
    assert tab.board is not None
    return {name: json.loads(figure) for name, figure in tab.board.figures.items()}


def after(tab: CircuitTab) -> list[float]:
    """What is watched, without the chosen units."""
    series = [t for t in drawn(tab)["watched"]["data"] if t.get("legendgroup") == "after"]
    return [value for trace in series for value in trace["y"]]
