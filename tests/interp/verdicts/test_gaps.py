from dataclasses import replace

import pytest

from interp.verdicts.gaps import gaps_beyond_twin, no_gap_in
from tests.interp.hand_made_runs import make_run, rows_of
from training.runs.run import Run

X1 = {"D1_CONS_QA1": [0.9, 0.8, 0.7], "D2_INCONS_QA2": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize(("first_seed", "found"), [(0, {0: 0.1, 1: 0.1}), (10, None)])
def test_what_a_run_has_beyond_its_null_twin_is_paired_by_seed(
    first_seed: int, found: dict[int, float] | None
):
    of_twin = {"D1_CONS_QA1": [0.9, 0.7], "D2_INCONS_QA2": [0.6, 0.5]}
    twin = make_run(rows_of(of_twin, stage=1, first_seed=first_seed))
    finished = replace(twin, info={"finished": "now"})
    run = replace(make_run(rows_of(X1, stage=1)), given_null=finished)

    gaps = gaps_beyond_twin(run)

    assert list(gaps) == ["stage1_gap"]
    per_seed = {metric: each.per_seed for metric, each in gaps["stage1_gap"].items()}
    assert per_seed == ({} if found is None else {"exact_match": pytest.approx(found)})


def test_without_a_finished_twin_nothing_is_beyond_it(monkeypatch: pytest.MonkeyPatch):
    run = make_run(rows_of(X1, stage=1))
    monkeypatch.setattr(Run, "null", property(lambda _: None))

    assert gaps_beyond_twin(run) == {}


@pytest.mark.parametrize(("d1", "passed"), [([0.9, 0.9, 0.9], True), ([0.1, 0.2, 0.1], False)])
def test_only_a_run_that_learned_stage_1_shows_a_gap_to_be_none(d1: list[float], passed: bool):
    rows = rows_of({"D1_CONS_QA1": d1, "QA7_UNSEEN": [0.1, 0.1, 0.1]}, stage=1)

    null = no_gap_in(make_run(rows), {"per_seed": {0: 0.0, 1: 0.001, 2: -0.001}})

    assert null.passed is passed
    assert null.mean == pytest.approx(0.0)
