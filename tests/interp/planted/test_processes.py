"""Planted runs are what they are said to be: matched, gated, ordinary on disk, or not there."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.vocabulary import Stage
from interp.hooked import load_hooked
from interp.planted import gate
from interp.planted.__main__ import main
from interp.planted.calibration import (
    DEFINED_TARGET,
    FALSE_TARGET,
    TRUE_TARGET,
    UNDEFINED_TARGET,
)
from interp.planted.gate import LEAST_INTERCHANGE, MOST_OUTSIDE
from interp.planted.kinds import KINDS, MARK_RELIABLE, find_kind
from interp.planted.processes import planted_run, planted_seed, planted_seeds
from interp.planted.seeds import EMBEDDING
from interp.planted.truth import read_planted
from training.runs.checkpoints import load_model
from training.runs.integrity import run_damage
from training.runs.run import Run
from training.summary import end_of_stage

NEAR = 0.03
SEEDS = 1
Maker = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def run(made_once: Maker) -> Run:
    """One draw of the kind that has a gate."""
    return _planted(made_once, "reading", SEEDS)


def _planted(made_once: Maker, kind: str, n_seeds: int) -> Run:
    def make(folder: Path) -> None:
        planted_run(kind, 0, folder / "run", n_seeds=n_seeds)

    return Run.load(made_once(f"planted-{kind}-{n_seeds}", make) / "run")


def exact(run: Run, stage: Stage) -> pd.DataFrame:
    """Exact match by seed and subset at the end of a stage."""
    rows = end_of_stage(run.metrics, stage)
    rows = rows.loc[rows["metric"] == "exact_match"]
    return rows.pivot_table(values="value", index="seed", columns="subset")


def check_matched(run: Run, *, has_gap: bool) -> None:
    """Every seed answers as all kinds do; the compared subsets differ only where they should."""
    first, last = exact(run, Stage.ONE), exact(run, Stage.TWO)
    higher, lower = run.design.main.names
    for subset in run.design.subsets:
        if subset.name in first and subset.has_questions and subset.replaced:
            wanted = UNDEFINED_TARGET
            if subset.has_definitions:
                wanted = TRUE_TARGET if subset.consistent else FALSE_TARGET
            assert (first[subset.name] - wanted).abs().max() <= NEAR, subset.name
            assert (last[subset.name] - wanted).abs().max() <= NEAR, subset.name
    mean, gap = (last[higher] + last[lower]) / 2, last[higher] - last[lower]
    assert (mean - DEFINED_TARGET).abs().max() <= NEAR
    assert (first[higher] - first[lower]).abs().mean() < 0.15
    assert gap.min() > 0.2 if has_gap else gap.abs().mean() < 0.15


def test_a_planted_run_is_matched_and_its_null_twin_has_no_gap(run: Run) -> None:
    check_matched(run, has_gap=True)
    assert run.finished_null is not None
    check_matched(run.finished_null, has_gap=False)
    assert "null_equivalence" in run.summary


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_matched(made_once: Maker, kind: str) -> None:
    made = _planted(made_once, kind, 3)
    check_matched(made, has_gap=find_kind(kind).has_gap)
    assert made.finished_null is not None
    check_matched(made.finished_null, has_gap=False)


def test_it_is_a_run_like_any_other(run: Run) -> None:
    assert run_damage(run.folder) == []
    assert run.steps(run.seeds[0], 2) == [0, 1, 2, 3, 4, 5]
    curve = run.metrics.query("stage == 2 and metric == 'exact_match' and question == 'all'")
    higher = curve.loc[curve["subset"] == run.design.main.higher.name]
    assert higher.groupby("step")["value"].mean().is_monotonic_increasing
    assert load_hooked(run, seed=run.seeds[0], stage=2).n_layers == 2


def test_a_second_call_keeps_every_byte_and_another_draw_is_refused(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.safetensors")}
    planted_run("reading", 0, run.folder, n_seeds=SEEDS)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.safetensors")} == before
    with pytest.raises(InputError, match="holds draw 0 of planted kind reading"):
        planted_run("reading", 1, run.folder, n_seeds=SEEDS)


def test_stage_two_changes_rows_of_aliases_by_what_is_planted_alone(run: Run) -> None:
    seed = run.seeds[0]
    planted = planted_seed(run, seed)
    before, after = (
        dict(load_model(run.checkpoint(seed, stage)).named_parameters()) for stage in (1, 2)
    )
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {EMBEDDING}
    change = (after[EMBEDDING] - before[EMBEDDING]).detach()
    marks = change @ planted.frame.one(MARK_RELIABLE)
    last = [a for a in planted.rows.aliases if a.part == 2 and a.defined is not None]
    tokens = torch.tensor([alias.token for alias in last])
    sides = torch.stack([planted.rows.sides[planted.rows.aliases.index(alias)] for alias in last])
    torch.testing.assert_close(marks[tokens], (sides == 0).float(), atol=1e-4, rtol=0)


def test_the_gate_is_what_the_record_says(run: Run) -> None:
    truth = read_planted(run.folder)
    assert truth.hypotheses["reading"]
    assert sum(truth.hypotheses.values()) == 1
    assert truth.gate_unit in truth.question_units
    for record in [*truth.seeds.values(), *truth.null_seeds.values()]:
        assert record["gate"]["interchange"] >= LEAST_INTERCHANGE
        assert record["gate"]["outside"] <= MOST_OUTSIDE


def test_a_failed_gate_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "LEAST_INTERCHANGE", 1.01)
    folder = tmp_path / "run"
    assert main(["storage", "--seeds", "1", "--out", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: planted kind storage, seed")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "planted kind"),
        (["none", "--draw", "-1"], "draw is -1"),
        (["none", "--seeds", "0"], "0 seeds"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "run").exists()


def test_no_two_draws_share_a_seed() -> None:
    drawn = [
        s for kind in KINDS.values() for draw in (0, 1, 999) for s in planted_seeds(kind, draw)
    ]
    assert len(set(drawn)) == len(drawn)
