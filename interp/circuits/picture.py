"""The picture of a circuit: tokens by role along the bottom, above each the parts at these tokens.

A circle is a head, a square an MLP; its area is what the answer loses without it, its fill how
often it is chosen: an empty one never is. No set of parts is drawn as *the* circuit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from interp.circuits.unit_cells import EMBEDDING, LOGITS, SCORES, Place, ordered_roles
from interp.figures.palette import FAINT, INK, OWN_ROLE_COLOR, ROLE_COLORS, transparent
from interp.figures.places import role_words
from interp.figures.room import PAGE
from interp.figures.seed_marks import FEWEST

HELPS, HURTS = "#0b7285", "#c2410c"
"""Of parts without which the answer loses, and without which it gains."""
LEAST = 0.01
"""Of the largest effect; what is smaller has no sign that could be seen."""
ROW_HEIGHT = 54
LARGEST, SMALLEST = 30.0, 5.0
"""Pixels across the marks of the largest effect, and of none."""
NUMBERED = 17
"""Pixels of a head's room from which on its number has room below it."""
WIDEST = 9.0
MOST_EDGES = 60
"""So many can be told apart; of more, those of the largest effects are drawn."""
BEND = 0.16
"""How far an edge bends aside, so that it does not run through the parts between its ends."""
BENDS = {"queries": 0.25 * BEND, "keys": BEND, "values": 1.75 * BEND}
"""Of the edges into one head, which would else lie upon each other."""
FILLS = {1.0: "chosen in every draw", 0.5: "in half", 0.0: "in none"}


@dataclass(frozen=True, kw_only=True)
class Floor:
    """Where everything stands: roles side by side, heads side by side within them."""

    roles: tuple[str, ...]
    n_layers: int
    n_heads: int
    has_ends: bool = False
    """Whether edges begin at the embedding or end at the logits."""

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Floor":
        """That has room for these places."""
        layers = [each.layer for each in places]
        return cls(
            roles=tuple(ordered_roles([each.role for each in places])),
            n_layers=1 + max(layer for layer in layers if layer < LOGITS),
            n_heads=1 + max([0, *(each.slot for each in places)]),
            has_ends=bool({EMBEDDING, LOGITS} & set(layers)),
        )

    @property
    def width(self) -> int:
        """Of a role, in heads."""
        return self.n_heads + 1

    @property
    def height(self) -> int:
        """Pixels of all rows."""
        return ROW_HEIGHT * (2 * self.n_layers + 1 + 2 * self.has_ends)

    @property
    def foot(self) -> float:
        """Below the lowest row."""
        return -1.6 if self.has_ends else -0.6

    @property
    def rows(self) -> dict[int, str]:
        """What stands at each height."""
        of_layers = [
            f"layer {n}, {what}" for n in range(self.n_layers) for what in ("heads", "MLP")
        ]
        ends = {-1: "embedding", 2 * self.n_layers: "logits"} if self.has_ends else {}
        return dict(sorted({**dict(enumerate(of_layers)), **ends}.items()))

    def at(self, place: Place) -> tuple[float, float]:
        """Where a part stands; an MLP above the middle of its layer's heads."""
        start = float(self.roles.index(place.role) * self.width)
        if place.layer == LOGITS:
            return start + (self.n_heads - 1) / 2, 2.0 * self.n_layers
        if place.slot < 0:
            return start + (self.n_heads - 1) / 2, 2.0 * place.layer + 1
        return start + place.slot, 2.0 * place.layer

    def middles(self) -> list[float]:
        """The middle of each role."""
        return [i * self.width + (self.n_heads - 1) / 2 for i in range(len(self.roles))]


def draw_picture(
    figure: go.Figure,
    cells: Sequence[Mapping[str, Any]],
    floor: Floor,
    *,
    room: float = PAGE - 130,
) -> None:
    """Adds ground, edges, units and a legend to a figure; its first axes get their names.

    Args:
        figure: Changed in place.
        cells: Records of `interp.circuits.unit_cells.unit_cells`.
        floor: Where they stand.
        room: Pixels of the horizontal axis.
    """
    units = [cell for cell in cells if len(cell["places"]) == 1]
    edges = [cell for cell in cells if len(cell["places"]) > 1]
    most = max((abs(cell["effect"]) for cell in cells), default=0.0) or 1.0
    _add_ground(figure, floor)
    strongest = sorted(edges, key=lambda cell: -abs(cell["effect"]))[:MOST_EDGES]
    for cell in reversed(strongest):
        _add_edge(figure, cell, floor, most)
    if edges:
        _add_nodes(figure, strongest, floor)
    space = room / (len(floor.roles) * floor.width)
    _add_units(figure, units, floor, most, space)
    for name, color in (("helps the answer", HELPS), ("hurts it", HURTS)):
        _add_key(figure, name, {"color": color})
    for fill, words in FILLS.items():
        _add_key(figure, words, _fill(FAINT, fill))
    layout: Any = figure.layout
    layout.xaxis.update(
        title="tokens, by their role", tickvals=floor.middles(),
        ticktext=[role_words(role) for role in floor.roles], tickangle=0,
        range=[-0.9, len(floor.roles) * floor.width - 1.1], showgrid=False, ticks="",
    )  # fmt: skip
    layout.yaxis.update(
        title="component", tickvals=list(floor.rows), ticktext=list(floor.rows.values()),
        showgrid=False, range=[floor.foot - 0.35, max(floor.rows) + 0.6], ticks="", zeroline=False,
    )  # fmt: skip
    layout.hovermode = "closest"


