from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.vocabulary import DEFINITION, HELD_OUT
from interp.cli import main
from interp.orders.curves import curves_of
from interp.orders.sections import orders_section
from interp.orders.summary import scaled, summarize_orders, timed_curves
from interp.orders.tables import write_orders
from interp.orders.wording import orders_found
from training.runs.run import Run

D5, D6 = "D5_CONS", "D6_CONS"
RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2}
STEPS = [0, 2, 5, 10, 21, 44]


def made(curves: dict[str, np.ndarray], n_seeds: int = 8) -> pd.DataFrame:
    """Curves of seeds that differ in size."""
    return pd.DataFrame(
        [
            {**RUN, "seed": seed, "step": step, "curve": name, "value": (1 + 0.01 * seed) * value}
            for name, values in curves.items()
            for seed in range(n_seeds)
            for step, value in zip(STEPS, values, strict=True)
        ]
    )


EARLY, LATE = np.array([0, 4, 5, 5, 5, 5.0]), np.array([1, 1, 1, 1, 4, 5.0])


def test_the_gap_and_what_is_recited_are_the_run_s_own(tiny_run: Run):
    table = curves_of(tiny_run, 2)
    assert list(dict.fromkeys(table["curve"])) == ["gap", "twin", "recited"]
    nats = tiny_run.metrics.loc[
        (tiny_run.metrics["stage"] == 2) & (tiny_run.metrics["metric"] == "answer_log_prob")
    ]
    wide = nats.pivot_table(index=["seed", "step"], columns=["question", "subset"], values="value")
    for name, expected in (
        ("gap", wide[HELD_OUT][D5] - wide[HELD_OUT][D6]),
        ("recited", (wide[DEFINITION][D5] + wide[DEFINITION][D6]) / 2),
    ):
        own = table.loc[table["curve"] == name].set_index(["seed", "step"])["value"]
        pd.testing.assert_series_equal(own, expected, check_names=False)
    assert set(table["run_id"]) == {tiny_run.config.run_id}  # of the twin's curve, too


def test_curves_are_compared_at_the_steps_that_all_have():
    table = made({"gap": LATE, "recited": EARLY})
    table = table.loc[(table["curve"] == "gap") | (table["step"] != 5)]
    steps, curves = timed_curves(table)
    assert steps == [0, 2, 10, 21, 44]
    assert set(curves) == {"gap", "recited"}


def test_accuracy_is_drawn_and_not_tested():
    table = made({"gap": LATE, "probe": EARLY})
    assert set(timed_curves(table)[1]) == {"gap"}
    assert summarize_orders(table).empty
    assert any(each.startswith("Drawn, not tested") for each in orders_found(table, pd.DataFrame()))


def test_sentences_say_which_is_first():
    table = made({"gap": LATE, "recited": EARLY})
    (pair,) = summarize_orders(table).to_dict("records")
    assert (pair["first"], pair["second"], pair["verdict"]) == ("gap", "recited", "after")
    said = orders_found(table, summarize_orders(table))
    assert said[1].startswith("Reciting definitions comes before the gap, which is half-way ")
    assert "n = 8 seeds" in said[1]


def test_curves_are_scaled_to_their_own_change_and_the_twin_to_the_run_s():
    found = scaled(made({"gap": LATE, "twin": np.full(6, 3.0) + np.arange(6) / 10}))
    means = found.groupby(["curve", "step"])["scaled"].mean().to_dict()
    assert [means["gap", step] for step in STEPS] == pytest.approx([0, 0, 0, 0, 0.75, 1])
    assert means["twin", 44] == pytest.approx(0.5 / 4)


def test_a_command_writes_what_the_report_shows(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["order", str(copied_run)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Half-way (median over seeds, ")
    assert main(["order", str(copied_run), "--stage", "1"]) == 0
    run = Run.load(copied_run)
    assert set(pd.read_parquet(copied_run / "orders.parquet")["stage"]) == {1, 2}
    before = (copied_run / "orders.parquet").read_bytes()
    write_orders(run, 2)
    write_orders(run, 1)
    assert (copied_run / "orders.parquet").read_bytes() == before
    page = orders_section(run)
    assert page is not None
    assert "What comes first in Stage 2" in page


def test_a_stage_with_too_few_checkpoints_is_refused(
    copied_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("interp.orders.curves.FEWEST_STEPS", 1000)
    assert main(["order", str(copied_run)]) == 2
    assert "too few checkpoints in stage 2" in capsys.readouterr().err
    assert not (copied_run / "orders.parquet").exists()
