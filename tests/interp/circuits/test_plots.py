"""Figures of circuits show what was planted, beside what it is held against."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from data.errors import InputError
from interp.circuits.null_plots import plot_circuit_tests, plot_disruption
from interp.circuits.picture import HELPS, HURTS
from interp.circuits.plots import plot_circuit, plot_inclusion
from interp.circuits.summary import summarize_circuits
from interp.circuits.transfer_plots import plot_transfer
from interp.circuits.unit_cells import chance_of_inclusion, of_ablation, unit_cells
from tests.interp.circuits.hand_made_tables import D5, D6, circuits_table
from tests.interp.figure_texts import heading, untagged

TABLE = circuits_table()


def layout_of(figure: go.Figure) -> Any:
    return figure.layout


def traces(figure: go.Figure, **known: Any) -> list[Any]:
    return [t for t in figure.data if all(getattr(t, k) == v for k, v in known.items())]


def by_place(figure: go.Figure) -> dict[str, tuple[float, str, str]]:
    """Size, colour of outline and fill of each unit, by the first line of its hover."""
    (units,) = traces(figure, meta="units")
    names = [untagged(text.split("<br>")[0]) for text in units.hovertemplate]
    marks = units.marker
    return dict(zip(names, zip(marks.size, marks.line.color, marks.color, strict=True),
                    strict=True))  # fmt: skip


def test_the_same_head_of_each_seed_has_one_place_whatever_its_number():
    cells = {cell["places"][0].words: cell for cell in unit_cells(TABLE, "answer D5")}
    first = cells["layer 0, head #1 at the alias"]

    assert first["effect"] == pytest.approx(2.0, abs=0.05)
    assert {name for name, _, _ in first["own"].values()} == {f"a0.h{n}@alias" for n in range(4)}
    assert first["inclusion"] == 1
    assert first["low"] < first["effect"] < first["high"]
    assert cells["layer 0, head #2 at other tokens"]["effect"] == pytest.approx(-0.4, abs=0.05)
    assert cells["layer 0, head #3 at the alias"]["effect"] == pytest.approx(0, abs=0.05)


def test_heads_of_one_seed_have_their_own_numbers():
    one = TABLE.loc[TABLE["seed"] == 1002]
    cells = {cell["places"][0].words: cell for cell in unit_cells(one, "answer D5")}

    assert cells["layer 0, head 2 at the alias"]["effect"] == pytest.approx(2.0, abs=0.1)
    assert np.isnan(cells["layer 0, head 2 at the alias"]["low"])


def test_area_sign_and_fill_are_effect_and_inclusion():
    found = by_place(plot_circuit(TABLE, "answer D5"))
    strong = found["layer 0, head #1 at the alias"]
    weaker = found["layer 1, MLP at the question"]
    hurting = found["layer 0, head #2 at other tokens"]

    assert (weaker[0] / strong[0]) ** 2 == pytest.approx(0.5, abs=0.03)
    assert (strong[1], hurting[1]) == (HELPS, HURTS)
    fills = [float(each[2].rpartition(",")[2].strip(" )")) for each in (strong, weaker, hurting)]
    assert fills == [1.0, 0.9, 0.5]


def test_an_edge_is_as_wide_as_its_effect_and_as_dark_as_it_is_often_chosen():
    figure = plot_circuit(circuits_table(with_edges=True), "answer D5")
    edges = traces(figure, meta="edge")
    widths = sorted(edge.line.width for edge in edges)
    (widest,) = [edge for edge in edges if edge.line.width == widths[-1]]

    assert len(edges) == 4 + 4 * 4 + 2  # into the MLP, into each rank that head 0 has, the ends
    assert widths[-1] > 5 * widths[-2]
    assert "<b>layer 0, head #1 → layer 1, MLP</b>" in widest.hovertemplate
    assert "chosen in 95% of draws" in widest.hovertemplate
    assert any("→ layer 1, head #" in edge.hovertemplate and "(values)" in edge.hovertemplate
               for edge in edges)  # fmt: skip
    assert {"embedding", "logits"} < set(layout_of(figure).yaxis.ticktext)
    assert list(layout_of(figure).xaxis.ticktext)[-1] == "all tokens"
    assert "lines: edges" in heading(figure)


def test_no_set_is_drawn_as_the_circuit_and_chance_is_said():
    figure = plot_circuit(TABLE, "recite D6")
    share = TABLE.loc[(TABLE["circuit"] == "recite D6") & (TABLE["quantity"] == "inclusion")]
    chance = share["value"].mean()

    assert chance_of_inclusion(TABLE, "recite D6") == pytest.approx(chance)
    assert f"{chance:.0%} by chance" in heading(figure)
    (units,) = traces(figure, meta="units")
    assert all("% of draws of aliases" in text for text in units.hovertemplate)
    assert sum("in the circuit of 8 of 8 seeds" in text for text in units.hovertemplate) == 5


def test_stability_shows_each_seed_the_mean_and_chance():
    figure = plot_inclusion(TABLE)
    name = "layer 1, MLP at the question"
    of_circuit = [t for t in figure.data if t.yaxis == "y2"]  # answer D5
    values = {t.name: [y for x, y in zip(t.x, t.y, strict=True) if x == name] for t in of_circuit}

    assert values["over draws of aliases, each seed"] == [0.9] * 8
    assert values["mean over seeds"] == pytest.approx([0.9])
    assert values["share of seeds in whose circuit it is"] == [1.0]
    (chance,) = [t for t in of_circuit if t.name.startswith("by chance")]
    assert set(chance.y) == {chance_of_inclusion(TABLE, "answer D5")}


def test_of_many_parts_those_that_are_chosen_most_are_shown():
    figure = plot_inclusion(circuits_table(2, layers=4, heads=8))

    assert len(layout_of(figure).xaxis.categoryarray) == 32
    assert "the 32 of" in heading(figure)
    assert "layer 3, MLP" not in str(layout_of(figure).xaxis.categoryarray)  # chosen in 5% of draws
    assert any("#1 at the alias" in name for name in layout_of(figure).xaxis.categoryarray)


def null_and_values(figure: go.Figure, axis: str, at: int) -> tuple[tuple[float, ...], list[float]]:
    """Mean and range of the null, and the values of all seeds, at a place of a panel."""
    panel = [t for t in figure.data if t.yaxis == axis and t.x[0] is not None]
    null = next(t for t in panel if t.marker.symbol == "circle-open")
    own = next(t for t in panel if t.marker.opacity == 0.5)
    i = [round(x) for x in null.x].index(at)
    mean = null.y[i]
    ends = mean - null.error_y.arrayminus[i], mean + null.error_y.array[i]
    return (mean, *ends), [y for x, y in zip(own.x, own.y, strict=True) if round(x) == at]


def test_each_criterion_stands_beside_its_null():
    figure = plot_circuit_tests(TABLE)
    null, values = null_and_values(figure, "y", 1)

    assert null == pytest.approx((0.3, 0.1, 0.5))
    wanted = TABLE.loc[(TABLE["circuit"] == "answer D5") & (TABLE["quantity"] == "faithfulness")]
    assert sorted(values) == pytest.approx(sorted(wanted["value"]))
    members, units = null_and_values(figure, "y3", 1)
    assert members == pytest.approx((0.0, -0.05, 0.05))
    assert len(units) == 8 * 5
    titles = [note.text.partition(":")[0] for note in layout_of(figure).annotations]
    assert titles == ["faithfulness", "completeness", "minimality", "independence"]


def test_losses_stand_beside_matched_circuits_for_each_subset_and_the_gap():
    figure = plot_disruption(TABLE)
    names = list(layout_of(figure).xaxis.ticktext)
    gap = names.index("gap D5 − D6")
    null, values = null_and_values(figure, "y2", gap)

    assert names[:3] == ["D1_CONS_QA1", D5, D6]
    assert null == pytest.approx((0.0, -0.3, 0.3))
    assert np.mean(values) == pytest.approx(1.9, abs=0.1)
    restored = null_and_values(plot_disruption(TABLE, quantity="restored"), "y2", gap)[1]
    assert np.mean(restored) == pytest.approx(np.mean(values) / 2)


def test_a_circuit_without_matched_ones_says_so():
    is_one = (TABLE["circuit"] == "answer D5") & (TABLE["seed"] > 1001)
    lacking = TABLE.assign(n_null=TABLE["n_null"].where(~is_one, 0))
    lacking.loc[is_one, ["control", "null_low", "null_high", "p_value"]] = np.nan

    titles = [note.text for note in layout_of(plot_disruption(lacking)).annotations]
    assert titles[:2] == ["answer D1", "answer D5: matched circuits exist in 2 of 8 seeds"]
    none = TABLE.assign(control=np.nan, null_low=np.nan, null_high=np.nan, n_null=0)
    figure = plot_disruption(none)
    assert not [
        t for t in traces(figure) if t.marker.symbol == "circle-open" and t.x[0] is not None
    ]


def test_transfer_has_circuits_down_subsets_across_and_the_null_beside_it():
    summary = summarize_circuits(TABLE.loc[TABLE["quantity"] == "transfer"])
    figure = plot_transfer(TABLE, summary)
    shares, control = (t for t in figure.data if t.type == "heatmap")
    row, column = list(shares.y).index("answer D6"), list(shares.x).index(D6)

    assert shares.z[row][column] == pytest.approx(0.9, abs=0.05)
    assert "▲" in shares.text[row][column]
    assert "▲" not in shares.text[row][list(shares.x).index("QA7_UNSEEN")]
    assert control.z[row][column] == pytest.approx(0.25)
    assert "▲" not in str(control.text)
    assert "corrected p" not in heading(plot_transfer(TABLE))


def test_an_ablation_is_chosen_by_name():
    both = circuits_table(2, ablations=("mean", "zero"))
    zero = both["ablation"] == "zero"
    both.loc[zero & (both["quantity"] == "faithfulness"), "value"] = 0.5

    assert set(of_ablation(both, "zero")["ablation"]) == {"zero"}
    assert set(null_and_values(plot_circuit_tests(both, ablation="zero"), "y", 0)[1]) == {0.5}
    assert 0.5 not in null_and_values(plot_circuit_tests(both), "y", 0)[1]
    assert "zero ablation" in heading(plot_circuit_tests(both, ablation="zero"))


def test_what_is_not_there_is_refused_in_one_line():
    with pytest.raises(InputError, match="no circuit 'answer D9'; "):
        plot_circuit(TABLE, "answer D9")
    with pytest.raises(InputError, match="no ablation 'median'"):
        plot_inclusion(TABLE, ablation="median")
    with pytest.raises(InputError, match="one checkpoint"):
        plot_transfer(pd.concat([TABLE, TABLE.assign(step=0)]))
    with pytest.raises(InputError, match="several runs"):
        plot_circuit_tests(pd.concat([TABLE, TABLE.assign(run_id="b")]))
    with pytest.raises(InputError, match="no restored of any circuit"):
        plot_disruption(TABLE.loc[TABLE["quantity"] != "restored"], quantity="restored")
