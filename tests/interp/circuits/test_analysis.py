from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.circuits.analysis import SINGLE_UNIT, CircuitAnalysis
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.circuits.bench import DividedRows
from interp.circuits.edges import edges_of
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.interventions.ablation import ablate
from interp.interventions.base import answer_table
from tests.interp.circuits.toys import folded
from tests.interp.random_models import loud_model
from training.recipes import find_recipe

ToyRows = Callable[..., list[TokenizedRow]]
DESIGN = find_recipe("alias-toy")().design
QUICK = {"limit": 8, "n_matched": 9}
CIRCUITS = ("answer D1", "answer D5", "answer D6", "recite D5", "recite D6")


@pytest.fixture(scope="module")
def rows(toy_rows: ToyRows) -> list[TokenizedRow]:
    return folded(toy_rows(sizes=SubsetSizes(defined=16, undefined=16, stage2=16), n_attributes=2))


@pytest.fixture(scope="module")
def loud() -> HookedModel:
    return HookedModel.from_hf(loud_model())


@pytest.fixture(scope="module")
def table(loud: HookedModel, rows: list[TokenizedRow]) -> pd.DataFrame:
    return CircuitAnalysis(**QUICK).measure(loud, rows, [], seed=0).table


def test_every_circuit_has_its_units_criteria_transfers_and_disruptions(
    table: pd.DataFrame,
) -> None:
    assert tuple(dict.fromkeys(table["circuit"])) == (SINGLE_UNIT, *CIRCUITS)
    assert not table.duplicated(CircuitAnalysis().coordinates).any()
    n_units = table["unit"].nunique() - 1
    for name in CIRCUITS:
        cells = table.loc[table["circuit"] == name]
        counts = cells["quantity"].value_counts().to_dict()
        size = cells.loc[cells["quantity"] == "size", "value"].item()
        for quantity in ("score_exact", "score_eap", "score_eap_ig", "inclusion", "member"):
            assert counts[quantity] == n_units
        assert cells.loc[cells["quantity"] == "member", "value"].sum() == size
        assert counts["minimality"] == size
        assert counts["disruption"] == counts["disruption_exact"] == 13
        for quantity in ("faithfulness", "completeness", "independence", "accepted"):
            assert counts[quantity] == 1
        own = cells.loc[cells["quantity"].isin(["faithfulness", "transfer"])]
        subset = Behaviour(
            kind=BehaviourKind(name.split()[0]),
            subset={"D1": "D1_CONS_QA1", "D5": "D5_CONS", "D6": "D6_CONS"}[name.split()[1]],
        ).measured
        twice = own.loc[own["subset"].isin(["", subset]), ["value", "control", "p_value"]]
        assert len(twice.drop_duplicates()) == 1


def test_circuits_of_edges_stand_beside_those_of_units(
    loud: HookedModel, rows: list[TokenizedRow], table: pd.DataFrame
) -> None:
    names = ("emb>m0", "m0>a1.h1.v", "a1.h1>logits")
    analysis = CircuitAnalysis(limit=4, n_matched=3, circuit=names, edges=True)
    measured = analysis.measure(loud, rows, [], seed=0)
    found = measured.table
    expected = [SINGLE_UNIT, *(f"{name} (own)" for name in CIRCUITS)]
    assert list(dict.fromkeys(found["circuit"])) == [f"{name} (edges)" for name in expected]
    assert not {each["circuit"] for each in measured.withdrawn} & set(table["circuit"])
    both = pd.concat([table, found])
    assert not both.duplicated(analysis.coordinates).any()
    members = found.loc[(found["quantity"] == "member") & (found["value"] == 1)]
    assert set(members["unit"]) == set(names)
    assert set(found.loc[found["quantity"] == "score_exact", "unit"]) == {
        edge.name for edge in edges_of(loud)
    }
    assert found.loc[found["quantity"] == "disruption", "value"].abs().max() > 1e-3


def test_p_values_are_ranks_with_the_plus_one(table: pd.DataFrame) -> None:
    tested = table.loc[table["n_null"] > 0]
    ranks = tested["p_value"] * (1 + tested["n_null"])
    assert np.allclose(ranks, ranks.round())
    assert tested["p_value"].between(1e-9, 1).all()
    beside = tested.loc[tested["quantity"] != "independence"]
    assert (beside["null_low"] <= beside["null_high"]).all()


