"""The three analyses that train again, on a tiny run: branches, surgery, left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from interp.alignment.branches import BranchAnalysis
from interp.alignment.left_out import LeftOutAnalysis, left_out_correlations
from interp.alignment.surgery import SurgeryAnalysis, dose_contrasts
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.model import HookedModel, load_hooked
from training.evaluate import EvaluationSet, answer_metrics
from training.retraining import Retraining
from training.runs.run import Run

SEED = 1000
RUN = {"recipe": "toy", "run_id": "0", "model": "m", "word_order": "tae", "stage": 1, "step": 9}


@pytest.fixture(scope="module")
def opened(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, SEED, 1)


def measured(run: Run, opened: HookedModel, analysis: Analysis) -> pd.DataFrame:
    return analysis.measure(opened, run.tokenized_rows(SEED), [], seed=SEED).table


def gap_of_run(run: Run, metric: str, stage: int = 2, compared: str = "D5_CONS D6_CONS") -> float:
    """D5 minus D6 at the end of a stage, as the run itself measured it."""
    rows = run.metrics.loc[
        (run.metrics["seed"] == SEED)
        & (run.metrics["stage"] == stage)
        & (run.metrics["metric"] == metric)
        & (run.metrics["question"] == "all")
    ]
    last = rows.loc[rows["step"] == rows["step"].max()].set_index("subset")["value"]
    higher, lower = compared.split()
    return float(last[higher] - last[lower])


def test_the_branch_at_the_end_of_stage_1_is_the_run_itself(tiny_run: Run, opened: HookedModel):
    steps = tuple(tiny_run.steps(SEED, 1)[-3:])
    analysis = BranchAnalysis(folder=tiny_run.folder, steps=steps)
    table = measured(tiny_run, opened, analysis)
    assert table["branch_step"].tolist() == list(steps)
    for metric in ("exact_match", "answer_log_prob"):
        assert table[f"iml_gap_{metric}"].tolist()[-1] == gap_of_run(tiny_run, metric)
    assert len(set(table["cosine"])) == 3


def test_too_few_branches_are_refused(tiny_run: Run, opened: HookedModel):
    analysis = BranchAnalysis(folder=tiny_run.folder, steps=(0, 2))
    with pytest.raises(InputError, match="2 branches"):
        measured(tiny_run, opened, analysis)


def test_branches_are_ranked_within_each_seed_and_counted_over_seeds(tiny_run: Run):
    gaps = {0: [0.0, 0.1, 0.2], 1: [5.0, 6.0, 8.0], 2: [3.0, 2.0, 1.0]}
    table = pd.DataFrame(
        [
            RUN
            | {"seed": seed, "branch_step": step, "log_step": float(step), "cosine": step * 0.1}
            | {"dot": 1.0, "control_cosine": -step * 0.1}
            | {"iml_gap_exact_match": gap, "iml_gap_answer_log_prob": gap}
            for seed, values in gaps.items()
            for step, gap in enumerate(values)
        ]
    )
    summary = BranchAnalysis(folder=tiny_run.folder).summarize(table)
    found = summary.loc[summary["metric"] == "exact_match"].set_index("predictor")
    # Seeds have correlations of 1, 1 and -1 with the cosine, whatever their levels.
    assert found.loc["cosine", "correlation"] == pytest.approx(1 / 3)
    assert (found.loc["cosine", "n_positive"], found.loc["cosine", "sign_p"]) == (2, 1.0)
    assert found.loc["control_cosine", "correlation"] == pytest.approx(-1 / 3)
    assert found.loc["dot", "correlation"] == 0.0


def test_surgery_of_dose_0_is_the_run_itself_and_others_are_not(tiny_run: Run, opened: HookedModel):
    analysis = SurgeryAnalysis(
        folder=tiny_run.folder, doses=(0.0, 1.0), control_doses=(1.0,), limit=2
    )
    table = measured(tiny_run, opened, analysis)
    cells = zip(table["direction"], table["dose"], table["quantity"], strict=True)
    found = dict(zip(cells, table["value"].tolist(), strict=True))
    metric = "answer_log_prob"
    expected = {
        f"iml_gap_{metric}": gap_of_run(tiny_run, metric),
        f"stage1_gap_{metric}": gap_of_run(tiny_run, metric, 1, "D1_CONS_QA1 D2_INCONS_QA2"),
    }
    for quantity, value in expected.items():
        # Surgery takes the gradient of two batches apart, so that sums round otherwise.
        assert found["questions", 0.0, quantity] == pytest.approx(value, abs=1e-3)
        others = {found[name, 1.0, quantity] for name in ("questions", "random")}
        assert len({found["questions", 0.0, quantity], *others}) == 3
    assert not table.duplicated(analysis.coordinates).any()


def test_surgery_without_dose_0_is_refused(tiny_run: Run, opened: HookedModel):
    with pytest.raises(InputError, match="doses lack 0"):
        measured(tiny_run, opened, SurgeryAnalysis(folder=tiny_run.folder, doses=(1.0,)))


def test_doses_are_held_against_none_against_chance_and_as_a_slope():
    responses: dict[tuple[str, float], float] = {
        ("questions", -1.0): 5.0,
        ("questions", 0.0): 3.0,
        ("questions", 1.0): 1.0,
        ("random", -1.0): 3.5,
        ("random", 1.0): 2.5,
    }
    table = pd.DataFrame(
        [
            RUN | {"seed": 0, "direction": name, "dose": dose, "quantity": "gap", "value": value}
            for (name, dose), value in responses.items()
        ]
    )
    found = dose_contrasts(table)
    cells = {
        (row["direction"], row["dose"], row["against"]): row["difference"]
        for row in found.loc[found["against"] != "slope"].to_dict("records")
    }
    assert cells["questions", -1.0, "dose 0"] == pytest.approx(2.0)
    assert cells["questions", 0.0, "dose 0"] == 0.0
    assert cells["random", 1.0, "dose 0"] == pytest.approx(-0.5)
    assert cells["questions", 1.0, "random"] == pytest.approx(-1.5)
    slope: dict[str, Any] = found.loc[found["against"] == "slope"].iloc[0].to_dict()
    assert slope["value"] == pytest.approx(-2.0)
    assert slope["null"] == pytest.approx(-0.5)
    assert np.isnan(slope["dose"])


def test_what_is_measured_is_the_change_that_leaving_out_one_definition_makes(
    tiny_run: Run, opened: HookedModel
):
    table = measured(tiny_run, opened, LeftOutAnalysis(folder=tiny_run.folder, limit=1))
    assert len(set(table["row_a"])) == 2
    row = table.loc[table["pairing"] == "own"].iloc[0]
    again = Retraining(run=tiny_run, seed=SEED)
    asked = EvaluationSet.of(
        [each for each in tiny_run.tokenized_rows(SEED) if each.row.row_id == row["row_b"]]
    )
    start = again.model_at(1)
    without, whole = again.stage_two(start, without=[row["row_a"]]), again.model_at(2)
    one, other = (
        answer_metrics(model, asked)["answer_log_prob"].iloc[0] for model in (without, whole)
    )
    assert row["measured"] == pytest.approx(one - other, abs=1e-6)
    assert abs(float(row["measured"])) > 1e-6


def test_the_prediction_is_that_a_definition_that_aligns_is_missed(
    tiny_run: Run, opened: HookedModel
):
    table = measured(tiny_run, opened, LeftOutAnalysis(folder=tiny_run.folder, limit=1))
    predicted, cosine = (table[name].to_numpy() for name in ("predicted", "grad_cosine"))
    assert np.array_equal(np.sign(predicted), -np.sign(cosine))


def test_within_a_tag_the_difference_between_tags_predicts_nothing():
    rows = [
        RUN
        | {"seed": 0, "row_a": f"{subset}{i}", "row_b": f"q{i}", "subset": subset}
        | {"pairing": "own", "grad_cosine": 0.0, "predicted": level + sign * i}
        | {"measured": level - sign * i}
        for subset, level, sign in (("D5_CONS", 100.0, 1), ("D6_CONS", 0.0, -1))
        for i in range(3)
    ]
    found = left_out_correlations(pd.DataFrame(rows))
    found = found.loc[found["predictor"] == "predicted"].set_index(["pairing", "kind"])
    assert found.loc[("own", "pearson"), "correlation"] > 0.99  # pyright: ignore[reportOperatorIssue]
    assert found.loc[("within_tag", "pearson"), "correlation"] == pytest.approx(-1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        lambda folder: BranchAnalysis(folder=folder, limit=2),
        lambda folder: LeftOutAnalysis(folder=folder, limit=1),
    ],
    ids=["branches", "left-out"],
)
def test_a_grid_writes_a_row_for_each_seed_and_cell(copied_run: Path, kind: Any):
    run = Run.load(copied_run)
    analysis = kind(copied_run)
    table, summary = run_grid(analysis, GridSelection(runs=(run,)), workers=1)
    assert (copied_run / f"{analysis.name}_summary.parquet").is_file()
    assert set(table["seed"]) == {1000, 1001}
    assert not table.duplicated(["seed", *analysis.coordinates]).any()
    assert set(summary["n_seeds"]) == {2}
