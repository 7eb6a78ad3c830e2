"""A figure on the screen that follows what is computed, and says which cell was clicked."""

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go


class Panel:
    """A figure on the screen, updated in place as long as its make-up stays."""

    figure: Any
    """A `FigureWidget`, whose parts plotly does not declare."""

    def __init__(self) -> None:
        """An empty place on the screen."""
        self.box = widgets.Box(layout=widgets.Layout(flex="0 0 auto"))
        self.on_click: Callable[[int, int], None] | None = None
        self._make_up: object = None
        self._shown: dict[str, Any] = {}

    def show(self, figure: go.Figure) -> None:
        """Only what changed is sent, and validated: plotly takes its time for the rest."""
        new = figure.to_dict()
        make_up = _make_up(new)
        if make_up != self._make_up:
            self._replace(figure)
        else:
            with self.figure.batch_update():
                for trace, was, now in zip(
                    self.figure.data, self._shown["data"], new["data"], strict=True
                ):
                    trace.update(_changed(was, now), overwrite=True)
                changed = _changed(self._shown["layout"], new["layout"])
                self.figure.layout.update(changed, overwrite=True)
        self._shown, self._make_up = new, make_up

    def _replace(self, figure: go.Figure) -> None:
        old = self.box.children
        self.figure = go.FigureWidget(figure)
        # plotly has no public way to a widget's buttons, one of which leads to a web site.
        self.figure._config = {**self.figure._config, "displayModeBar": False}
        if self.on_click is not None and self.figure.data:
            self.figure.data[0].on_click(self._clicked)
        self.box.children = (self.figure,)
        for widget in old:
            widget.close()

    def _clicked(self, _trace: object, points: Any, _state: object) -> None:
        for place in points.point_inds:
            row, column = place
            assert self.on_click is not None
            self.on_click(row, column)


def _changed(was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What is to be set so that the one becomes the other; None where something is no more."""
    gone: dict[str, Any] = dict.fromkeys(was.keys() - now.keys())
    return gone | {key: value for key, value in now.items() if was.get(key) != value}


def _make_up(figure: dict[str, Any]) -> object:
    """What an update in place cannot change: traces and their axes."""
    traces = [[trace.get(k) for k in ("type", "legendgroup", "xaxis")] for trace in figure["data"]]
    return traces, sorted(name for name in figure["layout"] if "axis" in name)
