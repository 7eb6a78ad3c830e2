"""Rows read off tables made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.hypotheses.gates import gates_of
from interp.hypotheses.row_measures import (
    at_best,
    by_alias,
    closed,
    code_share,
    partial_correlation,
    turned,
)
from interp.hypotheses.rows import ROWS
from interp.verdicts.quantities import NotMeasured
from tests.interp.hand_made_runs import make_run, rows_of
from tests.interp.hypotheses.tables_by_hand import D5, D6, nats_of, table_in
from training.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The gap of seeds 0 and 1 is 2 and 4 nats; D6 was better once, by a quarter of the mean."""
    courses = {
        D5: [[-5.0, -4, -2, -1], [-5, -4, -2, -1]],
        D6: [[-5.0, -2.25, -2.25, -3], [-5, -4.25, -4.25, -5]],
    }
    return make_run(nats_of(courses), tmp_path)


def test_at_best_each_subset_is_read_where_it_is_best(run: Run) -> None:
    assert at_best(run).to_dict() == {0: 1.25 / 3, 1: 3.25 / 3}
    assert len(set(run.metrics["step"])) == 4
    few = make_run(nats_of({D5: [[-1.0, -1]], D6: [[-2.0, -2]]}))
    with pytest.raises(NotMeasured, match="needs 4 evaluations"):
        at_best(few)


def test_a_share_is_of_the_mean_gap_and_of_the_lower_subset_alone(run: Run) -> None:
    table_in(
        run, "alias_changes", quantity="closed", part=["constant"] * 4, subset=[D5, D6] * 2,
        alias="", seed=[0, 0, 1, 1], value=[9.0, 1.5, 9.0, 3.0],
    )  # fmt: skip
    assert closed("constant")(run).to_dict() == {0: 0.5, 1: 1.0}
    with pytest.raises(NotMeasured):
        closed("length")(run)


def test_the_share_of_codes_is_that_of_the_questions_code_exchanged_at_embeddings(run: Run) -> None:
    table_in(
        run, "codes", seed=[0, 1, 0, 0, 0], value=[0.8, 0.9, 5.0, 5.0, 5.0], control=0.1,
        quantity=["share"] * 4 + ["gap"], edit=["exchange"] * 2 + ["equal", "exchange", "take"],
        code=["question"] * 3 + ["reliable"] * 2, site="embed",
    )  # fmt: skip
    assert code_share()(run).to_dict() == {0: 0.8, 1: 0.9}
    assert code_share("control")(run).to_dict() == {0: 0.1, 1: 0.1}


def test_turned_updates_count_beyond_random_turns(run: Run) -> None:
    rows = nats_of({"D1_CONS_QA1": [[-1.0] * 4]})
    both = make_run([*rows_of({D5: [0.5]}, stage=1), *rows], run.folder)
    stage1_step = int(both.metrics.loc[both.metrics["stage"] == 1, "step"].max())
    table_in(
        both, "turns", seed=0, treatment="own code", dose=1.0, subset=f"{D5}-{D6}",
        metric="answer_log_prob", control_kind=["", "random", "other entity"], after=2,
        value=[1.0, 1.8, 7.0], untreated=2.0,
    )  # fmt: skip
    table = pd.read_parquet(run.folder / "turns.parquet").assign(stage=1, step=stage1_step)
    table.to_parquet(run.folder / "turns.parquet")
    assert turned("own code")(both).to_dict() == {0: pytest.approx(0.4)}


def test_a_third_quantity_is_held_fixed() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=2000)
    first, second = (pd.Series(cause + rng.normal(size=2000)) for _ in range(2))
    assert first.corr(second) > 0.4
    assert abs(partial_correlation(first, second, pd.Series(cause))) < 0.06
    assert partial_correlation(first, pd.Series(cause), second) > 0.5


def test_aliases_are_compared_within_seed_and_subset(run: Run) -> None:
    """The amount decides within each subset; between the subsets it goes the other way."""
    n, rng = 20, np.random.default_rng(0)
    amount = np.concatenate([rng.normal(size=n), 10 + rng.normal(size=n)])
    nats = np.concatenate([amount[:n], amount[n:] - 50]) + 0.1 * rng.normal(size=2 * n)
    aliases = [f"alias {i}" for i in range(2 * n)]
    subsets = [D5] * n + [D6] * n
    table_in(
        run, "alias_changes", seed=0, part="", alias=aliases * 2, subset=subsets * 2,
        quantity=["amount"] * 2 * n + ["nats"] * 2 * n, value=[*amount, *nats],
    )  # fmt: skip
    with pytest.raises(NotMeasured, match="run iml align"):
        by_alias("amount", "alignment")(run)
    run.metrics.loc[len(run.metrics)] = [D5, "all", "exact_match", 1, 9, 0, 0, 0.5]
    table_in(
        run, "alignment", seed=0, alias=aliases, subset=subsets, value=rng.normal(size=2 * n),
        measure="grad_cosine", pairing="own", component="all", loss_policy="answer",
        row_a=aliases, row_b=aliases,
    )  # fmt: skip
    table = pd.read_parquet(run.folder / "alignment.parquet").assign(stage=1, step=9)
    table.to_parquet(run.folder / "alignment.parquet")
    assert by_alias("amount", "alignment")(run)[0] > 0.95
    assert abs(by_alias("alignment", "amount")(run)[0]) < 0.5


def test_a_run_without_tables_needs_them_for_every_row_but_those_of_its_metrics(run: Run) -> None:
    for row in ROWS:
        if row.id in ("at best",):
            continue
        with pytest.raises(NotMeasured):
            row.measure(run)


def gate_words(run: Run) -> dict[str, bool | None]:
    return {gate.name.split(" (")[0]: gate.passed for gate in gates_of(run)}


def run_with(gap: float, twin_gap: float | None, tmp_path: Path, *, n: int = 6) -> Run:
    def rows(gap: float) -> list[dict[str, object]]:
        return rows_of({D5: [0.4 + gap + i / 100 for i in range(n)],
                        D6: [0.4 + (i % 2) / 100 for i in range(n)]}, stage=2)  # fmt: skip

    twin = None if twin_gap is None else make_run(rows(twin_gap), tmp_path / "null")
    info = {"finished": "now", "seeds": list(range(n))}
    found = make_run(rows(gap), tmp_path, null=twin)
    return Run(folder=found.folder, info=info, config=found.config, given_metrics=found.metrics,
               given_null=found.given_null)  # fmt: skip


def test_gates_want_a_gap_here_none_in_the_twin_and_enough_seeds(tmp_path: Path) -> None:
    few, gap, twin, control = gate_words(run_with(0.4, -0.02, tmp_path)).values()
    assert (few, gap, twin, control) == (True, True, True, None)
    assert gate_words(run_with(0.0, -0.02, tmp_path))["a gap D5 − D6 in exact match"] is False
    assert gate_words(run_with(0.4, 0.4, tmp_path))["no gap in the null twin"] is False
    assert gate_words(run_with(0.4, None, tmp_path))["no gap in the null twin"] is None
    assert gate_words(run_with(0.4, 0.0, tmp_path, n=5))["at least 6 Stage-1 seeds"] is False
