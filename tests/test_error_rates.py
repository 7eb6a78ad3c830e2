"""Error rates on planted runs: what is stored is what the page says, and tools keep to it."""

import pandas as pd
import pytest

from benchmarks.error_rates import CSV, PAGE, page, rates, score_draw

DRAW = 900
"""No draw that the stored rates are of."""
KEYS = ["tool", "says", "is_true"]


def test_the_page_says_what_is_stored() -> None:
    assert PAGE.read_text() == page(pd.read_csv(CSV))


@pytest.mark.slow
def test_no_tool_has_become_worse() -> None:
    """A tool is worse if its interval of the new draws lies beyond the stored one."""
    stored = rates(pd.read_csv(CSV))
    new = rates(pd.concat([score_draw(kind, DRAW) for kind in ("reading", "storage")]))
    both = new.merge(stored, on=KEYS, suffixes=("", "_stored"))
    missed = both["is_true"] & (both["high"] < both["low_stored"])
    invented = ~both["is_true"] & (both["low"] > both["high_stored"])
    assert len(both) == len(new)
    assert both.loc[missed | invented, ["tool", "says"]].values.tolist() == []
