"""The circuit tab: what is measured, what clicks and menus do, and what is said when it cannot."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.tokens import TokenizedRow
from interp.circuits import behaviours
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.circuits.bench import DividedRows
from interp.circuits.units import Unit
from interp.explorer import explore
from interp.explorer.circuit_bench import METRICS, N_NULL, CircuitBench
from interp.explorer.circuit_tab import CircuitTab
from interp.explorer.view import View
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.lenses.attribution import attribute_logits
from tests.interp.explorer.circuit_boards import (
    D5,
    D6,
    DESIGN,
    HERE,
    OneModel,
    after,
    drawn,
    few_rows,
    loud_heads,
    view_of,
)
from training.runs.run import Run

FIGURES = ["picture", "watched", "attended", "written"]


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    return few_rows(toy_rows)


@pytest.fixture(scope="module")
def loud() -> HookedModel:
    return loud_heads()


@pytest.fixture(scope="module")
def bench(loud: HookedModel, rows: list[TokenizedRow]) -> CircuitBench:
    divided = DividedRows.of(rows, DESIGN, DESIGN.main, limit=8, seed=0)
    return CircuitBench.of(loud, divided, DESIGN, DESIGN.main, AblationKind.MEAN, seed=0)


@pytest.fixture(scope="module")
def view(loud: HookedModel, rows: list[TokenizedRow]) -> View:
    return view_of(loud, rows)


@pytest.fixture(scope="module")
def opened(loud: HookedModel, rows: list[TokenizedRow]) -> CircuitTab:
    return CircuitTab(OneModel(loud, lambda _seed: rows))


@pytest.fixture
def tab(opened: CircuitTab, view: View) -> CircuitTab:
    """Open, with nothing ablated."""
    opened.chosen = ()
    opened.look(view, HERE)
    assert opened.message.value == ""
    return opened


def test_losses_are_those_of_the_right_answers_on_held_out_rows(bench: CircuitBench):
    chosen = [unit for unit in bench.bench.nodes if unit.layer == 0 and unit.head is None][:2]
    found = bench.losses(chosen).set_index(["subset", "metric"])
    mask = torch.tensor([[False] * len(bench.units), [u in chosen for u in bench.units]])

    for subset in (D5, D6):
        behaviour = Behaviour(kind=BehaviourKind.ANSWER, subset=subset)
        said = bench.bench.right(behaviour).answers(mask).mean(1)
        for i, metric in enumerate(METRICS):
            cell = found.loc[(subset, metric)]
            assert [cell["before"], cell["after"]] == pytest.approx(said[:, i].tolist())
            assert cell["n"] == 8
    assert list(dict.fromkeys(found.reset_index()["subset"])) == [D5, D6, "D1_CONS_QA1"]


def test_the_quick_null_is_of_as_many_units_of_the_same_layers(bench: CircuitBench):
    heads = [unit for unit in bench.bench.nodes if unit.layer == 0 and unit.head is not None][:3]
    sets = bench._random(torch.tensor([unit in heads for unit in bench.units]))
    found = bench.losses(heads)

    assert set(found["n_null"]) == {N_NULL} == {len(sets)}
    for each in sets:
        held = [unit for unit, is_in in zip(bench.bench.nodes, each, strict=True) if is_in]
        assert [(unit.layer, unit.head is None) for unit in held] == [(0, False)] * 3
        assert len(set(held) & set(heads)) <= 1
    said = bench.bench.right(Behaviour(kind=BehaviourKind.ANSWER, subset=D5)).answers(sets)
    cell = found.loc[(found["subset"] == D5) & (found["metric"] == "answer_log_prob")].iloc[0]
    nats = said.mean(1)[:, 1]
    assert [cell["null_low"], cell["null_high"]] == pytest.approx(
        [float(nats.min()), float(nats.max())]
    )


@pytest.mark.parametrize("chosen", ["none", "all"])
def test_nothing_and_everything_have_no_random_choice_beside_them(bench: CircuitBench, chosen: str):
    found = bench.losses(bench.units if chosen == "all" else ())

    assert set(found["n_null"]) == {0}
    assert found["null_low"].isna().to_numpy().all()
    is_same = found["before"].tolist() == found["after"].tolist()
    assert is_same == (chosen == "none")


def test_what_parts_write_at_the_end_is_what_logit_attribution_says(
    bench: CircuitBench, view: View
):
    known = attribute_logits(view.model, [view.question]).set_index(["component", "layer"])
    role = "question"  # the last token of the prompt

    for layer in range(view.model.n_layers):
        mlp = bench.written(view, Unit(layer, None, role))
        heads = [bench.written(view, Unit(layer, head, role)) for head in range(4)]
        of_answer = [
            each.loc[each["is_answer"], "here"].item() for each in (mlp, *heads) if each is not None
        ]
        assert of_answer[0] == pytest.approx(known.loc[("mlp_out", layer), "logit"], abs=1e-4)
        assert sum(of_answer[1:]) == pytest.approx(
            known.loc[("attn_out", layer), "logit"], abs=1e-4
        )
    assert bench.written(view, Unit(0, 0, "tag")) is None  # a question has none


def test_nothing_is_computed_before_the_tab_is_opened(loud: HookedModel, view: View):
    def refuse(_seed: int) -> list[TokenizedRow]:
        raise AssertionError("rows were read")

    tab = CircuitTab(OneModel(loud, refuse))
    assert tab.figures == {}
    assert tab.board is None
    with pytest.raises(AssertionError, match="rows were read"):
        tab.look(view, HERE)


def test_it_opens_on_the_answers_of_the_higher_subset_with_its_strongest_head(tab: CircuitTab):
    assert list(tab.figures) == FIGURES
    assert tab.menus["circuit"].value == "answer D5"
    assert {"answer D6", "recite D5", "recite D6"} < set(tab.menus["circuit"].options)
    assert isinstance(tab.shown, Unit)
    assert tab.shown.head is not None
    assert tab.menus["unit"].value == tab.shown.name
    assert after(tab) == []
    assert tab.undo_button.disabled
    strengths = [float(label.split()[1]) for label, _ in tab.menus["unit"].options]
    assert [abs(each) for each in strengths] == sorted(map(abs, strengths), reverse=True)


def test_a_unit_is_ablated_watched_and_put_back(tab: CircuitTab):
    before, unit = drawn(tab), Unit(0, None, "alias")
    tab.toggle(unit)

    losses = tab._bench.losses([unit])  # pyright: ignore
    assert after(tab) == pytest.approx(
        [*losses.loc[losses["metric"] == METRICS[0], "after"],
         *losses.loc[losses["metric"] == METRICS[1], "after"]]
    )  # fmt: skip
    note = drawn(tab)["watched"]["layout"]["meta"]["note"]
    assert "ablated: m0@alias" in note
    assert "grey: " in note
    assert len(drawn(tab)["picture"]["data"][-1]["x"]) == 1  # a ring around it
    tab.toggle(unit)
    assert drawn(tab)["watched"] == before["watched"]
    assert tab.chosen == ()


def test_a_click_and_the_arrow_keys_name_the_part_that_they_stand_on(tab: CircuitTab):
    picture = drawn(tab)["picture"]
    cells = picture["layout"]["meta"]["cells"]
    row, column = cells["rows"].index("layer 0, head 2"), cells["columns"].index("alias")
    units = next(trace for trace in picture["data"] if trace.get("meta") == "units")
    place = units["customdata"].index([row, column])

    assert cells["at"][row][column] == [units["x"][place], units["y"][place]]
    assert cells["said"][row][column].startswith("layer 0, head 2 at the alias; nats lost")
    assert tab.board is not None
    tab.board._handle_custom_msg({"figure": "picture", "point": [row, column]}, [])
    assert tab.chosen == (Unit(0, 2, "alias"),)
    assert drawn(tab)["picture"]["layout"]["meta"]["cells"]["said"][row][column].endswith("ablated")
    tab.board._handle_custom_msg({"figure": "watched", "point": [row, column]}, [])
    tab.board._handle_custom_msg({"figure": "picture", "point": [99, 0]}, [])
    assert tab.chosen == (Unit(0, 2, "alias"),)
    assert drawn(tab)["attended"]["layout"]["annotations"][0]["text"] == "layer 0, head 2"


def test_no_part_stands_where_the_last_layer_says_nothing(tab: CircuitTab):
    cells = drawn(tab)["picture"]["layout"]["meta"]["cells"]
    row, column = cells["rows"].index("layer 1, MLP"), cells["columns"].index("tag")

    assert cells["said"][row][column] == "no part here"
    assert tab.board is not None
    tab.board._handle_custom_msg({"figure": "picture", "point": [row, column]}, [])
    assert tab.chosen == ()


def test_buttons_ablate_the_often_chosen_and_put_all_back(tab: CircuitTab):
    parts = tab._parts()
    often = parts.loc[(parts["quantity"] == "inclusion") & (parts["value"] > 0.5), "unit"]
    tab.often_button.click()
    assert {unit.name for unit in tab.chosen} == set(often)
    assert len(often) > 0
    tab.undo_button.click()
    assert tab.chosen == ()
    tab.toggle_button.click()
    assert tab.chosen == (tab.shown,)


@pytest.mark.slow
def test_another_kind_of_ablation_and_another_circuit_are_measured_anew(tab: CircuitTab):
    tab.toggle(Unit(0, None, "alias"))
    mean, picture, bench = after(tab), drawn(tab)["picture"], tab._bench
    tab.menus["ablation"].value = "zero"
    zero = after(tab)
    assert not np.allclose(zero, mean)
    assert tab.chosen == (Unit(0, None, "alias"),)
    tab.menus["ablation"].value = "mean"
    assert tab._bench is bench  # which is kept
    assert after(tab) == mean
    tab.menus["circuit"].value = "recite D6"
    assert drawn(tab)["picture"]["data"] != picture["data"]
    assert after(tab) == mean
    tab.menus["circuit"].value = "answer D5"


@pytest.mark.slow
def test_units_stay_at_another_step_but_not_at_another_seed(tab: CircuitTab, view: View):
    unit = Unit(1, 1, "question")
    tab.toggle(unit)
    tab.look(view, replace(HERE, step=20))
    assert tab.chosen == (unit,)
    tab.look(view, replace(HERE, seed=1))
    assert tab.chosen == ()


def test_every_figure_has_a_title_axes_with_units_and_n(tab: CircuitTab):
    tab.toggle(Unit(0, None, "alias"))
    notes = {name: f["layout"]["meta"]["note"] for name, f in drawn(tab).items()}

    assert all(figure["layout"]["meta"]["title"] for figure in drawn(tab).values())
    assert "by chance), n = " in notes["picture"]
    assert "n = 8 held-out rows" in notes["watched"]
    titles = [axis["title"]["text"] for name, axis in drawn(tab)["watched"]["layout"].items()
              if name.startswith("yaxis")]  # fmt: skip
    assert titles == ["exact match<br>(share of questions)", "answer log-probability<br>(nats)"]
    controls = [*tab.menus.values(), tab.toggle_button, tab.often_button, tab.undo_button]
    assert all(each.description and len(each.tooltip) > 10 for each in controls)


@pytest.mark.slow
def test_too_few_aliases_are_said_in_one_line_and_the_board_stays(
    tiny_run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(behaviours, "LEAST_ALIASES", 6)
    explorer = explore(tiny_run)
    assert explorer.tabs is not None
    assert explorer.circuit is not None
    assert explorer.circuit.box in explorer.tabs.children
    explorer.tabs.selected_index = 1
    said = str(explorer.circuit.message.value)
    assert "D5_CONS has 10 aliases, too few" in said
    assert "\n" not in said
    explorer.circuit.toggle_button.click()
    assert explorer.circuit.chosen == ()
    explorer.tabs.selected_index = 0
    explorer.menus["subset"].value = D6
    assert explorer.message.value == ""
