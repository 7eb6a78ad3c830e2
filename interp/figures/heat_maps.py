"""Colours and numbers of heat maps: what is a share, a length or a difference looks like one.

Plotly writes numbers in white or dark grey by the brightness below them, which leaves those on a
middle blue hard to read. Here each number has the colour that stands out from its own cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from plotly.colors import sample_colorscale, unlabel_rgb

from interp.figures.palette import INK, contrast
from interp.figures.room import CHARACTER, PAGE, TEXT_SIZE

LEAST_CONTRAST = 4.5
"""Of text and what it stands on, as WCAG 2 asks for."""
NUMBER_SIZE = 12
INSIDE = PAGE - 290
"""Pixels of the width that all panels have together, beside names and the bar of colours."""
BAR_HEIGHT = 280  # pixels
CELL_HEIGHT, LOW_CELL, FEW_ROWS = 32, 19, 16
"""Pixels of a row of cells, of one of many, and how many are not yet many."""


@dataclass(frozen=True, kw_only=True)
class ColorScale:
    """From which value to which a heat map goes, and in which colours."""

    low: float
    high: float
    colors: str

    def axis(self, title: str, *, inside: int, **bar: Any) -> dict[str, Any]:
        """The colour axis for a figure's layout.

        Args:
            title: What the values are, with their unit.
            inside: Height of all panels, in pixels.
            bar: What else the bar of colours is told.
        """
        named = {"text": title, "font": {"size": TEXT_SIZE}}
        place = {"y": 1, "yanchor": "top", "lenmode": "pixels", "len": min(inside, BAR_HEIGHT)}
        bar = {"title": named, "thickness": 14, **place, **bar}
        return {
            "cmin": self.low,
            "cmax": self.high,
            "colorscale": self.colors,
            "colorbar": bar,
        }

    def ink_on(self, value: float) -> str:
        """The colour of a number in a cell of this value.

        >>> differences(1.0).ink_on(0.0), differences(1.0).ink_on(1.0)
        ('#1f2430', '#ffffff')
        """
        inside = (value - self.low) / (self.high - self.low)
        cell = unlabel_rgb(sample_colorscale(self.colors, [min(max(inside, 0.0), 1.0)])[0])
        return next(
            (ink for ink in (INK, "#ffffff") if contrast(ink, cell) >= LEAST_CONTRAST), "#000000"
        )


def shares(most: float = 1.0) -> ColorScale:
    """Of what lies between none and a most: shares, lengths."""
    return ColorScale(low=0.0, high=most or 1.0, colors="Blues")


def differences(most: float) -> ColorScale:
    """Of what can be negative: white at 0, the same reach to both sides."""
    return ColorScale(low=-(most or 1.0), high=most or 1.0, colors="RdBu")


def cells_height(n_rows: int) -> int:
    """Pixels of a panel with so many rows of cells; many are drawn closer together."""
    return n_rows * (CELL_HEIGHT if n_rows <= FEW_ROWS else LOW_CELL)


def has_room(n_across: int, *, characters: int = 4) -> bool:
    """Whether so many numbers can be read beside each other, over all panels of a row."""
    return INSIDE / n_across >= characters * CHARACTER * NUMBER_SIZE


def columns_of(n_panels: int, n_across: int, *, characters: int) -> int:
    """How many panels of an even number stand side by side so that their numbers can be read.

    Args:
        n_panels: All, or half, or a quarter of them do.
        n_across: Cells beside each other in one.
        characters: Of the longest number with its mark.

    >>> columns_of(4, 3, characters=6), columns_of(4, 6, characters=6)
    (4, 2)
    """
    n_cols = n_panels
    while n_cols % 2 == 0 and not has_room(n_cols * n_across, characters=characters):
        n_cols //= 2
    return n_cols


def number_texts(
    numbers: ArrayLike,
    scale: ColorScale,
    *,
    marks: Sequence[str] | None = None,
    at: ArrayLike | None = None,
    is_written: bool = True,
) -> list[str]:
    """What stands in each cell: its number and mark, in a colour that can be read there.

    Args:
        numbers: Of the cells; what is missing is a dash.
        scale: In whose colours they are drawn.
        marks: Behind the numbers.
        at: Where the cells are on the scale, if not at their numbers.
        is_written: Whether the cells have room for numbers; else they have their marks alone.
    """
    values = np.asarray(numbers, dtype=float)
    places = values if at is None else np.asarray(at, dtype=float)
    # Where nothing reaches a tenth, two decimals would be all the same.
    decimals = 2 if scale.high >= 0.1 else 3 if scale.high >= 0.01 else 4
    texts = []
    for value, place, mark in zip(values, places, marks or [""] * len(values), strict=True):
        # Adding 0 makes -0.0 plain 0.
        words = "–" if np.isnan(value) else f"{round(value, decimals) + 0:.{decimals}f}"
        text = (words if is_written else "") + mark
        ink = INK if np.isnan(place) else scale.ink_on(float(place))
        texts.append(f'<span style="color:{ink}">{text}</span>' if text else "")
    return texts
