"""Whose checkpoint it is: what changed places is told, what was moved as a whole is not."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DamagedError
from tests.training.runs.harm import flip
from training.files import write_manifest
from training.runs.checkpoints import saved_steps
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run


def last(folder: Path, stage: str) -> str:
    """The last checkpoint of a stage, by its place."""
    return f"{stage}/step-{saved_steps(folder / stage)[-1]}"


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("kept"))
    other.rename(one)
    one.with_name("kept").rename(other)


EXCHANGES: dict[str, Callable[[Path], tuple[str, str]]] = {
    "two steps": lambda run: ("seed-1000/stage-1/step-0", last(run, "seed-1000/stage-1")),
    "two seeds' steps": lambda run: ("seed-1000/stage-2/step-0", "seed-1001/stage-2/step-0"),
    "two seeds": lambda run: ("seed-1000", "seed-1001"),
    "stage 1's end and stage 2's": lambda run: (
        last(run, "seed-1001/stage-1"),
        last(run, "seed-1001/stage-2"),
    ),
    "two stages": lambda run: ("seed-1000/stage-1", "seed-1000/stage-2"),
    "a step and the null twin's": lambda run: (
        "seed-1000/stage-1/step-0",
        "null/seed-1000/stage-1/step-0",
    ),
    "a seed and the null twin's": lambda run: ("seed-1001", "null/seed-1001"),
}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_checkpoints_that_changed_places_are_told_and_not_used(
    exchange: str, copied_run: Path
) -> None:
    places = EXCHANGES[exchange](copied_run)
    swap(*(copied_run / place for place in places))
    problems = run_damage(copied_run)
    for place in places:
        moved = f"{copied_run / place}"
        assert any(each.startswith(moved) and "not of this place" in each for each in problems)
    for place in places:
        run = Run.load(copied_run / "null" if place.startswith("null") else copied_run)
        step = next(path.parent for path in sorted((copied_run / place).rglob("config.json")))
        seed, stage, number = (part.split("-")[1] for part in step.parts[-3:])
        with pytest.raises(DamagedError, match=r"not of this place; delete .*seed-\d+ and repeat"):
            run.checkpoint(int(seed), int(stage), int(number))


def test_a_run_whose_seeds_changed_places_is_not_extended(copied_run: Path, tiny_run: Run) -> None:
    swap(copied_run / "seed-1000", copied_run / "null/seed-1000")
    request = RunRequest(config=tiny_run.config, folder=copied_run, seeds=(1000, 1001, 1002))
    with pytest.raises(DamagedError, match="not of this place"):
        request.check()


def test_manifest_of_a_checkpoint_says_place_run_and_what_it_came_from(tiny_run: Run) -> None:
    told = []
    for stage in (1, 2):
        for step in tiny_run.steps(1000, stage):
            text = (tiny_run.checkpoint(1000, stage, step) / "manifest.json").read_text()
            about = json.loads(text)["."]
            assert about["place"] == f"seed-1000/stage-{stage}/step-{step}"
            assert about["run_id"] == tiny_run.config.run_id
            told.append(about["parent"])
    assert told[0] is None
    assert all(isinstance(each, str) and len(each) == 64 for each in told[1:])
    assert len(set(told)) == len(told)


def test_checkpoint_of_another_training_of_the_same_run_is_told(copied_run: Path) -> None:
    # Its place and run are right, as in a copy that was trained on another machine.
    stranger = copied_run / "seed-1000/stage-1/step-0"
    manifest = json.loads((stranger / "manifest.json").read_text())
    flip(stranger / "model.safetensors", random.Random(0))
    write_manifest(stranger, about=manifest["."])
    second = saved_steps(stranger.parent)[1]
    assert run_damage(copied_run) == [
        f"{stranger.parent}/step-{second} was not trained on from {stranger}"
    ]


def test_end_of_stage_1_of_another_training_is_told_by_stage_2(copied_run: Path) -> None:
    stranger = copied_run / last(copied_run, "seed-1000/stage-1")
    about = json.loads((stranger / "manifest.json").read_text())["."]
    flip(stranger / "model.safetensors", random.Random(0))
    write_manifest(stranger, about=about)
    first = copied_run / "seed-1000/stage-2/step-0"
    assert run_damage(copied_run) == [f"{first} was not trained on from {stranger}"]


def test_moved_and_renamed_runs_and_copies_verify(copied_run: Path, tmp_path: Path) -> None:
    moved = copied_run.rename(tmp_path / "elsewhere")
    copied = Path(shutil.copytree(moved, tmp_path / "deep" / "er"))
    assert run_damage(moved) == run_damage(copied) == []
    assert Run.load(copied).checkpoint(1000, 1).is_dir()


def test_run_verifies_from_within(copied_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied_run)
    assert run_damage(Path()) == []
    assert Run.load(".").checkpoint(1001, 2).is_dir()
