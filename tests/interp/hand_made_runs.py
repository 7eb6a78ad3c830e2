"""Runs made of hand-written metrics, which nothing was trained for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from data.design import Margin
from interp.verdicts.verdict import Verdict
from training.config import RunConfig, Value
from training.recipes import find_recipe
from training.runs.run import Run
from training.schedules import Schedule

COLUMNS = ["subset", "question", "metric", "stage", "step", "seed", "stage2_seed", "value"]


def rows_of(
    levels: Mapping[str, list[float]], *, stage: int, question: str = "all", first_seed: int = 0
) -> list[dict[str, object]]:
    """A row for each subset and seed at the last step, behind one at a step that must not count."""
    common = {"question": question, "metric": "exact_match", "stage": stage, "stage2_seed": 0}
    return [
        {"subset": subset, "seed": first_seed + i, "step": step, "value": shown, **common}
        for subset, values in levels.items()
        for i, value in enumerate(values)
        for step, shown in ((10, value), (5, 1 - value))
    ]


def make_run(
    rows: list[dict[str, object]],
    folder: Path = Path("nowhere"),
    *,
    schedule: Schedule = Schedule.TWO_STAGE,
    null: Run | None = None,
    **parameters: Value,
) -> Run:
    config = replace(find_recipe("alias-toy")(**parameters), schedule=schedule)
    metrics = pd.DataFrame(rows, columns=COLUMNS)
    info = {"finished": "now"}
    return Run(folder=folder, info=info, config=config, given_metrics=metrics, given_null=null)


def margin_of(config: RunConfig) -> Margin:
    assert config.null_margin is not None
    return config.null_margin


def by_id(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {verdict.id: verdict for verdict in verdicts}
