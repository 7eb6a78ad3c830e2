"""The explorer on the screen: menus, texts and four figures that follow them.

Everything that is shown is computed in `interp.explorer.view`; here is only when, and where.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from data.errors import DamagedError, InputError
from interp.explorer.board import Board
from interp.explorer.choice import Choice, Menu, settle
from interp.explorer.figures import (
    cell_words,
    grid_height,
    grid_roles,
    grid_rows,
    plot_answers,
    plot_grid,
    plot_lens_of_prompt,
    plot_where_heads_look,
)
from interp.explorer.shelf import Shelf
from interp.explorer.texts import error_html, pair_words, texts_html
from interp.explorer.view import (
    ABLATIONS,
    GridCell,
    View,
    answers_table,
    attention_table,
    cells_of_rows,
    chance,
    lens_table,
    logit_differences,
    patch_grid_of_pair,
    read_view,
)
from interp.interventions.ablation import AblationKind
from interp.patching.analysis import Direction

MENUS = {
    "run": "word order",
    "seed": "seed",
    "stage": "stage",
    "step": "step",
    "subset": "subset",
    "alias": "alias",
    "question": "question",
    "against": "other alias",
}
"""The fields of a choice, each with what stands before its menu."""
ALL = "all"
"""The value of the menu of heads that stands for every head."""


class Explorer:
    """The explorer of some runs; `explore` makes one, Jupyter shows it.

    Attributes:
        widget: What Jupyter shows.
        menus: The menus by name: the fields of a choice, `head`, `direction` and `ablation`.
        view: What is looked at now.
        grid: Its patching grid.
        cells: The ablated cells.
        figures: What is drawn: `answers`, `heads`, `lens` and `grid`.
    """

    view: View
    figures: dict[str, go.Figure]

    def __init__(self, shelf: Shelf, choice: Choice) -> None:
        """Computes and lays out the first view."""
        self.shelf = shelf
        self.cells: tuple[GridCell, ...] = ()
        self.grid = pd.DataFrame()
        self._is_settling = False
        self._menu = settle(shelf, choice)
        self.menus: dict[str, widgets.Dropdown] = {name: _dropdown(MENUS[name]) for name in MENUS}
        self.menus["head"] = _dropdown("attention of")
        self.menus["direction"] = _dropdown("patching", [(str(d), d) for d in Direction])
        self.menus["ablation"] = _dropdown("ablate to", [(str(a), a) for a in ABLATIONS])
        self.reset_button = widgets.Button(description="undo ablations", disabled=True)
        self.message, self.texts = widgets.HTML(), widgets.HTML()
        self.board: Board | None = None
        self._look()
        self.board = Board(self.figures, on_click=self._on_click)
        for name, menu in self.menus.items():
            menu.observe(partial(self._on_menu, name), "value")
        self.reset_button.on_click(lambda _button: self.set_cells(()))
        self.widget = self._layout()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Jupyter's way to ask for the widget."""
        return self.widget._repr_mimebundle_(**options)

    @property
    def choice(self) -> Choice:
        """The choice that the explorer shows now."""
        return self._menu.choice

    @property
    def _direction(self) -> Direction:
        return Direction(str(self.menus["direction"].value))

    def toggle(self, cell: GridCell) -> None:
        """Ablates a cell of the grid, or takes its ablation back: what a click does."""
        others = tuple(each for each in self.cells if each != cell)
        self.set_cells(others if cell in self.cells else (*others, cell))

    def set_cells(self, cells: tuple[GridCell, ...]) -> None:
        """Ablates these cells of the grid and no others.

        Raises:
            InputError: a cell is not of the grid.
        """
        known = cells_of_rows(self.grid)
        for cell in cells:
            if cell not in known:
                raise InputError(f"{cell} is not in the grid; choose one of its cells")
        self.cells = cells
        with _without_collection():
            self._show()

    def _on_menu(self, name: str, change: Any) -> None:
        if self._is_settling:
            return
        previous = self._menu
        try:
            with _without_collection():
                self._follow(name, change["new"])
            self.message.value = ""
        except (InputError, DamagedError) as error:
            self._menu = previous
            self._fill_menus(previous)
            self.message.value = error_html(str(error))

    def _follow(self, name: str, value: Any) -> None:
        if name in MENUS:
            self._menu = settle(self.shelf, replace(self.choice, **{name: value}))
        if name in MENUS or name == "direction":
            self._look()
        else:
            self._show()

    def _look(self) -> None:
        """Opens what is chosen; ablations stay where the new view has their cells."""
        menu = self._menu
        model = self.shelf.model(menu.choice.place)
        assert menu.choice.seed is not None
        rows = self.shelf.rows(menu.choice.run, menu.choice.seed)
        view = View(model=model, rows=rows, question=menu.question, corrupted=menu.corrupted)
        grid, reading = patch_grid_of_pair(view, self._direction), read_view(view)
        self.grid, self.view, self._reading = grid, view, reading
        known = cells_of_rows(self.grid)
        self.cells = tuple(cell for cell in self.cells if cell in known)
        self._fill_menus(menu)
        self.texts.value = texts_html(view)
        self._show()

    def _show(self) -> None:
        """Draws what is looked at, with the ablations."""
        self.reset_button.disabled = not self.cells
        view, before = self.view, self._reading
        ablation = AblationKind(str(self.menus["ablation"].value))
        after = read_view(view, self.cells, ablation) if self.cells else None
        ablated, guess = cell_words(self.cells, ablation), chance(view)
        head = self.menus["head"].value
        pattern = attention_table(after or before, head=None if head == ALL else head)
        height = grid_height(self.grid)
        about = pair_words(view, logit_differences(view, before), self._direction)
        tokens = [view.prompt[role.position(view.question)] for role in grid_roles(self.grid)]
        answers, lens = answers_table(view, before, after), lens_table(view, before, after)
        self.figures = {
            "answers": plot_answers(answers, chance=guess, ablated=ablated),
            "heads": plot_where_heads_look(pattern, view.prompt, ablated=ablated),
            "lens": plot_lens_of_prompt(lens, chance=guess, ablated=ablated, height=height),
            "grid": plot_grid(self.grid, tokens=tokens, cells=self.cells, about=about),
        }
        if self.board is not None:
            self.board.show(self.figures)

    def _on_click(self, figure: str, row: int, column: int) -> None:
        if figure != "grid":
            return
        layer, site, head = grid_rows(self.grid)[row]
        role = grid_roles(self.grid)[column]
        for cell in cells_of_rows(self.grid):
            at = cell.site
            if (at.layer, at.name, at.head, cell.role) == (layer, site, head, role):
                self.toggle(cell)
                return

    def _fill_menus(self, menu: Menu) -> None:
        """Puts options and values into the menus without following them."""
        self._is_settling = True
        try:
            for name, options in menu.options.items():
                _fill(self.menus[name], options, getattr(menu.choice, name))
            model = self.shelf.model(menu.choice.place)
            heads = [
                (f"layer {layer}, head {head}", (layer, head))
                for layer in range(model.n_layers)
                for head in range(model.n_heads)
            ]
            value = self.menus["head"].value
            known = {head for _, head in heads}
            _fill(
                self.menus["head"], [("all heads", ALL), *heads], value if value in known else ALL
            )
        finally:
            self._is_settling = False

    def _layout(self) -> widgets.VBox:
        shown = [name for name in self.menus if name != "run" or len(self.shelf.runs) > 1]
        wrapped = widgets.Layout(flex_flow="row wrap", align_items="center", width="100%")
        menus = [self.menus[name] for name in shown]
        return widgets.VBox(
            [
                widgets.HBox([*menus, self.reset_button], layout=wrapped),
                self.message,
                self.texts,
                self.board,
            ]
        )


def _dropdown(name: str, options: Any = ()) -> widgets.Dropdown:
    layout = widgets.Layout(width="236px")
    style = {"description_width": "80px"}
    return widgets.Dropdown(options=options, description=name, layout=layout, style=style)


def _fill(menu: widgets.Dropdown, options: Any, value: object) -> None:
    if tuple(menu.options) != tuple(options):
        menu.options = options
    if menu.value != value:
        menu.value = value


@contextmanager
def _without_collection() -> Iterator[None]:
    """Python's garbage collection waits: of all that torch loads, it takes half a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
