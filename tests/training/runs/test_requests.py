import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import DamagedError, InputError
from training.runs.info import read_info
from training.runs.requests import RunRequest
from training.runs.run import Run


def request_of(run: Run, folder: Path, seeds: tuple[int, ...] = (1000, 1001)) -> RunRequest:
    return RunRequest(config=run.config, folder=folder, seeds=seeds)


def test_new_folder_misses_every_seed(tiny_run: Run, tmp_path: Path) -> None:
    request = request_of(tiny_run, tmp_path / "new")
    request.check()
    assert request.missing_seeds() == [1000, 1001]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("seeds", "missing"), [((1000,), []), ((1000, 1001), []), ((1001, 1002, 5), [5, 1002])]
)
def test_finished_run_misses_what_it_was_never_asked_for(
    seeds: tuple[int, ...], missing: list[int], tiny_run: Run
) -> None:
    request = request_of(tiny_run, tiny_run.folder, seeds)
    request.check()
    assert request.missing_seeds() == missing


def test_begun_run_is_unfinished_and_misses_what_others_asked_for(
    tiny_run: Run, copied_run: Path
) -> None:
    request_of(tiny_run, copied_run, (1002,)).begin()
    listed = json.loads((copied_run / "manifest.json").read_text())
    assert set(listed) - {"."} == {"run.json", "metrics.parquet", "summary.json"}
    info = read_info(copied_run)
    assert (info["seeds"], info["finished"]) == ([1000, 1001, 1002], None)
    assert info["started"] == tiny_run.info["started"]
    assert request_of(tiny_run, copied_run, (1000,)).missing_seeds() == [1002]


@pytest.mark.parametrize("name", ["manifest.json", "metrics.parquet", "summary.json"])
def test_run_without_a_table_or_manifest_was_not_written_to_its_end(
    name: str, tiny_run: Run, copied_run: Path
) -> None:
    (copied_run / name).unlink()
    request = request_of(tiny_run, copied_run)
    request.check()
    assert request.missing_seeds() == [1000, 1001]


def test_folder_with_locks_only_counts_as_empty(tiny_run: Run, tmp_path: Path) -> None:
    # A run killed before its first file leaves its locks behind, and must be resumable.
    (tmp_path / "null").mkdir()
    (tmp_path / ".lock").write_text("")
    (tmp_path / "null" / ".lock").write_text("")
    request_of(tiny_run, tmp_path).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 1}, r"holds another run \(layers=2, not 1\); choose another folder"),
        ({"layers": 1, "heads": 1}, r"layers=2, not 1 and 1 more"),
        ({"shuffle_tags": True}, "shuffle_tags=False, not True"),
    ],
)
def test_other_parameters_in_the_same_folder_are_refused(
    changes: dict, message: str, tiny_run: Run
) -> None:
    from training.recipes import find_recipe

    config = find_recipe("alias-toy")(**{**tiny_run.config.parameters, **changes})
    with pytest.raises(InputError, match=message):
        replace(request_of(tiny_run, tiny_run.folder), config=config).check()


def test_other_recipe_in_the_same_folder_is_refused(tiny_run: Run) -> None:
    from training.recipes import find_recipe

    request = replace(request_of(tiny_run, tiny_run.folder), config=find_recipe("source-toy")())
    with pytest.raises(InputError, match="recipe alias-toy, not source-toy"):
        request.check()


def test_folder_of_something_else_is_refused(tiny_run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="is not empty and no run folder"):
        request_of(tiny_run, tmp_path).check()


@pytest.mark.parametrize("name", ["new", "seed-1000", "seed-1000/new", "new/null"])
def test_folder_within_that_of_another_run_is_refused(name: str, tiny_run: Run) -> None:
    with pytest.raises(InputError, match=r"which has a run\.json|is not empty and no run folder"):
        request_of(tiny_run, tiny_run.folder / name).check()


def test_null_twin_may_come_later(tiny_run: Run, copied_run: Path) -> None:
    shutil.rmtree(copied_run / "null")
    request_of(tiny_run, copied_run).null_twin().check()


@pytest.mark.parametrize("name", ["metrics.parquet", "summary.json"])
def test_damaged_table_is_not_vouched_for_by_a_new_manifest(
    name: str, tiny_run: Run, copied_run: Path
) -> None:
    path = copied_run / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for seeds in ((1000,), (1000, 1001, 1002)):
        with pytest.raises(DamagedError, match=f"{name} does not match its checksum; delete it"):
            request_of(tiny_run, copied_run, seeds).check()


def test_damaged_checkpoint_names_the_file_and_what_to_delete(
    tiny_run: Run, copied_run: Path
) -> None:
    (copied_run / "seed-1001/stage-1/step-0/config.json").write_text("{}")
    with pytest.raises(
        DamagedError, match=r"step-0/config\.json does not match .*; delete .*/seed-1001 and run"
    ):
        request_of(tiny_run, copied_run).check()


def test_seed_that_cannot_be_drawn_is_refused_before_the_first_is_trained(
    mini, tmp_path: Path
) -> None:
    # Of 8 entities, some seed gives one of them to more than half of D9's two aliases.
    request = RunRequest(config=mini(alpha=0.8), folder=tmp_path / "run", seeds=tuple(range(40)))
    with pytest.raises(InputError, match="no false definitions exist"):
        request.check()
    assert not request.folder.exists()


def test_rows_that_do_not_fit_a_block_are_refused(mini, tmp_path: Path) -> None:
    for block_size in (4, 5):
        config = mini(loss_policy="all", block_size=block_size)
        request = RunRequest(config=config, folder=tmp_path / "run", seeds=(0,))
        if block_size == 5:
            request.check()
        else:
            with pytest.raises(InputError, match="use block_size=5 or more"):
                request.check()


def test_null_twin_has_the_same_seeds_and_shuffled_tags(tiny_run: Run, tmp_path: Path) -> None:
    twin = request_of(tiny_run, tmp_path).null_twin()
    assert (twin.folder, twin.seeds) == (tmp_path / "null", (1000, 1001))
    changed = {
        name
        for name, value in twin.config.parameters.items()
        if tiny_run.config.parameters[name] != value
    }
    assert changed == {"shuffle_tags"}
    with pytest.raises(InputError, match="leave out --with-null"):
        twin.null_twin()


def test_newer_format_is_refused(tiny_run: Run, copied_run: Path) -> None:
    path = copied_run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 3}))
    with pytest.raises(InputError, match="install a newer iml-workbench"):
        request_of(tiny_run, copied_run).check()
