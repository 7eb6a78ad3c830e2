"""What is told of subsets that nothing is estimated on, and a direction taken to another stage."""

import numpy as np
import pandas as pd
import pytest

from data.vocabulary import HELD_OUT
from interp.codes.analysis import seed_codes
from interp.codes.edited import measure_edits
from interp.codes.places import CodePlace
from interp.codes.seed_codes import SeedCodes
from interp.codes.shape import measure_shape
from interp.codes.truth import N_RANDOM, measure_truth
from interp.hooked.model import load_hooked
from interp.hypotheses.alias_edits import AddedAtAlias
from interp.interventions.base import answer_table
from training.runs.run import Run

SEED, NEW = 1000, "D8_CONS"


@pytest.fixture(scope="module")
def model(tiny_run: Run):
    return load_hooked(tiny_run, SEED, 2)


@pytest.fixture(scope="module")
def codes(tiny_run: Run, model) -> SeedCodes:
    return seed_codes(tiny_run, model, tiny_run.tokenized_rows(SEED), CodePlace(), SEED)


def only(table: pd.DataFrame, **where: str) -> float:
    is_there = np.logical_and.reduce([table[name] == value for name, value in where.items()])
    return float(table.loc[is_there, "value"].item())


def test_a_third_tags_aliases_have_amounts_though_nothing_is_estimated_on_them(codes) -> None:
    assert {alias.subset for alias in codes.aliases.further} == {NEW}
    assert NEW not in {alias.subset for alias in [*codes.aliases.first, *codes.aliases.compared]}
    table = measure_shape(codes)
    changes = {a.name: codes.after.of[a.name] - codes.before.of[a.name]
               for a in codes.aliases.further}  # fmt: skip
    mean = np.mean(list(changes.values()), axis=0)
    for name, code in codes.codes.items():
        amounts = []
        for alias in codes.aliases.further:
            own = code[codes.before.entities.index(alias.entity)]
            amounts.append((changes[alias.name] - mean) @ own / (own @ own))
        found = only(table, quantity="coefficient", code=name, subset=NEW)
        assert found == pytest.approx(np.mean(amounts))


def test_a_third_tags_answers_are_those_of_the_run(
    tiny_run: Run, model, codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interp.codes.edited.CODES", ())
    table = measure_edits(codes, model, CodePlace())
    rows = tiny_run.metrics
    at_end = rows.loc[(rows["seed"] == SEED) & (rows["stage"] == 2) & (rows["subset"] == NEW)]
    at_end = at_end.loc[(at_end["question"] == HELD_OUT) & (at_end["metric"] == "answer_log_prob")]
    expected = at_end.loc[at_end["step"] == at_end["step"].max(), "value"].mean()
    assert only(table, quantity="answer_log_prob", subset=NEW) == pytest.approx(expected, abs=1e-4)


def test_the_truth_direction_is_added_to_one_subset_and_taken_from_the_other(model, codes) -> None:
    table = measure_truth(codes, model, CodePlace())
    assert set(table["n_null"]) == {N_RANDOM}
    of_true, of_false = (
        np.mean([codes.before.of[alias.name] for alias in group], axis=0)
        for group in (codes.aliases.reliable, codes.aliases.unreliable)
    )
    for group, sign in ((codes.aliases.higher, -1), (codes.aliases.lower, 1)):
        rows = [row for alias in group for row in alias.questions]
        added = {alias.name: sign * (of_true - of_false) for alias in group}
        expected = answer_table(model, rows, [AddedAtAlias(vectors=added)])["answer_log_prob"]
        found = only(table, quantity="answer_log_prob", subset=group[0].subset)
        assert found == pytest.approx(float(expected.mean()), abs=1e-4)
