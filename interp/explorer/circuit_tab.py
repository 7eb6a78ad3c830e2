"""The circuit tab of a run's board: units or edges are taken away, and the answers move.

What is shown is computed in `interp.explorer.circuit_bench`; here is only when. Nothing is computed
before the tab is opened.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from data.errors import DamagedError, InputError
from interp.circuits.unit_cells import chance_of_inclusion, of_ablation, unit_cells
from interp.circuits.units import Part
from interp.explorer.benches import Benches
from interp.explorer.board import Board
from interp.explorer.choice import Choice
from interp.explorer.circuit_bench import CircuitBench, check_edges, head_in
from interp.explorer.circuit_figures import (
    name_of,
    plot_board_picture,
    plot_watched,
    plot_written,
    unit_at,
)
from interp.explorer.controls import button, dropdown, fill, text_field, wrapped
from interp.explorer.edge_figure import drawn_edges, plot_board_edges
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
UNITS, EDGES = "heads and MLPs", "edges between them"
"""What can be ablated."""
NAMED = 6
"""So many of the ablated parts are named in a remark."""


class CircuitTab:
    """Choose units or edges on a picture, ablate them, watch what is still answered.

    Attributes:
        box: What the tab shows.
        menus: `parts` (units or edges), `circuit`, `ablation` and `unit` (or edge).
        find: What the names in the menu of parts have to contain.
        chosen: The units or edges that are ablated.
        figures: `picture`, `watched`, `attended` and `written`, once the tab was opened.
    """

    def __init__(self, shelf: Shelf) -> None:
        """Makes the controls; the figures come with the first opening."""
        self._shelf, self._benches = shelf, Benches(shelf)
        self._view: View | None = None
        self._place: CheckpointPlace | None = None
        self._bench: CircuitBench | None = None
        self._is_settling = False
        self.chosen: tuple[Part, ...] = ()
        self.shown: Part | None = None
        self.figures: dict[str, go.Figure] = {}
        self.board: Board | None = None
        kinds = [(words, str(kind)) for kind, words in KINDS.items()]
        self.menus = {
            "parts": dropdown("parts are", "what is ablated", [(UNITS, UNITS), (EDGES, EDGES)]),
            "circuit": dropdown("circuit of", "what the scores and frequencies are of"),
            "ablation": dropdown("ablates", "what takes the place of an output", kinds),
            "unit": dropdown(
                "part", "a head or MLP at tokens of one role, or an edge, strongest first",
                is_wide=True,
            ),
        }  # fmt: skip
        self.find = text_field("find parts", "such as a0.h1 or alias, of edges emb> or >logits")
        self.find.continuous_update = False
        self.toggle_button = button(
            "ablate or put back", "takes the part in the menu away, or back"
        )
        self.often_button = button(
            "ablate the often chosen", "those parts that are chosen in most draws of aliases"
        )
        self.undo_button = button("put all back", "ablates nothing", disabled=True)
        self.message = widgets.HTML()
        *menus, part = self.menus.values()
        controls = [
            *menus,
            self.find,
            part,
            self.toggle_button,
            self.often_button,
            self.undo_button,
        ]
        self.box = widgets.VBox([wrapped(controls), self.message])
        for name, menu in self.menus.items():
            menu.observe(lambda _change, name=name: self._on_menu(name), "value")
        self.find.observe(lambda _change: self._on_menu("find"), "value")
        self.toggle_button.on_click(lambda _button: self._toggle_shown())
        self.often_button.on_click(lambda _button: self.set_chosen(self._often()))
        self.undo_button.on_click(lambda _button: self.set_chosen(()))

    def look(self, view: View, choice: Choice) -> None:
        """Shows another prompt or checkpoint; parts stay where they mean the same.

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

    def set_chosen(self, parts: tuple[Part, ...]) -> None:
        """Ablates these units or edges and no others."""
        self.chosen = parts
        self._try(self._show)

    def toggle(self, part: Part) -> None:
        """Ablates a unit or edge, or puts it back: what a click does."""
        others = tuple(each for each in self.chosen if each != part)
        self.shown = part
        self.set_chosen(others if part in self.chosen else (*others, part))

    def _try(self, action: Callable[[], None]) -> None:
        self.message.value = ""
        try:
            action()
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
        """Of the checkpoint and kind of ablation; of units where its edges cannot be had."""
        place, parts = self._place, self.menus["parts"]
        assert place is not None
        model, edges = self._shelf.model(place), EDGES
        try:
            check_edges(model)
        except InputError as error:
            edges = f"edges (not of {model.architecture})"
            if parts.value == EDGES:
                self.message.value = error_html(str(error))
        self._is_settling = True
        value = parts.value if edges == EDGES else UNITS
        fill(parts, [(UNITS, UNITS), (edges, EDGES)], value)
        self._is_settling = False
        kind = AblationKind(str(self.menus["ablation"].value))
        return self._benches.of(place, kind, edges=value == EDGES)

    @property
    def _are_edges(self) -> bool:
        return self._bench is not None and bool(self._bench.bench.edges)

    def _cells(self) -> list[dict[str, Any]]:
        return unit_cells(of_ablation(self._parts(), None), str(self.menus["circuit"].value))

    def _parts(self) -> Any:
        assert self._bench is not None
        return self._bench.parts(self._bench.behaviours[str(self.menus["circuit"].value)])

    def _often(self) -> tuple[Part, ...]:
        often = [name_of(cell) for cell in self._cells() if cell["inclusion"] > OFTEN]
        return self._named(often)

    def _named(self, names: Iterable[str]) -> tuple[Part, ...]:
        assert self._bench is not None
        return tuple(self._bench.bench.find(names))

    def _show(self) -> None:
        """Draws everything for the chosen units or edges."""
        if self._bench is None or self._view is None:
            return
        cells = self._cells()
        self._fill_units(cells)
        names = [part.name for part in self.chosen]
        beyond = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        words = f"{', '.join(names[:NAMED])}{beyond}"
        like = (
            "edges of the same layers and kinds" if self._are_edges else "parts of the same layers"
        )
        watched = plot_watched(self._bench.losses(self.chosen), changed=words, like=like)
        self.figures = {
            "picture": self._picture(cells),
            "watched": watched,
            **self._of_shown(cells),
        }
        self.undo_button.disabled = not self.chosen
        if self.board is None:
            self.board = Board(self.figures, on_click=self._on_click)
            self.box.children = [*self.box.children, self.board]
        else:
            self.board.show(self.figures)

    def _picture(self, cells: Sequence[dict[str, Any]]) -> go.Figure:
        name, chosen = str(self.menus["circuit"].value), {part.name for part in self.chosen}
        chance = chance_of_inclusion(of_ablation(self._parts(), None), name)
        often = f"how often it is chosen over draws of aliases ({chance:.0%} by chance)"
        n = f"n = {cells[0]['n']} rows"
        if not self._are_edges:
            about = f"area: nats lost without a part, fill: {often}, {n}"
            return plot_board_picture(cells, chosen, circuit=name, about=about)
        drawn = self._drawn(cells)
        about = (
            f"width: nats lost without an edge, strength of colour: {often}, {n}; q, k, v: by what "
            f"a head reads; {len(drawn)} of {len(cells)} edges, the strongest and the ablated"
        )
        return plot_board_edges(cells, drawn, chosen, circuit=name, about=about)

    def _drawn(self, cells: Sequence[dict[str, Any]]) -> list[Any]:
        """The edges that the picture has, in its order."""
        return drawn_edges(cells, self._found(cells), {part.name for part in self.chosen})

    def _found(self, cells: Sequence[dict[str, Any]]) -> list[str]:
        """The names of the parts that are searched for; of all where there are none."""
        names, text = [name_of(cell) for cell in cells], self.find.value.strip()
        if not (found := [name for name in names if text in name]):
            self.message.value = error_html(f"no part's name holds {text!r}; these are all")
        return found or names

    def _of_shown(self, cells: Sequence[dict[str, Any]]) -> dict[str, go.Figure]:
        """What the part that was touched last attends to, where a head is in it, and writes."""
        part, view, bench = self.shown, self._view, self._bench
        assert part is not None
        assert view is not None
        assert bench is not None
        cell = next(cell for cell in cells if name_of(cell) == part.name)
        words = " → ".join(place.words for place in cell["places"])
        head = head_in(part)
        attended = plot_where_heads_look(
            attention_table(read_view(view), head=head), view.prompt,
            note=f"{words}, on the prompt of the other tab" if head else
            f"all heads: {words} looks at no other token",
        )  # fmt: skip
        if self._are_edges:
            words = f"{cell['places'][0].words} at the last token"
        written = plot_written(bench.written(view, part), part=words)
        return {"attended": attended, "written": written}

    def _fill_units(self, cells: Sequence[dict[str, Any]]) -> None:
        """The menu of parts, the strongest first."""
        assert self._bench is not None
        listed = {*self._found(cells), *(part.name for part in self.chosen)}
        options = [
            (f"{name} {cell['effect']:+.2f} nats, {cell['inclusion']:.0%}", name)
            for cell in sorted(cells, key=lambda cell: -abs(cell["effect"]))
            if (name := name_of(cell)) in listed
        ]
        parts = self._named(name for _, name in options)
        if self.shown not in parts:
            self.shown = next((each for each in parts if head_in(each)), parts[0])
        assert self.shown is not None
        self._is_settling = True
        fill(self.menus["unit"], options, self.shown.name)
        self._is_settling = False

    def _on_menu(self, name: str) -> None:
        if self._is_settling or self._view is None:
            return
        if name == "unit":
            (self.shown,) = self._named([str(self.menus["unit"].value)])
        self._try(self._open if name in ("ablation", "parts") else self._show)

    def _toggle_shown(self) -> None:
        if self.shown is not None:
            self.toggle(self.shown)

    def _on_click(self, figure: str, row: int, column: int) -> None:
        if figure != "picture" or self._bench is None:
            return
        cells = self._cells()
        if self._are_edges:
            drawn = dict(enumerate(map(name_of, self._drawn(cells))))
            name = drawn.get(row)
        else:
            name = unit_at(row, column, cells)
        if name is not None:
            self.toggle(*self._named([name]))
