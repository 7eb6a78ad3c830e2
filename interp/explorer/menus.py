"""The menus of a board, the field that searches one of them, and what they say is wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets

from interp.explorer.choice import Menu
from interp.explorer.controls import TypedPrompt, button, dropdown, fill, text_field, wrapped
from interp.explorer.sources import Source
from interp.explorer.view import Edit, View
from interp.patching.analysis import Direction

ALL = "all"
"""The value of the menu of heads that stands for every head."""
EDITS = {
    Edit.MEAN: "ablates to mean",
    Edit.ZERO: "ablates to zero",
    Edit.CORRUPTED: "patches corrupted",
}
DIRECTIONS = [
    ("clean into corrupted", str(Direction.DENOISE)),
    ("corrupted into clean", str(Direction.NOISE)),
]


class Menus:
    """All controls; filled from a settled choice without anybody following them.

    Attributes:
        by_name: The menus: the fields of a choice, `head`, `direction` and `edit`.
        search: Filters one of the menus.
        reset: The button that takes every change back.
        typing: The fields to type a prompt into.
        is_settling: Whether values are being filled in, not chosen by a person.
    """

    def __init__(self, source: Source) -> None:
        """Makes them, still empty."""
        self._source = source
        self.is_settling = False
        self.by_name: dict[str, widgets.Dropdown] = {
            name: dropdown(*words, is_wide=name == "prompt")
            for name, words in source.labels.items()
        }
        self.by_name["head"] = dropdown("attention of", "all heads, or one with its whole pattern")
        self.by_name["direction"] = dropdown("patching", "denoising or noising", DIRECTIONS)
        edits = [(words, str(edit)) for edit, words in EDITS.items()]
        self.by_name["edit"] = dropdown("a click", "what a click on a cell of the grid does", edits)
        name = source.searched
        self.search = text_field(f"find {name}", f"a part of its name: shortens the menu of {name}")
        self.reset = button("undo changes", "takes every change back", disabled=True)
        self.typing = TypedPrompt()

    @property
    def edit(self) -> Edit:
        """What a click does."""
        return Edit(str(self.by_name["edit"].value))

    @property
    def direction(self) -> Direction:
        """Which way is patched."""
        return Direction(str(self.by_name["direction"].value))

    @property
    def head(self) -> tuple[int, int] | None:
        """Layer and number of the head that is shown; None for all."""
        value: Any = self.by_name["head"].value
        return None if value == ALL else value

    def found(self, menu: Menu) -> list[tuple[str, Any]]:
        """The options of the searched menu that hold what is searched for."""
        wanted = self.search.value.strip().lower()
        return [each for each in menu.options[self._source.searched] if wanted in each[0].lower()]

    def fill(self, menu: Menu, view: View, *, is_typed: bool) -> None:
        """Puts options and values into the menus.

        Args:
            menu: What is chosen, and what else could be.
            view: What is looked at.
            is_typed: Whether that is a typed prompt.
        """
        with self._settling():
            for name, options in menu.options.items():
                value = getattr(menu.choice, name)
                if name == self._source.searched:
                    options = self._shortened(menu, value)
                fill(self.by_name[name], options, value)
            heads = [
                (f"layer {layer}, head {head}", (layer, head))
                for layer in range(view.model.n_layers)
                for head in range(view.model.n_heads)
            ]
            is_known = self.head in [value for _, value in heads]
            fill(self.by_name["head"], [("all heads", ALL), *heads], self.head if is_known else ALL)
            self._fill_edits(view)
        self.by_name["direction"].disabled = view.corrupted is None
        self.typing.back.disabled = not is_typed

    def box(self) -> widgets.HBox:
        """The menus side by side, the search before the menu that it shortens."""
        shown: list[Any] = []
        for name, menu in self.by_name.items():
            if name == self._source.searched:
                shown.append(self.search)
            if name != "run" or len(menu.options) > 1:
                shown.append(menu)
        return wrapped([*shown, self.reset])

    def _fill_edits(self, view: View) -> None:
        possible = [e for e in EDITS if view.corrupted is not None or e is not Edit.CORRUPTED]
        value = self.edit if self.edit in possible else Edit.MEAN
        fill(self.by_name["edit"], [(EDITS[e], str(e)) for e in possible], str(value))

    def _shortened(self, menu: Menu, value: object) -> list[tuple[str, Any]]:
        """What the search finds (all if nothing), and what is chosen in any case."""
        every = menu.options[self._source.searched]
        found = self.found(menu) or every
        if value in [each for _, each in found]:
            return found
        return [*(option for option in every if option[1] == value), *found]

    @contextmanager
    def _settling(self) -> Iterator[None]:
        self.is_settling = True
        try:
            yield
        finally:
            self.is_settling = False
