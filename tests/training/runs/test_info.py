import json
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import DamagedError, InputError
from training.config import Precision
from training.runs.info import FORMAT_VERSION, git_commit, installed_versions, new_info, read_info


def write(folder: Path, info: object) -> None:
    (folder / "run.json").write_text(json.dumps(info))


@pytest.fixture
def info(mini) -> dict:
    """What a new run says."""
    return new_info(mini())


def test_new_run_says_what_it_is_and_with_which_versions(info: dict, mini) -> None:
    assert info["format_version"] == FORMAT_VERSION == 2
    assert (info["recipe"], info["run_id"]) == ("alias-toy", mini().run_id)
    assert info["parameters"]["aliases_per_subset"] == 12
    assert (info["seeds"], info["started"], info["finished"]) == ([], None, None)
    assert {"python", "torch", "transformers", "iml-workbench"} <= set(info["versions"])
    assert (info["threads"], info["device"]) == (1, "cpu")


@pytest.mark.parametrize(("found", "expected"), [({"amx_bf16": True}, "bf16"), ({}, "fp32")])
def test_run_in_bfloat16_says_what_the_processor_made_of_it(
    found: dict[str, bool], expected: str, mini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found)
    config = mini()
    half = replace(config.stage1, precision=Precision.BF16)
    info = json.loads(json.dumps(new_info(replace(config, stage1=half, threads=2))))
    assert (info["multiplied_in"], info["threads"]) == (expected, 2)
    assert "multiplied_in" not in new_info(config)


def test_info_is_read_as_written(info: dict, tmp_path: Path) -> None:
    write(tmp_path, info)
    assert read_info(tmp_path) == info


def test_folder_without_a_run_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        read_info(tmp_path)


@pytest.mark.parametrize("rest", [True, False])
def test_newer_format_is_bad_input_even_if_nothing_else_is_known(
    rest: bool, info: dict, tmp_path: Path
) -> None:
    write(tmp_path, (info if rest else {}) | {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(InputError, match=r"has format 3, .* install a newer iml-workbench"):
        read_info(tmp_path)


@pytest.mark.parametrize(
    "key", ["format_version", "recipe", "parameters", "seeds", "data_sha256", "finished"]
)
def test_info_that_lacks_a_key_or_has_another_type_is_damage(
    key: str, info: dict, tmp_path: Path
) -> None:
    write(tmp_path, {name: value for name, value in info.items() if name != key})
    with pytest.raises(DamagedError, match="lacks what a run needs"):
        read_info(tmp_path)
    write(tmp_path, info | {key: 1.5})
    with pytest.raises(DamagedError, match="lacks what a run needs"):
        read_info(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_info_that_is_no_record_is_damage(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DamagedError, match=r"run\.json"):
        read_info(tmp_path)


def test_versions_are_those_installed() -> None:
    import torch

    assert installed_versions()["torch"] == torch.__version__


def test_commit_is_a_hash_or_unknown() -> None:
    commit = git_commit()
    assert commit is None or set(commit.removesuffix("-dirty")) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": ["1000"]},
        {"seeds": [True]},
        {"seeds": [-1]},
        {"seeds": [10**40]},
        {"seeds": [1000, 1000]},
        {"seeds": list(range(20_000))},
        {"data_sha256": {"x": "0"}},
        {"data_sha256": {"1000": 5}},
    ],
)
def test_seeds_and_digests_that_are_none_are_damage(
    wrong: dict, info: dict, tmp_path: Path
) -> None:
    write(tmp_path, info | wrong)
    with pytest.raises(DamagedError, match="lacks what a run needs"):
        read_info(tmp_path)
