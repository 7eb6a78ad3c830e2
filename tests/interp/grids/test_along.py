"""Every checkpoint in one grid."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from data.errors import InputError
from interp.cli import main
from interp.grids.grid import run_grid
from interp.grids.known_tables import known_rows
from interp.grids.selection import GridSelection
from interp.grids.settings import placed
from interp.report.reproduction import analysis_commands
from tests.interp.grids.weighing import Weighing, read
from training.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Placed(Weighing):
    """Weighs with the step that it was told, so that a table tells which that was."""

    stage: int = 0
    step: int | None = None

    def measure(self, model, rows, sites, *, seed):
        measured = super().measure(model, rows, sites, seed=seed)
        measured.table["weight"] = 100.0 * self.stage + (self.step or 0)
        return measured


def test_every_checkpoint_that_the_seeds_share_is_measured_and_summarized_together(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.setattr(
        Placed, "summarize", lambda self, table: seen.append(table) or Weighing().summarize(table)
    )
    tae = runs[0]
    table, summary = run_grid(
        Placed(), GridSelection(runs=(tae,), layers=(1,), along=(1, 2)), workers=1
    )
    places = {
        (stage, step)
        for stage in (1, 2)
        for step in set(tae.steps(0, stage)) & set(tae.steps(1, stage))
    }
    assert len(places) > 4
    assert set(zip(table["stage"], table["step"], strict=True)) == places
    assert len(table) == 2 * len(places)
    assert table["weight"].tolist() == (100 * table["stage"] + table["step"]).tolist()
    assert len(summary) == len(places)
    assert [len(each) for each in seen] == [len(table)]  # one family, so one correction
    assert len(read(tae, "weighing")) == len(table)


def test_one_stage_along(runs: tuple[Run, Run]):
    tae = runs[0]
    table, _ = run_grid(
        Weighing(), GridSelection(runs=(tae,), stage=2, layers=(1,), along=(2,)), workers=1
    )
    assert set(table["stage"]) == {2}
    assert sorted(set(table["step"])) == tae.steps(0, 2)


def test_what_was_measured_along_is_known_along_and_at_each_checkpoint(runs: tuple[Run, Run]):
    tae = runs[0]
    along = GridSelection(runs=(tae,), layers=(1,), seeds=(0,), along=(1,))
    assert known_rows(Weighing(), along) is None
    run_grid(Weighing(), GridSelection(runs=(tae,), layers=(1,), seeds=(0,)), workers=1)
    assert known_rows(Weighing(), along) is None  # one checkpoint is not all
    table, _ = run_grid(Weighing(), along, workers=1)
    known = known_rows(Weighing(), along)
    assert known is not None
    assert len(known) == len(table)
    at_start = known_rows(Weighing(), GridSelection(runs=(tae,), layers=(1,), seeds=(0,), step=0))
    assert at_start is not None
    assert set(at_start["step"]) == {0}


def test_an_analysis_that_says_no_checkpoint_stays_as_it_is():
    assert placed(Weighing(factor=2.0), 2, 5) == Weighing(factor=2.0)
    assert placed(Placed(), 2, 5) == Placed(stage=2, step=5)


def test_seeds_without_a_checkpoint_in_common_are_refused(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Run, "steps", lambda self, seed, stage: [seed + 1])
    with pytest.raises(InputError, match="have no checkpoint in common; name one seed"):
        GridSelection(runs=runs[:1], along=(1,)).check()


def test_a_command_looks_along_and_the_report_says_how(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("interp.lenses.analysis.TUNED_STEPS", 2)
    folder = str(runs[0].folder)
    assert main(["lens", folder, "--along", "--layer", "1", "--seed", "0"]) == 0
    shown = capsys.readouterr().out
    last = runs[0].steps(0, 2)[-1]
    assert shown.index(f"Stage 2, step {last}:") < shown.index("Stage 2, step 0:")
    assert " stage  step" in shown
    (line,) = analysis_commands(Run.load(folder), "RUN")
    assert line == "iml lens RUN --seed 0 --along --layer 1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lens", "--along", "--step", "0"), "--step does nothing here: --along takes every step"),
        (("transplant", "--along", "--stage", "2", "--differences"), "--along does nothing here"),
        (("circuit", "--along", "--necessity"), "--along does nothing here: Stage 2 is trained"),
    ],
    ids=["step", "differences", "necessity"],
)
def test_what_along_cannot_be_given_with_is_refused(
    words: tuple[str, ...], said: str, trained: dict[str, Run], capsys: pytest.CaptureFixture[str]
):
    folder: Path = trained["tae"].folder
    assert main([words[0], str(folder), *words[1:]]) == 2
    assert said in capsys.readouterr().err
