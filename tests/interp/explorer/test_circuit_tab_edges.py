"""The circuit tab on edges: what is measured, clicked and searched for, and models without them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.circuits.bench import DividedRows
from interp.circuits.edges import AblatedEdges, Edge, edges_of
from interp.circuits.units import Unit
from interp.explorer import circuit_bench
from interp.explorer.circuit_bench import METRICS, N_NULL, CircuitBench, check_edges, head_in
from interp.explorer.circuit_tab import EDGES, UNITS, CircuitTab
from interp.explorer.edge_figure import N_SHOWN
from interp.explorer.view import View
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
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
from tests.interp.random_models import random_model_of


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    return few_rows(toy_rows)


@pytest.fixture(scope="module")
def loud() -> HookedModel:
    return loud_heads()


@pytest.fixture(scope="module")
def view(loud: HookedModel, rows: list[TokenizedRow]) -> View:
    return view_of(loud, rows)


@pytest.fixture(scope="module")
def opened(loud: HookedModel, rows: list[TokenizedRow], view: View) -> CircuitTab:
    tab = CircuitTab(OneModel(loud, lambda _seed: rows))
    tab.look(view, HERE)
    tab.menus["parts"].value = EDGES
    return tab


@pytest.fixture
def tab(opened: CircuitTab) -> CircuitTab:
    """Open on edges, with nothing ablated or searched for."""
    opened.find.value = ""
    opened.set_chosen(())
    assert opened.message.value == ""
    return opened


@pytest.fixture(scope="module")
def bench(opened: CircuitTab) -> CircuitBench:
    assert opened._bench is not None
    return opened._bench


def names_drawn(tab: CircuitTab) -> list[str]:
    """The edges of the picture, as the arrow keys go through them."""
    return drawn(tab)["picture"]["layout"]["meta"]["cells"]["rows"]


def test_losses_are_those_of_the_right_answers_without_the_edges(
    bench: CircuitBench, loud: HookedModel
):
    cut = [Edge.parse("emb>a0.h1.v"), Edge.parse("m0>logits")]
    found = bench.losses(cut).set_index(["subset", "metric"])

    edges = edges_of(loud)
    assert list(bench.units) == edges
    masks = torch.tensor([[False] * len(edges), [edge in cut for edge in edges]])
    for subset in (D5, D6):
        behaviour = Behaviour(kind=BehaviourKind.ANSWER, subset=subset)
        held_out = bench.bench.rows.tested_on[behaviour]
        alike: dict[Any, list[TokenizedRow]] = {}
        for row in bench.bench.rows.every_row:
            alike.setdefault((row.row.kind, row.row.question), []).append(row)
        said = torch.stack([  # row by row, apart from the bench
            AblatedEdges(
                bench.bench.unrolled, [row], edges, AblationKind.MEAN,
                reference=alike[row.row.kind, row.row.question],
            ).answers(masks)[:, 0]
            for row in held_out
        ]).mean(0)  # fmt: skip
        for i, metric in enumerate(METRICS):
            cell = found.loc[(subset, metric)]
            assert [cell["before"], cell["after"]] == pytest.approx(said[:, i].tolist(), abs=1e-5)
            assert cell["n"] == len(held_out)
    nats = found.xs("answer_log_prob", level="metric")
    assert (nats["before"] != nats["after"]).to_numpy().all()


def test_the_quick_null_is_of_as_many_edges_of_the_same_layers_and_kinds(bench: CircuitBench):
    alone = bench._random(torch.tensor([edge.name == "emb>m1" for edge in bench.units]))
    assert len(alone) == 0  # no other edge is of its layer and kind
    cut = [Edge.parse(f"a0.h{head}>a1.h{head}.q") for head in range(3)]
    sets = bench._random(torch.tensor([edge in cut for edge in bench.units]))
    assert len(sets) == N_NULL
    for each in sets:
        held = [edge for edge, is_in in zip(bench.units, each, strict=True) if is_in]
        assert [edge.stratum for edge in held] == [(1, "head>q")] * 3
        assert len(set(held) & set(cut)) <= 1


def test_what_an_edges_writer_writes_is_its_last_tokens(bench: CircuitBench, view: View):
    for edge, unit in (("a0.h2>m1", Unit(0, 2, "question")), ("m1>logits", None)):
        found = bench.written(view, Edge.parse(edge))
        assert found is not None
        if unit is not None:
            assert found.equals(bench.written(view, unit))
    embedded = bench.written(view, Edge.parse("emb>m0"))
    assert embedded is not None
    assert not embedded["here"].equals(found["here"])


def test_a_click_cuts_an_edge_and_a_second_one_puts_it_back(tab: CircuitTab, bench: CircuitBench):
    assert tab.board is not None
    names, before = names_drawn(tab), drawn(tab)["watched"]
    marks = next(t for t in drawn(tab)["picture"]["data"] if t.get("meta") == "edges")
    assert len(names) == N_SHOWN == len(marks["x"])
    assert marks["customdata"][3] == [3, 0]
    tab.board._handle_custom_msg({"figure": "picture", "point": [3, 0]}, [])

    edge = Edge.parse(names[3])
    assert tab.chosen == (edge,)
    losses = bench.losses([edge])
    assert after(tab) == pytest.approx(
        [value for m in METRICS for value in losses.loc[losses["metric"] == m, "after"]]
    )
    picture, watched = drawn(tab)["picture"], drawn(tab)["watched"]
    assert picture["data"][-1]["x"] == [marks["x"][3]]  # the ring
    assert picture["layout"]["meta"]["cells"]["said"][3][0].endswith("ablated")
    assert f"ablated: {edge.name}; grey: " in watched["layout"]["meta"]["note"]
    assert "of as many edges of the same layers and kinds" in watched["layout"]["meta"]["note"]
    tab.board._handle_custom_msg({"figure": "picture", "point": [3, 0]}, [])
    assert tab.chosen == ()
    assert drawn(tab)["watched"] == before
    tab.board._handle_custom_msg({"figure": "picture", "point": [N_SHOWN, 0]}, [])
    assert tab.chosen == ()


def test_edges_of_one_head_are_drawn_apart(tab: CircuitTab):
    tab.find.value = "emb>a0.h2."
    marks = next(t for t in drawn(tab)["picture"]["data"] if t.get("meta") == "edges")

    assert sorted(marks["text"]) == ["k", "q", "v"]
    assert len({*zip(marks["x"], marks["y"], strict=True)}) == 3


def test_the_strongest_edges_are_first_and_a_search_finds_the_others(tab: CircuitTab):
    options = tab.menus["unit"].options
    strengths = [abs(float(label.split()[1])) for label, _ in options]
    assert strengths == sorted(strengths, reverse=True)
    assert len(options) == len(tab._bench.units)  # pyright: ignore
    assert names_drawn(tab) == [name for _, name in options[:N_SHOWN]]
    weakest = options[-1][1]
    assert weakest not in names_drawn(tab)

    tab.find.value = weakest
    assert [name for _, name in tab.menus["unit"].options] == names_drawn(tab) == [weakest]
    tab.toggle_button.click()
    tab.find.value = ">logits"
    found = names_drawn(tab)
    assert set(found) == {weakest, *(name for _, name in options if name.endswith(">logits"))}
    tab.find.value = "of no edge"
    assert "holds &#x27;of no edge&#x27;; these are all" in tab.message.value
    assert len(names_drawn(tab)) == N_SHOWN + 1  # the ablated one stays in sight


def test_the_often_chosen_edges_are_cut_and_a_long_list_is_shortened(tab: CircuitTab):
    parts = tab._parts()
    often = parts.loc[(parts["quantity"] == "inclusion") & (parts["value"] > 0.5), "unit"]
    tab.often_button.click()

    assert {edge.name for edge in tab.chosen} == set(often)
    assert len(often) > 6
    assert f" and {len(often) - 6} more" in drawn(tab)["watched"]["layout"]["meta"]["note"]


def test_edges_and_units_are_not_mixed(tab: CircuitTab):
    tab.toggle_button.click()
    assert len(tab.chosen) == 1
    tab.menus["parts"].value = UNITS
    assert tab.chosen == ()
    assert isinstance(tab.shown, Unit)
    tab.menus["parts"].value = EDGES
    assert isinstance(tab.shown, Edge)


@pytest.mark.parametrize(
    ("name", "head"),
    [("a0.h1>a1.h3.q", (1, 3)), ("a0.h1>m1", (0, 1)), ("emb>a0.h2.k", (0, 2)), ("emb>m0", None)],
)
def test_the_head_that_is_looked_at_is_the_readers_or_else_the_writers(name: str, head: Any):
    assert head_in(Edge.parse(name)) == head


@pytest.mark.slow
def test_a_model_whose_heads_share_keys_says_so_and_units_still_work(rows: list[TokenizedRow]):
    llama = HookedModel.from_hf(random_model_of("llama"))
    tab = CircuitTab(OneModel(llama, lambda _seed: rows))
    tab.look(view_of(llama, rows), HERE)
    assert ("edges (not of LlamaForCausalLM)", EDGES) in tab.menus["parts"].options
    assert tab.message.value == ""

    tab.menus["parts"].value = EDGES
    assert "LlamaForCausalLM has 2 keys and values for 4 heads" in tab.message.value
    assert tab.menus["parts"].value == UNITS
    tab.toggle(Unit(0, None, "alias"))
    assert after(tab) != []
    assert tab.message.value == ""


def test_too_many_edges_are_refused_with_their_number(
    loud: HookedModel, rows: list[TokenizedRow], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(circuit_bench, "MOST_EDGES", len(edges_of(loud)) - 1)
    with pytest.raises(InputError, match=f"{len(edges_of(loud))} edges here, more than the"):
        check_edges(loud)
    divided = DividedRows.of(rows, DESIGN, DESIGN.main, limit=8, seed=0)
    make = CircuitBench.of
    with pytest.raises(InputError, match="choose heads and MLPs"):
        make(loud, divided, DESIGN, DESIGN.main, AblationKind.MEAN, edges=True, seed=0)
