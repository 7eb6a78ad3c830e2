"""The explorer's figures on the screen: one widget, which says what was clicked.

Why not plotly's `FigureWidget`: it opens in the browser empty and is filled afterwards, so that a
figure drawn in between stays empty; and each carries all of plotly's program, 5 MB, so that every
change of a figure's make-up takes seconds. This one carries it once, for all figures, and
no network is needed.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.io import to_json
from plotly.offline import get_plotlyjs

from interp.explorer.look import WIDTH, shared_look

NARROW, TWO_COLUMNS = 420, 860
"""Pixels of a column below which a figure's narrow make-up holds, of a board from which two fit."""
DRAW = (
    """
let Plotly, loading;
const load = async (program) => {
  const address = URL.createObjectURL(new Blob([program], {type: "text/javascript"}));
  Plotly = (await import(address)).default;
};
const put = (target, path, value) => {
  const keys = path.split("."), last = keys.pop();
  keys.reduce((part, key) => part[key] ??= {}, target)[last] = value;
};

function panel(name, template, send) {
  const [box, title, note, place, said] = ["figure", "div", "div", "div", "div"]
    .map(tag => document.createElement(tag));
  box.style.cssText = "margin: 0 0 12px";
  title.style.cssText = "font: 600 15px/1.4 system-ui, sans-serif; color: #1f2430";
  note.style.cssText = "font: 13px/1.4 system-ui, sans-serif; color: #545a68; " +
    "overflow-wrap: anywhere";
  said.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; " +
    "clip-path: inset(50%)";
  said.setAttribute("aria-live", "polite");
  box.style.position = "relative";
  box.setAttribute("role", "group");
  box.dataset.panel = place.dataset.figure = name;
  box.append(title, note, place, said);
  let cells = null, at = null;
  const words = ([row, column]) => {
    if (cells.said) return cells.said[row][column];
    const shown = place.data[0].z[row][column];
    const value = typeof shown == "number" ? shown.toFixed(2) : "unknown";
    return `${cells.rows[row]} ${cells.columns[column]}: ${value}`;
  };
  const walk = (event) => {
    const moves = {ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
    const move = moves[event.key];
    if (!cells || !(move || event.key == "Enter" || event.key == " ")) return;
    event.preventDefault();
    event.stopPropagation();
    if (!move) return at && send({figure: name, point: at});
    const ends = [cells.rows.length, cells.columns.length];
    at = (at ?? [-1, 0].map((start, i) => move[i] ? start : 0))
      .map((each, i) => Math.min(ends[i] - 1, Math.max(0, each + move[i])));
    said.textContent = words(at);
    const [x, y] = cells.at ? cells.at[at[0]][at[1]] : [at[1], at[0]];
    Plotly.Fx.hover(place, {xval: x, yval: y}, "xy");
  };
  place.addEventListener("keydown", walk);
  const draw = async (json, room) => {
    await loading;
    const {data, layout} = JSON.parse(json);
    [layout.template, layout.width, box.style.width] = [template, room, `${room}px`];
    if (room < LIMIT) {
      for (const [path, value] of Object.entries(layout.meta.narrow)) {
        put({data, layout}, path, value);
      }
    }
    const {title: name_shown, note: remark} = layout.meta;
    [title.textContent, note.textContent] = [name_shown, remark];
    box.setAttribute("aria-label", `${name_shown}. ${remark}`);
    cells = layout.meta.cells ?? null;
    if (cells) {
      place.tabIndex = 0;
      place.dataset.lmSuppressShortcuts = "true";
      place.setAttribute("role", "application");
      place.setAttribute("aria-label",
        `${name_shown}: arrow keys choose a cell, Enter changes it`);
    }
    const is_new = !place.data;
    await Plotly.react(place, data, layout, {displayModeBar: false});
    if (is_new) {
      place.on("plotly_click", ({points: [point]}) => {
        const cell = point.pointIndex ?? point.pointNumber;
        send({figure: name, point: Array.isArray(cell) ? cell : point.customdata});
      });
    }
  };
  return {box, draw, end: () => Plotly?.purge(place)};
}

function render({model, el}) {
  loading ??= load(model.get("program"));
  const board = document.createElement("div");
  board.style.cssText = "display: flex; flex-wrap: wrap; gap: 4px 16px; width: 100%";
  el.style.cssText += "; width: 100%; min-width: 0";
  el.appendChild(board);
  const panels = {}, template = JSON.parse(model.get("template"));
  for (const name of model.get("order")) {
    panels[name] = panel(name, template, message => model.send(message));
    board.appendChild(panels[name].box);
  }
  let room = 0, shown = {};
  const follow = () => {
    const figures = model.get("figures");
    if (!room) return;
    const changed = Object.keys(figures).filter(name => figures[name] != shown[name]);
    shown = figures;
    changed.forEach(name => panels[name].draw(figures[name], room));
  };
  const seen = new ResizeObserver(() => {
    const all = board.clientWidth, wide = all >= TWO ? (all - 17) / 2 : all;
    const width = Math.floor(Math.min(wide, MOST));
    if (!all || width == room) return;
    [room, shown] = [width, {}];
    follow();
  });
  seen.observe(board);
  model.on("change:figures", follow);
  return () => {
    seen.disconnect();
    model.off("change:figures", follow);
    Object.values(panels).forEach(each => each.end());
  };
}
export default {render};
""".replace("LIMIT", str(NARROW))
    .replace("TWO", str(TWO_COLUMNS))
    .replace("MOST", str(WIDTH))
)
"""Title and remark of each figure as text, the figure below them as wide as there is room.

A click is told as row and column of a heat-map, or what a mark has as its `customdata`; so is Enter
on the cell that the arrow keys lead to, where a figure has `cells`. Where these are no heat-map's,
`cells` says where each stands (`at`) and what is said of it (`said`).
"""


