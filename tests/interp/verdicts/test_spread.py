"""Where the spread of seeds comes from, as a run's folder tells it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.verdicts.spread import spread_sentences, spreads_of
from tests.interp.hand_made_runs import make_run
from training.runs.run import Run

D5, D6 = "D5_CONS", "D6_CONS"
NATS = "answer_log_prob"


def aliases(*, n_stage2: int, stage1: float = 2.0, n: int = 10) -> pd.DataFrame:
    """Answers of aliases after each Stage-2 training of six seeds."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(6):
        own, model = rng.normal(size=(2, n)), stage1 * rng.normal()
        for stage2_seed in range(n_stage2):
            answers = own + rng.normal(scale=0.1, size=(2, n))
            answers[0] += 3 + model + 0.5 * rng.normal()
            rows += [
                {"seed": seed, "stage2_seed": stage2_seed, "subset": subset,
                 "alias": f"{subset}{i}",
                 NATS: value, "exact_match": value}
                for subset, values in zip((D5, D6), answers, strict=True)
                for i, value in enumerate(values)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def run_of(table: pd.DataFrame, folder: Path) -> Run:
    groups = table.groupby(["seed", "stage2_seed", "subset"])
    means = groups.agg({NATS: "mean", "exact_match": "mean"})
    long = means.reset_index().melt(
        ["seed", "stage2_seed", "subset"], var_name="metric", value_name="value"
    )
    return make_run(long.assign(question="all", stage=2, step=9).to_dict("records"), folder)  # pyright: ignore[reportArgumentType]


def test_seeds_of_both_stages_are_told_apart_by_the_run_s_own_measurements(tmp_path: Path):
    run = run_of(aliases(n_stage2=3), tmp_path)
    found = spreads_of(run)[NATS]
    assert found.parts.n_stage2 == 3
    assert found.parts.n_aliases == 0
    assert found.parts.shares["stage1"] > 0.8
    said = spread_sentences(run, spreads_of(run))
    assert said[0].startswith("Variance of one seed's iml_gap (answer log-probability): Stage-1")
    assert said[0].endswith("; aliases are not told apart (iml mediate).")


def test_aliases_are_told_apart_once_all_of_them_are_known(tmp_path: Path):
    table = aliases(n_stage2=1)
    run = run_of(table, tmp_path)
    known = table.assign(run_id=run.config.run_id)
    known.to_parquet(tmp_path / "mediation.parquet")
    found = spreads_of(run)[NATS]
    assert found.parts.n_aliases == 120
    assert found.parts.raw["aliases"] == pytest.approx(2 / 10, rel=0.3)  # variance 1, 10 a side
    said = spread_sentences(run, spreads_of(run))[0]
    assert "aliases" in said
    assert said.endswith("Stage-2 seeds are not told apart (--set seeds_stage2=2 trains two).")
    # Those of a limit are aliases of another gap.
    known.groupby(["seed", "subset"]).head(5).to_parquet(tmp_path / "mediation.parquet")
    assert spreads_of(run)[NATS].parts.n_aliases == 0


def test_a_wanted_width_says_how_many_seeds_are_still_needed(tmp_path: Path):
    run = run_of(aliases(n_stage2=1), tmp_path)
    now = spreads_of(run)[NATS].needed
    assert now.half_width == pytest.approx(now.half_width_now / 2)
    wide = spreads_of(run, half_width=2 * now.half_width_now)
    assert wide[NATS].needed.n_still == 0
    assert wide["exact_match"].needed.half_width == now.half_width  # asked for in nats alone
    assert "is what its 6 seeds are expected to give" in spread_sentences(run, wide)[1]
    said = spread_sentences(run, spreads_of(run))[1]
    assert f"takes about {now.n_needed} Stage-1 seeds, {now.n_needed - 6} more; at most" in said


def test_equal_seeds_and_a_run_without_the_gap_have_no_spread(tmp_path: Path):
    run = run_of(aliases(n_stage2=1), tmp_path)
    assert spreads_of(make_run(run.metrics.assign(value=1.0).to_dict("records"), tmp_path)) == {}  # pyright: ignore[reportArgumentType]
    alone = run.metrics.loc[run.metrics["subset"] == D5]
    assert spreads_of(make_run(alone.to_dict("records"), tmp_path)) == {}  # pyright: ignore[reportArgumentType]