def cell_words(cell: Mapping[str, Any]) -> str:
    """What hovering over a part says, in lines."""
    interval = f" [{cell['low']:+.3f}, {cell['high']:+.3f}]" if cell["n_seeds"] >= FEWEST else ""
    scores = [f"{words} {cell[name]:+.3f}" for name, words in SCORES.items() if name in cell]
    first = f"{scores[0]}{interval}" if scores else "no score"
    lines = [
        "<b>" + " → ".join(place.words for place in cell["places"]) + "</b>",
        f"nats lost without it: {', '.join([first, *scores[1:]])}",
        f"chosen in {cell['inclusion']:.0%} of draws of aliases",
    ]
    if not np.isnan(cell["member"]):
        n = cell["n_seeds"]
        lines.append(f"in the circuit of {round(cell['member'] * n)} of {n} seed{'s' * (n > 1)}")
    if cell["n_seeds"] > 1:
        lines += [
            f"seed {seed}: {name}, {effect:+.2f} nats, {inclusion:.0%}"
            for seed, (name, effect, inclusion) in sorted(cell["own"].items())
        ]
    return "<br>".join([*lines, f"n = {cell['n']} rows"])


def edge_middle(places: Sequence[Place], floor: Floor) -> tuple[float, float]:
    """Where the middle of an edge's bent line is."""
    (x0, y0), (x1, y1) = (floor.at(place) for place in places)
    bend = BENDS.get(places[-1].reads, BEND)
    return (x0 + x1) / 2 + bend * (y1 - y0), (y0 + y1) / 2 - bend * (x1 - x0) / floor.width


def mark_size(effect: float, most: float, space: float) -> float:
    """Pixels across a mark whose area is an effect's size."""
    largest = min(LARGEST, 1.6 * space)
    return max(SMALLEST, largest * float(np.sqrt(abs(effect) / most)))


def _add_ground(figure: go.Figure, floor: Floor) -> None:
    """A column for each role, and its tokens as a bar of the role's colour at the foot."""
    for start, role in enumerate(floor.roles):
        left = start * floor.width
        across: dict[str, Any] = {
            "x0": left - 0.7,
            "x1": left + floor.n_heads - 0.3,
            "line": {"width": 0},
            "opacity": 1,
        }
        top, foot = max(floor.rows) + 0.55, floor.foot
        color = ROLE_COLORS.get(role, OWN_ROLE_COLOR)
        figure.add_shape(y0=foot, y1=top, fillcolor="#f6f7fa", layer="below", **across)
        figure.add_shape(y0=foot - 0.35, y1=foot - 0.06, fillcolor=color, layer="below", **across)


def _add_edge(figure: go.Figure, cell: Mapping[str, Any], floor: Floor, most: float) -> None:
    """A bent line from what writes to what reads; its hover is at its middle."""
    (x0, y0), (x1, y1) = (floor.at(place) for place in cell["places"])
    color, middle = _sign_color(cell["effect"], most), edge_middle(cell["places"], floor)
    opacity = 0.08 + 0.8 * cell["inclusion"]
    figure.add_scatter(
        x=[x0, middle[0], x1], y=[y0, middle[1], y1], mode="lines+markers",
        line={"color": transparent(color, opacity), "shape": "spline",
              "width": max(0.6, WIDEST * abs(cell["effect"]) / most)},
        marker={"size": 12, "opacity": 0},  # only its hover is wanted
        hovertemplate=cell_words(cell) + "<extra></extra>", showlegend=False, meta="edge",
    )  # fmt: skip


def _add_nodes(figure: go.Figure, edges: Sequence[Mapping[str, Any]], floor: Floor) -> None:
    """A small mark where edges begin and end."""
    names = {floor.at(place): place.component for cell in edges for place in cell["places"]}
    figure.add_scatter(
        x=[x for x, _ in names], y=[y for _, y in names], mode="markers", text=list(names.values()),
        marker={"size": 7, "color": "#ffffff", "line": {"width": 1.5, "color": FAINT}},
        hovertemplate="%{text}<extra></extra>", showlegend=False, meta="nodes",
    )  # fmt: skip


def _add_units(
    figure: go.Figure,
    cells: Sequence[Mapping[str, Any]],
    floor: Floor,
    most: float,
    space: float,
) -> None:
    places = [cell["places"][0] for cell in cells]
    at = [floor.at(place) for place in places]
    colors = [_sign_color(cell["effect"], most) for cell in cells]
    numbers = [
        "" if place.slot < 0 or space < NUMBERED
        else f"#{place.slot + 1}" if place.is_ranked
        else str(place.slot)
        for place in places
    ]  # fmt: skip
    figure.add_scatter(
        x=[x for x, _ in at], y=[y for _, y in at], mode="markers+text", text=numbers,
        textposition="bottom center", textfont={"size": 10.5, "color": INK}, cliponaxis=False,
        marker={
            "symbol": ["square" if place.slot < 0 else "circle" for place in places],
            "size": [mark_size(cell["effect"], most, space) for cell in cells],
            "color": [
                transparent(color, round(cell["inclusion"], 3))
                for color, cell in zip(colors, cells, strict=True)
            ],
            "line": {"width": 1.5, "color": colors},
            "opacity": 1,
        },
        hovertemplate=[cell_words(cell) + "<extra></extra>" for cell in cells],
        showlegend=False, meta="units",
    )  # fmt: skip


def _sign_color(effect: float, most: float) -> str:
    if abs(effect) < LEAST * most:
        return FAINT
    return HELPS if effect > 0 else HURTS


def _fill(color: str, share: float) -> dict[str, Any]:
    return {"color": transparent(color, share), "line": {"width": 1.5, "color": color}}


def _add_key(figure: go.Figure, name: str, marker: Mapping[str, Any]) -> None:
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=name, showlegend=True,
        marker={"size": 13, "symbol": "circle", "opacity": 1, **marker},
    )  # fmt: skip
