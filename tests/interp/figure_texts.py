"""What figures say, without their tags."""

import re
from typing import Any

import plotly.graph_objects as go


def heading(figure: go.Figure) -> str:
    """A figure's title and the small lines below it."""
    layout: Any = figure.layout
    return untagged(f"{layout.title.text}\n{layout.title.subtitle.text or ''}".replace("<br>", " "))


def untagged(text: str) -> str:
    """A text without what says how it looks."""
    return re.sub("<[^>]*>", "", text)
