from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role, WordOrder
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.interventions.ablation import AblationKind, ablate
from interp.interventions.ablation_analysis import (
    ABLATED_SITES,
    ALL,
    AblationAnalysis,
    single_components,
)
from interp.interventions.base import answer_table
from interp.interventions.knock_outs import KnockOut, Route
from training.runs.run import Run

StateOf = Callable[[HookedModel], tuple[object, ...]]
ToyRows = Callable[..., list[TokenizedRow]]


@pytest.fixture(scope="module")
def rows(toy_rows: ToyRows) -> list[TokenizedRow]:
    """A toy's rows, token ids folded into the tiny models' vocabulary."""
    return fold(toy_rows())


def fold(rows: list[TokenizedRow]) -> list[TokenizedRow]:
    return [replace(row, input_ids=tuple(i % 40 for i in row.input_ids)) for row in rows]


def at(table: pd.DataFrame, **where: object) -> dict[str, Any]:
    for name, value in where.items():
        table = table.loc[table[name] == value]
    (record,) = table.to_dict("records")
    return record


def test_every_head_mlp_and_route_has_a_cell_on_every_architecture(
    any_model: HookedModel, rows: list[TokenizedRow], state_of: StateOf
):
    before = state_of(any_model)
    analysis = AblationAnalysis(limit=5, n_random=2)
    table = analysis.measure(any_model, rows, choose_sites(any_model, ABLATED_SITES), seed=0).table

    assert not table.duplicated(analysis.coordinates).any()
    assert np.isfinite(table[["baseline", "effect", "control"]].to_numpy()).all()
    of_subset = table.loc[(table["subset"] == "D5_CONS") & (table["metric"] == "exact_match")]
    counts = of_subset.groupby(["kind", "intervention"]).size().to_dict()
    assert counts == {
        ("question", "zero"): 10,
        ("question", "mean"): 10,
        ("question", "resample"): 10,
        ("question", "knock_out"): 3,
        ("definition", "knock_out"): 6,
    }
    assert state_of(any_model) == before


def test_effects_are_differences_of_the_answers_means(neox: HookedModel, rows: list[TokenizedRow]):
    table = (
        AblationAnalysis(limit=None, n_random=1)
        .measure(neox, rows, choose_sites(neox, ABLATED_SITES), seed=0)
        .table
    )
    questions = [row for row in rows if row.row.is_evaluated]
    of_subset = [row for row in questions if row.row.subset.name == "D5_CONS"]
    before = answer_table(neox, of_subset)["answer_log_prob"].mean()
    ablation = ablate(neox, Site("z", 1, 2), "mean", reference=questions)
    after = answer_table(neox, of_subset, [ablation])["answer_log_prob"].mean()
    route = Route(Role.ALIAS, TokenRole.PROMPT_LAST)
    cut = answer_table(neox, of_subset, [KnockOut(model=neox, route=route)])["answer_log_prob"]

    where = {"subset": "D5_CONS", "metric": "answer_log_prob", "kind": "question"}
    head = at(table, **where, intervention="mean", site="z", layer=1, head=2)
    route_cell = at(table, **where, intervention="knock_out", layer=ALL)

    assert head["baseline"] == pytest.approx(before, abs=1e-6)
    assert head["effect"] == pytest.approx(after - before, abs=1e-5)
    assert head["n"] == len(of_subset)
    assert head["control"] == 0
    assert route_cell["effect"] == pytest.approx(cut.mean() - before, abs=1e-5)
    assert route_cell["route"] == "alias->prompt_last"
    assert route_cell["control"] != 0


def test_routes_that_no_row_has_are_left_out(neox: HookedModel, toy_rows: ToyRows):
    """Where the tag comes last, it is what is predicted, and no route leads from it."""
    rows = fold(toy_rows(word_order=WordOrder.AET))
    analysis = AblationAnalysis(kinds=(AblationKind.ZERO,), limit=3, n_random=1)

    table = analysis.measure(neox, rows, [Site("mlp_out", 0)], seed=0).table

    definitions = table.loc[table["kind"] == "definition"]
    assert set(definitions["route"]) == {"alias->prompt_last"}
    assert "QA4_NOT_REPLACED" not in set(table.loc[table["route"] != "", "subset"])


def test_a_checkpoint_is_measured_the_same_twice(neox: HookedModel, rows: list[TokenizedRow]):
    analysis = AblationAnalysis(limit=4, n_random=2)
    first, second = (analysis.measure(neox, rows, [Site("z", 0)], seed=3).table for _ in range(2))

    pd.testing.assert_frame_equal(first, second)


def test_head_sites_are_divided_and_others_kept(neox: HookedModel):
    found = list(single_components(neox, [Site("z", 1), Site("mlp_out", 0)]))

    assert found == [*(Site("z", 1, head) for head in range(4)), Site("mlp_out", 0)]


def test_without_questions_nothing_is_measured(neox: HookedModel, rows: list[TokenizedRow]):
    definitions = [row for row in rows if not row.row.is_evaluated]
    with pytest.raises(InputError, match="no evaluated questions"):
        AblationAnalysis().measure(neox, definitions, [Site("z", 0)], seed=0)


def test_a_grid_is_summarized_against_the_control(copied_run: Path):
    run = Run.load(copied_run)
    analysis = AblationAnalysis(kinds=(AblationKind.ZERO,), limit=10, n_random=2)
    assert isinstance(analysis, Analysis)

    table, summary = run_grid(
        analysis, GridSelection(runs=(run,), stage=2, sites=("mlp_out",)), workers=1
    )

    cell = {"subset": "D5_CONS", "metric": "answer_log_prob", "kind": "question"}
    cell |= {"intervention": "knock_out", "layer": ALL}
    rows = [at(table, **cell, seed=seed) for seed in run.seeds]
    expected = np.mean([row["effect"] - row["control"] for row in rows])
    assert at(summary, **cell)["difference"] == pytest.approx(expected)
    assert at(summary, **cell)["n_seeds"] == len(run.seeds)
