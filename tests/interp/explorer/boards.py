"""What the browser has of a board, and what it sends."""

import json
from typing import Any

from interp.explorer.widgets import Explorer


def drawn(explorer: Explorer) -> dict[str, Any]:
    """Every figure as the browser gets it."""
    assert explorer.board is not None
    return {name: json.loads(figure) for name, figure in explorer.board.figures.items()}


def click(explorer: Explorer, figure: str = "grid", point: object = (0, 0)) -> None:
    """What the browser sends when somebody clicks the lowest cell on the left."""
    assert explorer.board is not None
    point = list(point) if isinstance(point, tuple) else point
    explorer.board._handle_custom_msg({"figure": figure, "point": point}, [])
