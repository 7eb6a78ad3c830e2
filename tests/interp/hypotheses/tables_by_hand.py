"""Answers and tables of runs that nothing was trained for."""

from collections.abc import Mapping

import pandas as pd

from tests.interp.hand_made_runs import COLUMNS
from training.runs.run import Run

D5, D6, D8 = "D5_CONS", "D6_CONS", "D8_CONS"


def nats_of(courses: Mapping[str, list[list[float]]]) -> list[dict[str, object]]:
    """By subset, the log-probability of each seed at each step."""
    return [
        dict(zip(COLUMNS, (subset, "all", "answer_log_prob", 2, step, seed, 0, value), strict=True))
        for subset, seeds in courses.items()
        for seed, course in enumerate(seeds)
        for step, value in enumerate(course)
    ]


def table_in(run: Run, name: str, **columns: object) -> None:
    """Writes a table of the end of stage 2, whose last step is 3."""
    about = {"run_id": run.config.run_id, "stage": 2, "step": 3}
    pd.DataFrame({**about, **columns}).to_parquet(run.folder / f"{name}.parquet")


def codes_in(
    run: Run,
    quantity: str,
    code: str,
    values: Mapping[str, list[float]],
    *,
    edit: str = "",
    control: float = 0.0,
) -> None:
    """Adds rows to the table `codes`: of each subset a value a seed, as trained unless edited."""
    path = run.folder / "codes.parquet"
    before = [pd.read_parquet(path)] if path.exists() else []
    records = [
        {"seed": seed, "subset": subset, "value": value}
        for subset, of_seed in values.items()
        for seed, value in enumerate(of_seed)
    ]
    rows = pd.DataFrame(records).assign(
        quantity=quantity, code=code, edit=edit, site="embed", control=control, stage=2, step=3,
        run_id=run.config.run_id,
    )  # fmt: skip
    pd.concat([*before, rows]).to_parquet(path)


def third_tag_rows() -> pd.DataFrame:
    """Three seeds of three tags near one line, as `third_tag_table` gives them."""
    places = {D5: 1.0, D6: 0.0, D8: 0.8}
    rows = [
        {"seed": seed, "subset": subset, "amount": place / 10 + seed / 100, "nats": 3 * place - 4}
        for seed in range(3)
        for subset, place in places.items()
    ]
    return pd.DataFrame(rows).assign(recipe="alias-toy", run_id="a", word_order="tae")
