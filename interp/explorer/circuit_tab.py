"""The circuit tab of a run's board: units are taken away, and the answers move.

What is shown is computed in `interp.explorer.circuit_bench`; here is only when. Nothing is computed
before the tab is opened.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from data.errors import DamagedError, InputError
from interp.circuits.bench import DividedRows
from interp.circuits.unit_cells import chance_of_inclusion, of_ablation, unit_cells
from interp.circuits.units import Unit
from interp.explorer.board import Board
from interp.explorer.choice import Choice
from interp.explorer.circuit_bench import LIMIT, CircuitBench
from interp.explorer.circuit_figures import (
    place_of_unit,
    plot_board_picture,
    plot_watched,
    plot_written,
    unit_at,
)
from interp.explorer.controls import button, dropdown, fill, wrapped
from interp.explorer.shelf import CheckpointPlace, Shelf
from interp.explorer.tables import attention_table
from interp.explorer.texts import error_html
from interp.explorer.token_figures import plot_where_heads_look
from interp.explorer.view import View, read_view
from interp.interventions.ablation import AblationKind

KINDS = {
    AblationKind.MEAN: "to mean of other aliases",
    AblationKind.ZERO: "to zero",
    AblationKind.RESAMPLE: "to another alias's",
}
OFTEN = 0.5
"""The button takes away what is chosen in more draws than this."""
KEPT = 4
"""Benches that are kept: going back to one is quick."""


class CircuitTab:
    """Choose units on a picture, ablate them, watch what is still answered.

    Attributes:
        box: What the tab shows.
        menus: `circuit`, `ablation` and `unit`.
        chosen: The units that are ablated.
        figures: `picture`, `watched`, `attended` and `written`, once the tab was opened.
    """

    def __init__(self, shelf: Shelf) -> None:
        """Makes the controls; the figures come with the first opening."""
        self._shelf = shelf
        self._rows: OrderedDict[Any, DividedRows] = OrderedDict()
        self._benches: OrderedDict[Any, CircuitBench] = OrderedDict()
        self._view: View | None = None
        self._place: CheckpointPlace | None = None
        self._bench: CircuitBench | None = None
        self._is_settling = False
        self.chosen: tuple[Unit, ...] = ()
        self.shown: Unit | None = None
        self.figures: dict[str, go.Figure] = {}
        self.board: Board | None = None
        kinds = [(words, str(kind)) for kind, words in KINDS.items()]
        self.menus = {
            "circuit": dropdown("circuit of", "what the scores and frequencies are of"),
            "ablation": dropdown("ablates", "what takes the place of an output", kinds),
            "unit": dropdown(
                "part", "a head or MLP at tokens of one role, strongest first", is_wide=True
            ),
        }
        self.toggle_button = button(
            "ablate or put back", "takes the part in the menu away, or back"
        )
        self.often_button = button(
            "ablate the often chosen", "those parts that are chosen in most draws of aliases"
        )
        self.undo_button = button("put all back", "ablates nothing", disabled=True)
        self.message = widgets.HTML()
        controls = [*self.menus.values(), self.toggle_button, self.often_button, self.undo_button]
        self.box = widgets.VBox([wrapped(controls), self.message])
        for name, menu in self.menus.items():
            menu.observe(lambda _change, name=name: self._on_menu(name), "value")
        self.toggle_button.on_click(lambda _button: self._toggle_shown())
        self.often_button.on_click(lambda _button: self.set_chosen(self._often()))
        self.undo_button.on_click(lambda _button: self.set_chosen(()))

    def look(self, view: View, choice: Choice) -> None:
        """Shows another prompt or checkpoint; units stay where they mean the same.

        Args:
            view: The prompt whose attention is shown.
            choice: Says which checkpoint.
        """
        place = choice.place
        if self._place is not None and (self._place.run, self._place.seed) != (
            place.run,
            place.seed,
        ):
            self.chosen, self.shown = (), None  # a head of another seed is another head
        self._view, self._choice, self._place = view, choice, place
        self._try(self._open)

    def set_chosen(self, units: tuple[Unit, ...]) -> None:
        """Ablates these units and no others."""
        self.chosen = units
        self._try(self._show)

    def toggle(self, unit: Unit) -> None:
        """Ablates a unit or puts it back: what a click does."""
        others = tuple(each for each in self.chosen if each != unit)
        self.shown = unit
        self.set_chosen(others if unit in self.chosen else (*others, unit))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
            self.message.value = ""
        except (InputError, DamagedError) as error:
            self.message.value = error_html(str(error))
        if self.board is not None:
            self.board.layout.display = "none" if self._bench is None else None

    def _open(self) -> None:
        self._bench = None  # of a checkpoint that cannot be opened nothing is shown
        self._bench = self._bench_of()
        names = list(self._bench.behaviours)
        self._is_settling = True
        value = self.menus["circuit"].value
        fill(self.menus["circuit"], names, value if value in names else names[0])
        self._is_settling = False
        self.chosen = tuple(unit for unit in self.chosen if unit in self._bench.units)
        self._show()

    def _bench_of(self) -> CircuitBench:
        """Of the checkpoint and kind of ablation; made once, while it is kept."""
        place = self._place
        assert place is not None
        kind = AblationKind(str(self.menus["ablation"].value))
        run = self._shelf.runs[place.run]
        compared = run.compared_at(place.stage)
        if (key := (place, kind)) not in self._benches:
            of_seed = (place.run, place.seed, compared.name)
            if of_seed not in self._rows:
                rows = run.tokenized_rows(place.seed)
                self._rows[of_seed] = DividedRows.of(
                    rows, run.design, compared, limit=LIMIT, seed=place.seed
                )
            self._benches[key] = CircuitBench.of(
                self._shelf.model(place), self._rows[of_seed], run.design, compared, kind,
                seed=place.seed,
            )  # fmt: skip
        for kept in (self._benches, self._rows):
            while len(kept) > KEPT:
                kept.popitem(last=False)
        return self._benches[key]

    def _cells(self) -> list[dict[str, Any]]:
        return unit_cells(of_ablation(self._parts(), None), str(self.menus["circuit"].value))

    def _parts(self) -> Any:
        assert self._bench is not None
        return self._bench.parts(self._bench.behaviours[str(self.menus["circuit"].value)])

    def _often(self) -> tuple[Unit, ...]:
        assert self._bench is not None
        often = {cell["places"][0] for cell in self._cells() if cell["inclusion"] > OFTEN}
        return tuple(unit for unit in self._bench.units if place_of_unit(unit) in often)

    def _show(self) -> None:
        """Draws everything for the chosen units."""
        if self._bench is None or self._view is None:
            return
        cells = self._cells()
        self._fill_units(cells)
        assert self.shown is not None
        words = ", ".join(unit.name for unit in self.chosen)
        name = str(self.menus["circuit"].value)
        rows = of_ablation(self._parts(), None)
        about = (
            f"area: nats lost without a part, fill: how often it is chosen over draws of aliases "
            f"({chance_of_inclusion(rows, name):.0%} by chance), n = {cells[0]['n']} rows"
        )
        self.figures = {
            "picture": plot_board_picture(cells, self.chosen, circuit=name, about=about),
            "watched": plot_watched(self._bench.losses(self.chosen), changed=words),
            **self._of_shown(),
        }
        self.undo_button.disabled = not self.chosen
        if self.board is None:
            self.board = Board(self.figures, on_click=self._on_click)
            self.box.children = [*self.box.children, self.board]
        else:
            self.board.show(self.figures)

    def _of_shown(self) -> dict[str, go.Figure]:
        """What the unit that was touched last attends to, if it is a head, and writes."""
        unit, view, bench = self.shown, self._view, self._bench
        assert unit is not None
        assert view is not None
        assert bench is not None
        part = place_of_unit(unit).words
        head = None if unit.head is None else (unit.layer, unit.head)
        attended = plot_where_heads_look(
            attention_table(read_view(view), head=head), view.prompt,
            note=f"{part}, on the prompt of the other tab" if head else
            "all heads: an MLP looks at no other token",
        )  # fmt: skip
        return {"attended": attended, "written": plot_written(bench.written(view, unit), part=part)}

    def _fill_units(self, cells: list[dict[str, Any]]) -> None:
        """The menu of units, the strongest first."""
        assert self._bench is not None
        by_place = {place_of_unit(unit): unit for unit in self._bench.units}
        strongest = sorted(cells, key=lambda cell: -abs(cell["effect"]))
        options = [
            (f"{by_place[place].name} {cell['effect']:+.2f} nats, {cell['inclusion']:.0%}",
             by_place[place].name)
            for cell in strongest
            for place in cell["places"]
        ]  # fmt: skip
        if self.shown not in self._bench.units:
            strongest_units = [Unit.parse(name) for _, name in options]
            heads = [unit for unit in strongest_units if unit.head is not None]
            self.shown = (heads or strongest_units)[0]  # of a head there is more to see
        assert self.shown is not None
        self._is_settling = True
        fill(self.menus["unit"], options, self.shown.name)
        self._is_settling = False

    def _on_menu(self, name: str) -> None:
        if self._is_settling or self._view is None:
            return
        if name == "unit":
            self.shown = Unit.parse(str(self.menus["unit"].value))
        self._try(self._open if name == "ablation" else self._show)

    def _toggle_shown(self) -> None:
        if self.shown is not None:
            self.toggle(self.shown)

    def _on_click(self, figure: str, row: int, column: int) -> None:
        if figure != "picture" or self._bench is None:
            return
        place = unit_at(row, column, self._cells())
        for unit in self._bench.units:
            if place is not None and place_of_unit(unit) == place:
                self.toggle(unit)
                return