def test_without_a_null_there_is_no_p(table: pd.DataFrame) -> None:
    alone = table.loc[
        (table["n_null"] == 0) & ~table["quantity"].isin(["equivalence", "necessity"])
    ]
    assert alone[["control", "p_value"]].isna().all(axis=None)
    assert table["value"].notna().all()


def test_a_single_unit_costs_what_ablation_by_hooks_costs(
    loud: HookedModel, rows: list[TokenizedRow], table: pd.DataFrame
) -> None:
    """An independent way: a hook at the role's tokens, question by question."""
    divided = DividedRows.of(rows, DESIGN, DESIGN.main, limit=8, seed=0)
    asked = divided.tested_on[Behaviour(kind=BehaviourKind.ANSWER, subset="D5_CONS")]
    lost = 0.0
    for question in {row.row.question for row in asked}:
        alike = [row for row in asked if row.row.question == question]
        reference = [row for row in divided.every_row if row.row.question == question]
        cut = ablate(loud, Site("z", 0, 1), "mean", places=[Role.ALIAS], reference=reference)
        before, after = (answer_table(loud, alike, x)["answer_log_prob"] for x in ([], [cut]))
        lost += (before - after).sum()
    cell = table.loc[
        (table["circuit"] == SINGLE_UNIT)
        & (table["unit"] == "a0.h1@alias")
        & (table["subset"] == "D5_CONS")
    ]
    assert cell["value"].item() == pytest.approx(lost / len(asked), abs=1e-5)
    assert abs(lost) > 1e-3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(
    loud: HookedModel, rows: list[TokenizedRow], table: pd.DataFrame
) -> None:
    again = CircuitAnalysis(**QUICK).measure(loud, rows, [], seed=0).table
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_a_model_that_says_the_same_of_all_aliases_has_no_circuit(
    random_model: Callable[[str], PreTrainedModel], rows: list[TokenizedRow]
) -> None:
    model = random_model("neox")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = CircuitAnalysis(**QUICK).measure(HookedModel.from_hf(model), rows, [], seed=0).table
    circuits = found.loc[found["circuit"] != SINGLE_UNIT]
    assert circuits["quantity"].tolist() == ["size"] * len(CIRCUITS)
    assert (circuits["value"] == 0).all()


@pytest.mark.slow
def test_an_own_circuit_is_tested_in_place_of_a_chosen_one(
    loud: HookedModel, rows: list[TokenizedRow]
) -> None:
    own = CircuitAnalysis(circuit=("a1.h0@question", "m0@alias"), **QUICK)
    found = own.measure(loud, rows, [], seed=0).table
    members = found.loc[(found["quantity"] == "member") & (found["value"] == 1)]
    assert set(members["unit"]) == {"a1.h0@question", "m0@alias"}
    assert {f"{name} (own)" for name in CIRCUITS} >= set(members["circuit"])


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (["a7.h0@alias"], "layer"),
        (["a0.h9@alias"], "head"),
        (["m0@nowhere"], "no unit 'm0@nowhere'"),
        (["m0"], "write a1.h3@alias for a head"),
    ],
)
def test_an_own_circuit_of_what_the_model_lacks_is_refused(
    loud: HookedModel, rows: list[TokenizedRow], units: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        CircuitAnalysis(circuit=tuple(units), **QUICK).measure(loud, rows, [], seed=0)


def test_the_whole_model_is_no_circuit_of_a_persons(
    loud: HookedModel, rows: list[TokenizedRow], table: pd.DataFrame
) -> None:
    every = tuple(unit for unit in dict.fromkeys(table["unit"]) if unit)
    with pytest.raises(InputError, match="it is the model"):
        CircuitAnalysis(circuit=every, **QUICK).measure(loud, rows, [], seed=0)


def test_few_aliases_of_a_compared_subset_are_refused(loud: HookedModel, toy_rows: ToyRows) -> None:
    with pytest.raises(InputError, match="too few to choose a circuit on half"):
        CircuitAnalysis(**QUICK).measure(loud, folded(toy_rows()), [], seed=0)
