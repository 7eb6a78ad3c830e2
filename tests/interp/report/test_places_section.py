"""Where and when a target is readable, from tables made by hand."""

from typing import Any

import pandas as pd

from interp.report.places_plots import plot_places
from interp.report.places_section import _counted, _found
from tests.interp.activation_tables import places
from tests.interp.figure_texts import untagged

NAMES = {"a": "TAE", "b": "ATE"}


def test_a_map_has_a_panel_for_each_run_and_a_column_for_each_checkpoint() -> None:
    cells = places().reset_index(drop=True).assign(p_corrected=0.5, accuracy=0.5)
    here = (cells["run_id"] == "b") & (cells["stage"] == 2) & (cells["step"] == 200)
    here &= cells["layer"] == 1
    cells.loc[here, ["accuracy", "null_accuracy", "p_corrected"]] = [0.9, 0.5, 0.01]
    figure = plot_places(cells, NAMES)
    first, second = [trace for trace in figure.data if trace.type == "heatmap"]
    assert set(second.x) == {"1.0", "1.40", "2.0", "2.200"}
    assert set(first.z) == {0.0}  # chance
    known: Any = dict(zip(zip(second.x, second.y, strict=True), second.z, strict=True))
    (place,) = [where for where, value in known.items() if value != 0]
    assert place[0] == "2.200"
    assert round(known[place], 6) == 0.8
    assert [untagged(text) for text in second.text if text] == ["▲"]
    assert not any(first.text)
    assert [note.text for note in figure.layout.annotations][:2] == ["TAE", "ATE"]


def test_what_is_found_is_counted_and_what_is_not_is_said() -> None:
    cells: pd.DataFrame = places().reset_index(drop=True).assign(p_corrected=0.5)
    assert _found(cells, NAMES) == ["It is read above permuted labels nowhere after correction."]
    assert _counted(cells).startswith("0 of 16 probes of 2 runs at 4 checkpoints survive")
    cells.loc[3, ["accuracy", "null_accuracy", "p_corrected"]] = [0.99, 0.5, 0.01]
    best, runs = _found(cells, NAMES)
    assert best.startswith("It is read best in TAE, ")
    assert runs == "It is read after correction in 1 of 2 runs: TAE."
