"""The explorer's figures on the screen: one widget, which says what was clicked.

Why not plotly's `FigureWidget`: it opens in the browser empty and is filled afterwards, so that a
figure drawn in between stays empty; and each carries all of plotly's program, 5 MB, so that every
change of a figure's make-up takes seconds. This one carries it once, for all figures, and
no network is needed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.io import to_json
from plotly.offline import get_plotlyjs

DRAW = """
function render({model, el}) {
  const board = document.createElement("div");
  board.style.cssText = "display: flex; flex-wrap: wrap; gap: 4px";
  el.appendChild(board);
  const places = {};
  const draw = async (name) => {
    const {data, layout} = JSON.parse(model.get("figures")[name]);
    const is_new = !places[name].data;
    await Plotly.react(places[name], data, layout, {displayModeBar: false});
    if (is_new) {
      places[name].on("plotly_click", ({points}) => {
        model.send({figure: name, point: points[0].pointIndex ?? points[0].pointNumber});
      });
    }
  };
  for (const name of model.get("order")) {
    places[name] = document.createElement("div");
    places[name].dataset.figure = name;
    board.appendChild(places[name]);
    draw(name);
  }
  let shown = model.get("figures");
  const follow = () => {
    const figures = model.get("figures");
    const changed = Object.keys(figures).filter(name => figures[name] != shown[name]);
    shown = figures;
    changed.forEach(draw);
  };
  model.on("change:figures", follow);
  return () => {
    model.off("change:figures", follow);
    Object.values(places).forEach(place => Plotly.purge(place));
  };
}
export default {render};
"""
"""A click is told as row and column of a heat-map."""


def board_program() -> str:
    """What the browser runs: plotly's program, made to give itself to this module, and `DRAW`."""
    return (
        "const Plotly = (() => {\nconst module = {exports: {}}, exports = module.exports;\n"
        f"const define = undefined;\n{get_plotlyjs()}\nreturn module.exports;\n}})();\n{DRAW}"
    )


class Board(anywidget.AnyWidget):
    """Figures side by side, each redrawn in place when it changes."""

    _esm = board_program()
    order = traitlets.List(traitlets.Unicode()).tag(sync=True)
    figures = traitlets.Dict(
        key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()
    ).tag(sync=True)  # fmt: skip
    """Each figure as plotly's JSON."""

    def __init__(self, figures: dict[str, go.Figure], *, on_click: Callable[..., None]) -> None:
        """Shows figures from the first moment on.

        Args:
            figures: In the order of the screen.
            on_click: Called with a figure's name, and row and column of the heat-map's cell.
        """
        self._on_click = on_click
        super().__init__(order=list(figures), figures=_as_json(figures))
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
