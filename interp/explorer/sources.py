"""Where an explorer's prompts come from: runs with their checkpoints, or a person's own prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from data.pairs import PromptPair
from data.tokens import TokenizedRow
from interp.explorer.background import OwnRows
from interp.explorer.choice import Choice, Menu, run_labels, settle
from interp.explorer.shelf import Shelf
from interp.explorer.view import View, own_view
from interp.figures.markup import token_label
from interp.hooked.model import HookedModel

LONGEST_PROMPT = 70  # characters of a menu's entry


@runtime_checkable
class Source(Protocol):
    """What an explorer asks for."""

    labels: Mapping[str, tuple[str, str]]
    """Of each field of a choice what stands before its menu, and what a menu is for."""
    searched: str
    """The field whose menu a text filters."""
    asking: frozenset[str]
    """The fields that name a prompt: choosing one of them takes a typed prompt's place."""
    moving: Mapping[str, str]
    """Fields with which changed cells are taken back, and why: they would be another thing."""

    def settle(self, choice: Any) -> Menu:
        """The nearest choice that fits."""
        ...

    def view(self, menu: Menu) -> View:
        """What is looked at."""
        ...

    def where(self, menu: Menu) -> str:
        """The checkpoint or prompt, in words."""
        ...


class RunSource:
    """Questions of runs, and all their checkpoints; see `Source`."""

    labels: Mapping[str, tuple[str, str]] = {
        "run": ("word order", "which run, by its word order and folder"),
        "seed": ("seed", "the Stage-1 seed: its own data and weights"),
        "stage": ("stage", "after which stage of training"),
        "step": ("step", "the checkpoint, by its step within the stage"),
        "subset": ("subset", "whose aliases are asked about"),
        "alias": ("alias", "the alias that is asked about"),
        "question": ("question", "the attribute that is asked for"),
        "against": ("corrupted prompt", "the alias of the corrupted prompt, and its answer"),
    }
    searched = "alias"
    asking = frozenset({"subset", "alias", "question", "against"})
    moving: Mapping[str, str] = dict.fromkeys(
        ("run", "seed"), "a part of one seed's model says nothing of that part of another's"
    )

    def __init__(self, shelf: Shelf) -> None:
        """Takes the shelf; nothing of it is read before it is asked for."""
        self.shelf = shelf

    def settle(self, choice: Choice) -> Menu:
        """See `Source`."""
        return settle(self.shelf, choice)

    def view(self, menu: Menu) -> View:
        """See `Source`."""
        rows = self.shelf.rows(menu.choice.run, menu.choice.seed)
        model = self.shelf.model(menu.choice.place)
        return View(model=model, rows=rows, question=menu.question, corrupted=menu.corrupted)

    def where(self, menu: Menu) -> str:
        """See `Source`."""
        place = menu.choice.place
        run = f"{run_labels(self.shelf)[place.run]}, " if len(self.shelf.runs) > 1 else ""
        return f"{run}seed {place.seed}, stage {place.stage}, step {place.step}"


@dataclass(frozen=True, kw_only=True)
class PromptChoice:
    """Which of a person's own prompts is shown, from 0."""

    prompt: int = 0


class PromptSource:
    """A person's own prompts to one model; see `Source`."""

    labels: Mapping[str, tuple[str, str]] = {
        "prompt": ("prompt", "which of the prompts is shown"),
    }
    searched = "prompt"
    asking = frozenset({"prompt"})
    moving: Mapping[str, str] = {"prompt": "its tokens are others"}

    def __init__(self, model: HookedModel, prompts: Sequence[TokenizedRow | PromptPair]) -> None:
        """Takes a model and rows, or pairs of them, that it can read."""
        self._model, self._rows = model, OwnRows(model, prompts)

    def settle(self, choice: PromptChoice) -> Menu:
        """See `Source`."""
        pairs = self._rows.pairs
        labels = [
            token_label(f"{i + 1}. {row.row.rendered.prompt}", LONGEST_PROMPT)
            for i, (row, _) in enumerate(pairs)
        ]
        question, corrupted = pairs[choice.prompt]
        options = {"prompt": list(zip(labels, range(len(pairs)), strict=True))}
        return Menu(choice=choice, options=options, question=question, corrupted=corrupted)

    def view(self, menu: Menu) -> View:
        """See `Source`."""
        return own_view(self._model, self._rows, menu.question, menu.corrupted)

    def where(self, menu: Menu) -> str:
        """See `Source`."""
        return f"prompt {menu.choice.prompt + 1}"
