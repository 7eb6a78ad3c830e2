import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError
from interp.grids.selection import GridSelection
from training.recipes import find_recipe
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds

MINI = {"aliases_per_subset": 6, "aliases_qa3": 4, "aliases_stage2": 4, "entities": 4} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    def make(*seeds: int, **changes: int | str) -> Run:
        folder = tmp_path_factory.mktemp("runs") / "run"
        config = find_recipe("alias-toy")(**{**MINI, **changes})
        return run_seeds([RunRequest(config=config, folder=folder, seeds=seeds)], workers=1)[0]

    return make


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Run]) -> Run:
    return make_run(3, 4)


def test_all_seeds_belong_to_the_grid_unless_some_are_named(run: Run):
    assert GridSelection(runs=(run,)).seeds_of(run) == [3, 4]
    assert GridSelection(runs=(run,), seeds=(4,)).seeds_of(run) == [4]


def test_any_saved_step_of_either_stage_can_be_chosen(run: Run):
    for stage in (1, 2):
        for step in run.steps(3, stage):
            GridSelection(runs=(run,), stage=stage, step=step).check()


def test_a_step_without_a_checkpoint_is_refused(run: Run):
    steps = ", ".join(map(str, run.steps(3, 1)))

    with pytest.raises(InputError, match=f"no checkpoint of step 999 in stage 1.*one of {steps}"):
        GridSelection(runs=(run,), step=999).check()


def test_a_stage_without_checkpoints_is_refused(run: Run, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    shutil.rmtree(folder / "seed-4" / "stage-1")

    with pytest.raises(InputError, match="has no checkpoint in stage 1 of seed 4; repeat the iml"):
        GridSelection(runs=(Run.load(folder),)).check()


def test_a_seed_that_a_run_lacks_is_refused(run: Run):
    with pytest.raises(InputError, match="has no seed 9; choose one of 3, 4"):
        GridSelection(runs=(run,), seeds=(3, 9)).check()


def test_a_run_is_named_once(run: Run):
    with pytest.raises(InputError, match="a run was named twice"):
        GridSelection(runs=(run, run)).check()


def test_runs_of_different_layers_make_no_grid(run: Run, make_run: Callable[..., Run]):
    with pytest.raises(InputError, match=r"the runs' layers differ \(.* has 2, .* has 1\)"):
        GridSelection(runs=(run, make_run(3, 4, layers=1))).check()


def test_runs_of_different_seeds_make_no_grid_unless_common_ones_are_named(
    run: Run, make_run: Callable[..., Run]
):
    other = make_run(4, 5, word_order="ate")

    with pytest.raises(InputError, match=r"the runs' seeds differ \(.*3, 4; .*4, 5\); name those"):
        GridSelection(runs=(run, other)).check()
    GridSelection(runs=(run, other), seeds=(4,)).check()


def test_an_unfinished_run_is_refused(run: Run, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    unfinished = Run.load(folder)
    unfinished.info["finished"] = None

    with pytest.raises(InputError, match="is not finished; repeat the iml run command"):
        GridSelection(runs=(unfinished,)).check()
