"""With which settings a table was measured, in words below its figures."""

from typing import Any

import pandas as pd

from interp.figures.words import plain, seed_ranges
from interp.grids.settings import Entry, table_settings


def settings_words(table: pd.DataFrame) -> str:
    """What all rows were measured with, then what differs, by seed and checkpoint.

    It is empty for a table that was made before settings were recorded.

    Args:
        table: With the run's rows, or its summary, as read from its folder.
    """
    entries = table_settings(table)
    if not entries:
        return ""
    known = [_values(entry) for entry in entries]
    names = list(dict.fromkeys(name for values in known for name in values))
    shared = [n for n in names if all(v.get(n) == known[0].get(n) for v in known)]
    parts = [_said(n, known[0].get(n)) for n in shared if known[0].get(n) not in (None, False, [])]
    if len(entries) == 1:
        parts.append(_covered(entries[0]))
    else:
        parts += [
            f"{_covered(entry)}: "
            + ", ".join(_said(n, values.get(n)) for n in names if n not in shared)
            for entry, values in zip(entries, known, strict=True)
        ]
    return f"Settings: {'; '.join(parts)}."


def _values(entry: Entry) -> dict[str, Any]:
    """The settings by name, without the run's own id."""
    runs = entry["selection"].get("runs", [])
    where = {name: value for name, value in entry["selection"].items() if name != "runs"}
    together = {"corrected together with other runs": len(runs) - 1} if len(runs) > 1 else {}
    return {**entry["analysis"], **where, **together}


def _said(name: str, value: object) -> str:
    if value is None or value == []:
        text = "default"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = ", ".join(map(plain, value)) if isinstance(value, list) else plain(value)
    return f"{name.replace('_', ' ')} {text}"


def _covered(entry: Entry) -> str:
    """Seeds and checkpoints that an entry has rows of."""
    covers = entry["covers"]
    seeds = sorted({seed for each in covers for seed in each["seeds"]})
    places = list(dict.fromkeys((each["stage"], each["step"]) for each in covers))
    words = f"{'seed' if len(seeds) == 1 else 'seeds'} {seed_ranges(seeds)}"
    if len(places) > 3:
        return f"{words} at {len(places)} checkpoints"
    return f"{words} at " + " and ".join(f"Stage {stage}, step {step}" for stage, step in places)
