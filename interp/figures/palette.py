"""How subsets, roles and runs look: the same in every figure and table of the project.

What a subset looks like is said by its design: those of implicit meta-learning have the paper's
colours, a little darker, and each a marker of its own that tells it apart where its colour does
not; their dash says which tag the definitions carry: solid reliable, dashed unreliable, dash-dotted
novel, dotted none.
"""

from collections.abc import Mapping

from data.design import Design
from data.subsets import Mark
from data.vocabulary import Role

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK, FAINT, NULL_COLOR = "#1f2430", "#6b7180", "#7d828f"
CAPTION = "#545a68"
"""Of small text."""
ROLE_COLORS: Mapping[str, str] = {
    Role.TAG: "#ffdf9e",
    Role.ALIAS: "#c9dcff",
    Role.ENTITY: "#c6ebcd",
    Role.QUESTION: "#e6d6fa",
    Role.ANSWER: "#ffd3cc",
}
OWN_ROLE_COLOR = "#e4e6eb"
"""Of the roles that people name in prompts of their own."""

SPARE_MARKS = tuple(
    Mark(color=color, symbol=symbol)
    for color, symbol in (
        ("#1f5fc4", "triangle-up"),
        ("#d02b2b", "triangle-down"),
        ("#2a8a3e", "circle"),
        ("#8a5a44", "diamond"),
        ("#7a3fa8", "square"),
        ("#ea8a12", "x"),
        ("#0fa3b8", "hexagon"),
        ("#6b6f78", "cross"),
    )
)
"""Marks for subsets whose design gives them none, in turn."""


def subset_style(name: str, design: Design) -> Mark:
    """How a subset looks; what is of none of the design's is drawn in ink."""
    if name not in design.names:
        return Mark(color=INK, symbol="circle")
    return design.subset(name).mark or SPARE_MARKS[design.names.index(name) % len(SPARE_MARKS)]


def transparent(color: str, opacity: float) -> str:
    """A `#rrggbb` colour that lets others through.

    >>> transparent("#ff0080", 0.5)
    'rgba(255, 0, 128, 0.5)'
    """
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def contrast(color: str | tuple[float, ...], ground: str | tuple[float, ...] = "#ffffff") -> float:
    """How far two colours stand out from each other, from 1 to 21, by WCAG 2.

    Args:
        color: `#rrggbb`, or numbers up to 255.
        ground: What it stands on.

    >>> contrast("#000000"), round(contrast(FAINT), 1)
    (21.0, 4.9)
    """
    lighter, darker = sorted((_luminance(color), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str | tuple[float, ...]) -> float:
    if isinstance(color, str):
        color = tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
    shares = [each / 255 for each in color]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
