import pandas as pd
import pytest

from data.rows import Row
from data.statements import RenderedText
from data.tasks.iml import SUBSETS
from data.vocabulary import Kind, Part, Split, Stage
from training.designs import recipe_design
from training.schedules import Schedule
from training.summary import contrast_estimate, summarize

IML = recipe_design("alias-toy")
TRAINED = {
    Schedule.TWO_STAGE: {
        "X1 definition": Stage.ONE,
        "X1 question": Stage.ONE,
        "X2 definition": Stage.TWO,
    },
    Schedule.SINGLE_STAGE: {
        "X1 definition": Stage.ONE,
        "X1 question": Stage.ONE,
        "X2 definition": Stage.ONE,
    },
    Schedule.THREE_STAGE: {
        "X1 definition": Stage.ONE,
        "X1 question": Stage.TWO,
        "X2 definition": Stage.THREE,
    },
    Schedule.X1_ONLY: {
        "X1 definition": Stage.ONE,
        "X1 question": Stage.ONE,
        "X2 definition": None,
    },
}


def make_row(subset: str, kind: Kind, split: Split = Split.TRAIN) -> Row:
    return Row(
        row_id="row",
        subset=SUBSETS[subset],
        split=split,
        kind=kind,
        rendered=RenderedText(text="a b", answer_span=(2, 3), spans={}),
        alias="a",
        entity="b",
        tag=None,
        question=None,
    )


ROWS = {
    "X1 definition": make_row("D2_INCONS_QA2", Kind.DEFINITION),
    "X1 question": make_row("QA3", Kind.QA),
    "X2 definition": make_row("D8_CONS", Kind.DEFINITION),
}


@pytest.mark.parametrize("schedule", Schedule)
def test_each_training_row_belongs_to_the_stage_that_the_schedule_says(schedule: Schedule) -> None:
    assert {name: schedule.stage_of(row) for name, row in ROWS.items()} == TRAINED[schedule]


@pytest.mark.parametrize("schedule", Schedule)
@pytest.mark.parametrize("subset", SUBSETS)
def test_test_rows_are_trained_by_no_stage(schedule: Schedule, subset: str) -> None:
    assert schedule.stage_of(make_row(subset, Kind.QA, Split.TEST)) is None


def test_stages_follow_one_another_and_the_last_of_several_branches() -> None:
    assert {s: [int(stage) for stage in s.stages] for s in Schedule} == {
        Schedule.TWO_STAGE: [1, 2],
        Schedule.SINGLE_STAGE: [1],
        Schedule.THREE_STAGE: [1, 2, 3],
        Schedule.X1_ONLY: [1],
    }
    assert {s: s.branches_at for s in Schedule} == {
        Schedule.TWO_STAGE: Stage.TWO,
        Schedule.SINGLE_STAGE: None,
        Schedule.THREE_STAGE: Stage.THREE,
        Schedule.X1_ONLY: None,
    }


@pytest.mark.parametrize("schedule", Schedule)
def test_every_stage_trains_something_and_every_trained_row_has_a_stage_of_it(
    schedule: Schedule,
) -> None:
    used = {schedule.stage_of(row) for row in ROWS.values()} - {None}
    assert used == set(schedule.stages)


@pytest.mark.parametrize(
    ("schedule", "first", "second"),
    [
        (Schedule.TWO_STAGE, 1, 2),
        (Schedule.SINGLE_STAGE, 1, 1),
        (Schedule.THREE_STAGE, 2, 3),
        (Schedule.X1_ONLY, 1, 1),
    ],
)
def test_parts_are_read_at_the_end_of_the_stage_that_trained_them_last(
    schedule: Schedule, first: int, second: int
) -> None:
    assert [schedule.read_at(part) for part in Part] == [first, second]


@pytest.mark.parametrize(
    ("schedule", "parts"),
    [
        (Schedule.TWO_STAGE, [Part.X1, Part.X2]),
        (Schedule.SINGLE_STAGE, [Part.X2]),
        (Schedule.THREE_STAGE, [Part.X1, Part.X1, Part.X2]),
        (Schedule.X1_ONLY, [Part.X1]),
    ],
)
def test_a_stage_is_about_x2_once_that_is_trained(schedule: Schedule, parts: list) -> None:
    assert [schedule.part_at(stage) for stage in schedule.stages] == parts


def metrics_of(schedule: Schedule) -> pd.DataFrame:
    """Exact match 10 * stage + step of the higher subsets, nothing of the lower; two seeds."""
    higher, lower = ("D5_CONS", "D1_CONS_QA1"), ("D6_CONS", "D2_INCONS_QA2", "QA3")
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "stage2_seed": 0,
                "stage": int(stage),
                "step": step,
                "subset": subset,
                "question": "all",
                "metric": metric,
                "value": (10.0 * stage + step + seed) * (subset in higher),
            }
            for seed in (0, 1)
            for stage in schedule.stages
            for step in (0, 9, 10)
            for subset in (*higher, *lower)
            for metric in ("exact_match", "answer_log_prob")
        ]
    )


@pytest.mark.parametrize(
    ("schedule", "iml_gap", "stage1_gap"),
    [
        (Schedule.TWO_STAGE, 30.5, 20.5),
        (Schedule.SINGLE_STAGE, 20.5, 20.5),
        (Schedule.THREE_STAGE, 40.5, 30.5),
        (Schedule.X1_ONLY, 20.5, 20.5),
    ],
)
def test_headlines_are_read_at_the_last_step_of_the_schedules_stage(
    schedule: Schedule, iml_gap: float, stage1_gap: float
) -> None:
    metrics = metrics_of(schedule)
    summary = summarize(metrics, IML, schedule)
    means = {gap: summary[gap]["exact_match"]["mean"] for gap in summary}
    assert means == {"iml_gap": iml_gap, "stage1_gap": stage1_gap, "ocl_gap": stage1_gap}
    gap = contrast_estimate(metrics, IML.main, "answer_log_prob", schedule)
    assert gap.per_seed == {0: iml_gap - 0.5, 1: iml_gap + 0.5}


def test_a_gap_without_its_subsets_is_left_out() -> None:
    metrics = metrics_of(Schedule.SINGLE_STAGE)
    without = metrics.loc[~metrics["subset"].isin(["D2_INCONS_QA2", "QA3"])]
    assert set(summarize(without, IML, Schedule.SINGLE_STAGE)) == {"iml_gap"}
