"""Trainings of a tiny run without components: the analysis, its tables, section and command."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from interp.circuits.behaviours import measured_behaviours
from interp.circuits.necessity import NecessityAnalysis, head_scores
from interp.circuits.necessity_sections import necessity_section
from interp.commands.necessity import add_necessity, run_necessity
from interp.commands.selectors import add_selectors, selection_of
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.hooked.model import HookedModel, load_hooked
from training.retraining import Retraining
from training.runs.integrity import run_damage
from training.runs.run import Run

SEED = 1000

pytestmark = pytest.mark.slow  # each table is of some twenty trainings


@pytest.fixture(scope="module")
def opened(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, SEED, 2)


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("necessity") / "run"
    run = Run.load(shutil.copytree(tiny_run.folder, folder))
    analysis = NecessityAnalysis(folder=folder, components=("a1.h0", "emb"), n_others=2)
    run_grid(analysis, GridSelection(runs=(run,), stage=2), workers=1)
    return run


@pytest.fixture(scope="module")
def table(analysed: Run) -> pd.DataFrame:
    return pd.read_parquet(analysed.folder / "necessity.parquet")


def test_the_untouched_training_is_the_run_s_own_bit_for_bit(
    tiny_run: Run, table: pd.DataFrame, opened: HookedModel
):
    untouched = table.loc[table["mode"] == "untouched"]
    assert set(untouched["distance"]) == {0.0}
    assert (untouched["exact_match"] == untouched["untouched_exact_match"]).all()
    gaps = untouched.pivot_table(index="seed", columns="subset", values="answer_log_prob")
    own = tiny_run.summary["iml_gap"]["answer_log_prob"]["per_seed"]
    for seed, gap in (gaps["D5_CONS"] - gaps["D6_CONS"]).items():
        assert gap == pytest.approx(own[str(seed)])
    names = {each.measured for each in measured_behaviours(tiny_run.design, table_rows(tiny_run))}
    assert set(untouched["subset"]) == names


def table_rows(run: Run) -> list:
    return run.tokenized_rows(SEED)


def test_each_training_differs_and_is_held_against_others(table: pd.DataFrame, analysed: Run):
    treated = table.loc[table["mode"] != "untouched"]
    assert (treated["distance"] > 0).all()
    parts = {mode: set(rows["part"]) for mode, rows in treated.groupby("mode")}
    assert {"emb", "rows.0", "rows.1", "a1.h0"} < parts["frozen"]
    assert parts["clamped"] == {part for part in parts["frozen"] if part.startswith("a1.")}
    labels = treated.groupby("part")["label"].first().to_dict()
    assert {part for part, label in labels.items() if label} == {"emb", "a1.h0"}
    summary = pd.read_parquet(analysed.folder / "necessity_summary.parquet")
    assert set(summary["part"]) == {"none", "emb", "a1.h0"}
    assert {"gap", "recite D5_CONS"} <= set(summary["subset"])
    assert run_damage(analysed.folder) == []


def test_a_clamped_training_is_measured_as_it_was_trained(tiny_run: Run, table: pd.DataFrame):
    """Frozen and clamped are two trainings of one head, and both differ from the untouched."""
    one = table.loc[(table["part"] == "a1.h0") & (table["seed"] == SEED)]
    wide = one.pivot_table(index="subset", columns="mode", values="answer_log_prob")
    assert not np.allclose(wide["frozen"], wide["clamped"], atol=1e-6)
    assert not np.allclose(wide["frozen"], one["untouched_answer_log_prob"].iloc[0], atol=1e-6)


def test_everything_frozen_is_stage_1_and_the_model_stays(
    tiny_run: Run, opened: HookedModel, state_of, monkeypatch: pytest.MonkeyPatch
):
    from interp.circuits import necessity

    def few(*given: Any, **options: Any) -> list:
        every = treat(*given, **options)
        return [each for each in every if each.part in ("none", "all")]

    treat = necessity.treatments
    monkeypatch.setattr(necessity, "treatments", few)
    before = state_of(opened)
    rows = table_rows(tiny_run)
    analysis = NecessityAnalysis(folder=tiny_run.folder)
    found = analysis.measure(opened, rows, [], seed=SEED).table
    assert state_of(opened) == before
    frozen = found.loc[found["part"] == "all"].set_index("subset")["answer_log_prob"]
    again = Retraining(run=tiny_run, seed=SEED)
    measured = again.measure(again.model_at(1))
    chosen = measured.loc[(measured["question"] == "all") & (measured["metric"] == frozen.name)]
    own = chosen.set_index("subset")["value"]
    for subset in ("D5_CONS", "D6_CONS", "D1_CONS_QA1"):
        assert frozen[subset] == pytest.approx(own[subset])


def test_a_head_s_score_is_what_its_ablation_costs(tiny_run: Run, opened: HookedModel):
    scores = head_scores(opened, table_rows(tiny_run), "D5_CONS")
    n_heads = opened.n_heads
    assert list(scores) == [f"a{n}.h{h}" for n in range(opened.n_layers) for h in range(n_heads)]
    assert len({round(score, 9) for score in scores.values()}) > 1
    with pytest.raises(InputError, match="no rows"):
        head_scores(opened, table_rows(tiny_run), "D9")


def test_the_section_is_there_where_the_table_is(tiny_run: Run, analysed: Run):
    html = necessity_section(analysed)
    assert html is not None
    assert necessity_section(tiny_run) is None
    assert html == necessity_section(Run.load(analysed.folder))
    for name in ("necessity-exact_match", "necessity-answer_log_prob", "alias rows frozen"):
        assert name in html


def arguments(folder: Path, *options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_selectors(parser)
    add_necessity(parser)
    parser.set_defaults(ablation=None, unit=None, scores=None)
    return parser.parse_args([str(folder), "--workers", "1", *options])


def test_the_command_writes_its_tables_and_says_what_it_found(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    given = arguments(copied_run, "--component", "m1", "--seed", "1000", "--json")
    assert run_necessity(selection_of(given), given) == 0
    found = json.loads(capsys.readouterr().out)
    assert "MLP of layer 1 frozen" in json.dumps(found)
    table = pd.read_parquet(copied_run / "necessity.parquet")
    assert set(table["part"]) == {"none", "m1"}
    assert set(table["stage"]) == {2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--component", "a9.h0"], r"component 'a9\.h0'"),
        (["--others", "0"], "--others is 0; give 1 or more"),
        (["--step", "0"], "--step does nothing here"),
    ],
)
def test_bad_options_change_nothing(copied_run: Path, options: list[str], message: str, tree_hash):
    given = arguments(copied_run, *options)
    before = tree_hash(copied_run)
    with pytest.raises(InputError, match=message):
        run_necessity(selection_of(given), given)
    assert tree_hash(copied_run) == before
