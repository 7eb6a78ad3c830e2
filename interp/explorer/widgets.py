"""The explorer on the screen: controls, texts and figures that follow them.

Everything that is shown is computed in `interp.explorer.view` and beside it; here is only when.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from data.errors import DamagedError, InputError
from interp.explorer.board import Board
from interp.explorer.circuit_tab import CircuitTab
from interp.explorer.drawing import draw_figures
from interp.explorer.grid import cells_of_rows, grid_of_view, grid_without_effects, is_quick
from interp.explorer.grid_figure import cell_words, grid_rows
from interp.explorer.menus import Menus
from interp.explorer.sources import RunSource, Source
from interp.explorer.texts import error_html, note_html, texts_html
from interp.explorer.typed import Typed, typed_view
from interp.explorer.view import Edit, GridCell, View, read_view

OTHER_PROMPT = "its tokens are others"


class Explorer:
    """A board of one prompt at a time; `explore` makes one, Jupyter shows it.

    Attributes:
        widget: What Jupyter shows.
        menus: The menus by name: the fields of a choice, `head`, `direction` and `edit`.
        search: Filters one of the menus.
        typing: The fields to type a prompt into.
        view: What is looked at now.
        grid: Its grid.
        cells: The changed cells.
        figures: What is drawn: `answers`, `said`, `lens`, `heads` and `grid`.
        circuit: The tab to ablate circuits in; only runs have one.
        tabs: The two tabs of a run.
    """

    view: View
    figures: dict[str, go.Figure]

    def __init__(self, source: Source, choice: Any) -> None:
        """Computes and lays out the first view."""
        self.source = source
        self.cells: tuple[GridCell, ...] = ()
        self.grid, self._refusal = pd.DataFrame(), ""
        self._typed: Typed | None = None
        self._notes: list[str] = []
        self._menu = source.settle(choice)
        self._controls = Menus(source)
        self.menus, self.search = self._controls.by_name, self._controls.search
        self.reset_button, self.typing = self._controls.reset, self._controls.typing
        self.message, self.note, self.texts = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.board: Board | None = None
        self.circuit = CircuitTab(source.shelf) if isinstance(source, RunSource) else None
        self.tabs: widgets.Tab | None = None
        self._look()
        self.board = Board(self.figures, on_click=self._on_click)
        self._follow_controls()
        self.widget = self._layout()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Jupyter's way to ask for the widget."""
        return self.widget._repr_mimebundle_(**options)

    @property
    def choice(self) -> Any:
        """The choice that the explorer shows now."""
        return self._menu.choice

    @property
    def edit(self) -> Edit:
        """What a click does."""
        return self._controls.edit

    def toggle(self, cell: GridCell) -> None:
        """Changes a cell of the grid, or takes the change back: what a click does."""
        others = tuple(each for each in self.cells if each != cell)
        self.set_cells(others if cell in self.cells else (*others, cell))

    def set_cells(self, cells: tuple[GridCell, ...]) -> None:
        """Changes these cells of the grid and no others.

        Raises:
            InputError: a cell is not of the grid.
        """
        known = cells_of_rows(self.grid, self.view)
        for cell in cells:
            if cell not in known:
                raise InputError(f"{cell} is not in the grid; choose one of its cells")
        self.cells = cells
        self.note.value = ""
        with _without_collection():
            self._show()

    def ask(self, typed: Typed | None) -> None:
        """Shows a typed prompt, or the menus' again; what is wrong with it is said on the board."""

        def turn() -> None:
            self._typed = typed
            self._look(because=OTHER_PROMPT)

        self._try(turn)

    def _try(self, action: Callable[[], None]) -> None:
        """Does something that a person asked for; if it fails, everything is as it was."""
        before = self._menu, self._typed
        self._notes = []
        try:
            with _without_collection():
                action()
            self.message.value = ""
            self.note.value = note_html("; ".join(self._notes))
        except (InputError, DamagedError) as error:
            self._menu, self._typed = before
            self._fill_menus()
            self.message.value = error_html(str(error))

    def _on_menu(self, name: str, change: Any) -> None:
        if not self._controls.is_settling:
            self._try(partial(self._follow, name, change["new"]))

    def _follow(self, name: str, value: Any) -> None:
        if name in self.source.labels:
            self._menu = self.source.settle(replace(self.choice, **{name: value}))
            because = self.source.moving.get(name, "")
            if name in self.source.asking and self._typed is not None:
                self._typed, because = None, OTHER_PROMPT
            self._leave_unreadable()
            self._look(because=because)
        elif name == "direction" or (name == "edit" and self.view.corrupted is None):
            self._look(is_elsewhere=False)
        else:
            self._show()

    def _look(self, *, because: str = "", is_elsewhere: bool = True) -> None:
        """Opens what is chosen; changed cells stay where they mean the same, and that is said.

        Args:
            because: Why they mean another thing.
            is_elsewhere: Whether another prompt or checkpoint is looked at.
        """
        view = self._view()
        reading, grid = read_view(view), self._grid(view)
        words = cell_words(self.view, self.cells, self.edit) if self.cells else ""
        if view.corrupted is None and self.edit is Edit.CORRUPTED:
            because = because or "there is no corrupted prompt to patch from"
        known = set() if because else set(cells_of_rows(grid, view))
        kept = tuple(cell for cell in self.cells if cell in known)
        if len(kept) < len(self.cells):
            kept, because = (), because or "the prompt has no such cell"
            self._notes.append(f"taken back: {words}; {because}")
        elif kept and is_elsewhere:
            self._notes.append(f"kept, now at {self.source.where(self._menu)}: {words}")
        self.grid, self.view, self._reading, self.cells = grid, view, reading, kept
        self._fill_menus()
        self.texts.value = texts_html(view)
        self.typing.suggest(Typed.of(view.question, view.corrupted if view.is_own else None))
        self._show()
        self._show_circuit()

    def _view(self) -> View:
        """What the menus name, or what was typed if the model can read it."""
        view = self.source.view(self._menu)
        if self._typed is None:
            return view
        return typed_view(view, self._typed)

    def _leave_unreadable(self) -> None:
        """Goes back to the menus' prompt where another seed's vocabulary lacks a typed word."""
        if self._typed is None:
            return
        try:
            self._view()
        except InputError as error:
            self._typed = None
            self._notes.append(f"back to the menus' prompt: {error}")

    def _grid(self, view: View) -> pd.DataFrame:
        self._refusal = ""
        try:
            if is_quick(view):
                return grid_of_view(view, self._controls.direction, self.edit)
            self._refusal = "the grid of so large a model is not computed; its cells can be clicked"
        except InputError as error:
            self._refusal = str(error)
        return grid_without_effects(view)

    def _show(self) -> None:
        """Draws what is looked at, with the changed cells."""
        self.reset_button.disabled = not self.cells
        self.figures = draw_figures(
            self.view,
            self.grid,
            self._reading,
            read_view(self.view, self.cells, self.edit) if self.cells else None,
            cells=self.cells,
            edit=self.edit,
            direction=self._controls.direction,
            head=self._controls.head,
            refusal=self._refusal,
        )
        if self.board is not None:
            self.board.show(self.figures)

    def _show_circuit(self) -> None:
        """The circuit of what is looked at, while its tab is open."""
        if self.circuit is not None and self.tabs is not None and self.tabs.selected_index == 1:
            self.circuit.look(self.view, self.choice)

    def _on_tab(self, _change: Any) -> None:
        with _without_collection():
            self._show_circuit()

    def _on_click(self, figure: str, row: int, column: int) -> None:
        if figure != "grid":
            return
        layer, site, head = grid_rows(self.grid, self.view)[row]
        role = self.view.roles[column]
        for cell in cells_of_rows(self.grid, self.view):
            at = cell.site
            if (at.layer, at.name, at.head, cell.role) == (layer, site, head, role):
                self.toggle(cell)
                return

    def _on_search(self, _change: Any) -> None:
        """Narrows the searched menu; if what is chosen is none of it, the first is."""
        name = self.source.searched
        found = self._controls.found(self._menu)
        if not found:
            text = f"no {name} contains {self.search.value!r}; the menu shows all"
            self.message.value = error_html(text)
        elif getattr(self.choice, name) not in [value for _, value in found]:
            self._try(partial(self._follow, name, found[0][1]))
            return
        else:
            self.message.value = ""
        self._fill_menus()

    def _fill_menus(self) -> None:
        self._controls.fill(self._menu, self.view, is_typed=self._typed is not None)

    def _follow_controls(self) -> None:
        for name, menu in self.menus.items():
            menu.observe(partial(self._on_menu, name), "value")
        self.search.observe(self._on_search, "value")
        self.reset_button.on_click(lambda _button: self.set_cells(()))
        self.typing.ask.on_click(lambda _button: self.ask(self.typing.typed))
        self.typing.back.on_click(lambda _button: self.ask(None))

    def _layout(self) -> widgets.VBox:
        controls, said = self._controls.box(), [self.message, self.note]
        if self.circuit is None:
            return widgets.VBox([controls, self.typing.box, *said, self.texts, self.board])
        prompt = widgets.VBox([self.typing.box, self.texts, self.board])
        layout = widgets.Layout(width="100%", min_width="0")
        self.tabs = widgets.Tab(
            [prompt, self.circuit.box], titles=("prompt", "circuit"), layout=layout
        )
        self.tabs.selected_index = 0
        self.tabs.observe(self._on_tab, "selected_index")
        return widgets.VBox([controls, *said, self.tabs])


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