def board_program() -> str:
    """Plotly's program as a module of the browser.

    It is no part of the board's own module: anywidget gives that two seconds to load, on however
    slow a machine, and after that passes no changes on.
    """
    return (
        "const module = {exports: {}}, exports = module.exports;\n"
        f"const define = undefined;\n{get_plotlyjs()}\nexport default module.exports;\n"
    )


class Board(anywidget.AnyWidget):
    """Figures side by side, each redrawn in place when it changes."""

    _esm = DRAW
    program = traitlets.Unicode().tag(sync=True)
    order = traitlets.List(traitlets.Unicode()).tag(sync=True)
    figures = traitlets.Dict(
        key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()
    ).tag(sync=True)  # fmt: skip
    """Each figure as plotly's JSON."""

    template = traitlets.Unicode().tag(sync=True)
    """The look of them all, as plotly's JSON."""

    def __init__(self, figures: dict[str, go.Figure], *, on_click: Callable[..., None]) -> None:
        """Shows figures from the first moment on.

        Args:
            figures: In the order of the screen.
            on_click: Called with a figure's name, and row and column of the cell.
        """
        self._on_click = on_click
        template = json.dumps(shared_look()["template"])
        super().__init__(
            order=list(figures),
            figures=_as_json(figures),
            template=template,
            program=board_program(),
        )
        self.on_msg(self._receive)

    def show(self, figures: dict[str, go.Figure]) -> None:
        """Replaces figures; what did not change is not drawn again."""
        self.figures = self.figures | _as_json(figures)

    def _receive(self, _widget: object, content: Any, _buffers: Sequence[object]) -> None:
        point = content.get("point")
        if isinstance(point, list) and len(point) == 2:
            self._on_click(content["figure"], *point)


def _as_json(figures: dict[str, go.Figure]) -> dict[str, str]:
    return {name: str(to_json(figure, validate=False)) for name, figure in figures.items()}
