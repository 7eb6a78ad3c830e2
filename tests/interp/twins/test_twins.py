import math

import numpy as np
import pandas as pd
import pytest

from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.twins.analysis import TwinAnalysis, paired_gap
from interp.twins.sections import twins_section
from interp.twins.summary import gained_by_pairing
from interp.twins.wording import twins_found
from training.runs.run import Run

SIDES = ("up", "down")


def answers(up: list[float], down: list[float]) -> pd.Series:
    keys = [("up", f"u{i}") for i in range(len(up))] + [("down", f"d{i}") for i in range(len(down))]
    return pd.Series([*up, *down], index=pd.MultiIndex.from_tuples(keys))


def test_the_paired_gap_is_the_one_worked_out_by_hand() -> None:
    # In the twin `down` has the reliable tag.
    found = paired_gap(answers([3, 5], [1, 1]), answers([0, 4], [4, 2]), SIDES)
    assert (found["run"], found["twin"]) == (3.0, 1.0)
    # Reliable minus unreliable: 3, 1 of the one side, 3, 1 of the other.
    assert found["paired"] == 2.0 == (found["run"] + found["twin"]) / 2
    # Variances 2, 0, 8, 2 of two aliases each; of the differences 2, 2.
    assert found["alias_variance"] == pytest.approx((1 + 0 + 4 + 1) / 4)
    assert found["alias_variance_paired"] == pytest.approx((1 + 1) / 4)
    assert found["n"] == 4


def seeds(run: np.ndarray, twin: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": run, "twin": twin, "alias_variance": 0.6, "alias_variance_paired": 0.2}
    )


def test_the_variance_ratio_is_that_of_the_two_estimators() -> None:
    run, twin = np.random.default_rng(0).normal(size=(2, 12))
    found = gained_by_pairing(seeds(run, twin))
    unpaired = (run.var(ddof=1) + twin.var(ddof=1)) / 2 / 2
    assert found["variance_ratio"] == pytest.approx(unpaired / ((run + twin) / 2).var(ddof=1))
    assert found["ratio_low"] < found["variance_ratio"] < found["ratio_high"]
    assert found["alias_ratio"] == pytest.approx(3.0)


def test_pairing_gains_where_aliases_differ_and_wastes_where_models_do() -> None:
    rng = np.random.default_rng(1)
    own, noise = rng.normal(size=16), rng.normal(scale=0.4, size=(2, 16))
    opposite = gained_by_pairing(seeds(own + noise[0], -own + noise[1]))
    shared = gained_by_pairing(seeds(own + noise[0], own + noise[1]))
    assert opposite["ratio_low"] > 1
    assert shared["ratio_high"] < 1


def test_three_seeds_say_nothing_of_a_variance_ratio() -> None:
    found = gained_by_pairing(seeds(np.arange(3.0), np.arange(3.0)))
    assert math.isnan(found["variance_ratio"])
    assert found["alias_ratio"] == pytest.approx(3.0)


def test_the_analysis_asks_every_alias_with_either_tag(copied_run) -> None:
    run = Run.load(copied_run)
    analysis = TwinAnalysis(folder=copied_run, exchanged_in=(2,))
    rows, summary = run_grid(analysis, GridSelection(runs=(run,), stage=2), workers=1)

    per_seed = run.summary["iml_gap"]["answer_log_prob"]["per_seed"]
    nats = rows.loc[rows["metric"] == "answer_log_prob"].set_index("seed")
    assert nats["run"].to_dict() == pytest.approx({int(k): v for k, v in per_seed.items()})
    assert (nats["paired"] - (nats["run"] + nats["twin"]) / 2).abs().max() < 1e-12
    assert (nats["twin"] != nats["run"]).all()
    assert set(nats["n"]) == {20}
    words = twins_found(summary)
    assert words[0].startswith("Tags exchanged in Stage 2: IML gap (answer log-probability) run ")
    assert "Too few seeds for a variance ratio" in words[0]
    page = twins_section(Run.load(copied_run))
    assert page is not None
    assert words[0] in page
