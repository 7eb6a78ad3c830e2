import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import InputError
from data.hub import INDEX, ModelFiles, find_folder

NAME = "someone/some-model"


def model_folder(folder: Path, *files: str) -> Path:
    for name in ("config.json", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def cached_snapshot(cache: Path, *files: str) -> Path:
    """What `huggingface_hub` leaves behind after a download."""
    stored = cache / "models--someone--some-model"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("0" * 40)
    return model_folder(stored / "snapshots" / ("0" * 40), *files)


def find_in_new_process(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Looks a hub model up; prints its folder, or the error and the seconds until then."""
    program = (
        "import time; start = time.perf_counter()\n"
        "from data.errors import InputError\n"
        "from data.hub import ModelFiles, find_folder\n"
        "try:\n"
        f"    print(find_folder({NAME!r}, ModelFiles.WEIGHTS))\n"
        "except InputError as error:\n"
        "    print(error); print(time.perf_counter() - start)\n"
    )
    settings = {"HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(cache), **environment}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(params=["closed", "silent"])
def dead_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """A port that nobody listens at, or at which nobody ever answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_hub_name_without_network_fails_at_once_with_one_line(
    dead_endpoint: str, tmp_path: Path
) -> None:
    said = find_in_new_process(tmp_path, HF_ENDPOINT=dead_endpoint, NO_PROXY="*")
    message, seconds = said.stdout.splitlines()
    assert message == (
        f"there is no folder {NAME}, and {dead_endpoint} cannot be reached; download the model "
        "elsewhere and give its folder: --set model=FOLDER"
    )
    # 2 s on an idle machine; importing takes a while on a busy one.
    assert float(seconds) < 4
    assert said.stderr == ""


def test_cached_hub_model_needs_no_network(tmp_path: Path) -> None:
    folder = cached_snapshot(tmp_path, "model.safetensors")
    said = find_in_new_process(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert Path(said.stdout.strip()).samefile(folder)


def test_cached_hub_model_without_its_weights_is_not_enough(tmp_path: Path) -> None:
    cached_snapshot(tmp_path, "tokenizer.json")
    said = find_in_new_process(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "cannot be reached" in said.stdout


def test_local_folder_is_found(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "model.safetensors", "tokenizer.json")
    for needed in ModelFiles:
        assert find_folder(str(folder), needed) == folder


def test_folder_with_every_shard_is_found(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "a.safetensors", "b.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"x": "a.safetensors"}}))
    assert find_folder(str(folder), ModelFiles.WEIGHTS) == folder


@pytest.mark.parametrize(
    ("files", "needed", "message"),
    [
        ((), ModelFiles.WEIGHTS, "holds no weights; save them as model.safetensors"),
        (("pytorch_model.bin",), ModelFiles.WEIGHTS, "no weights but pickled ones"),
        ((INDEX,), ModelFiles.WEIGHTS, "damaged model.safetensors.index.json"),
        (("model.safetensors",), ModelFiles.TOKENIZER, "holds no tokenizer"),
    ],
    ids=["config only", "pickle", "empty index", "no tokenizer"],
)
def test_folder_that_lacks_a_part_is_refused(
    files: tuple[str, ...], needed: ModelFiles, message: str, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path, *files)
    with pytest.raises(InputError, match=message):
        find_folder(str(folder), needed)


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"lacks the weights b\.safetensors"):
        find_folder(str(folder), ModelFiles.WEIGHTS)


def test_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json; give"):
        find_folder(str(tmp_path), ModelFiles.WEIGHTS)


@pytest.mark.parametrize("location", ["pythia", "a/b/c", "/no/such/folder", "../a"])
def test_what_is_neither_folder_nor_hub_name_is_refused_without_network(location: str) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        find_folder(location, ModelFiles.CONFIG)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"weight_map": ["a"]}',
        '{"weight_map": {"x": 5}}',
        '{"weight_map": {"x": ["a"]}}',
        "[" * 100_000,
        "9" * 5_000,
    ],
    ids=["list", "no map", "number", "list of names", "deep", "huge"],
)
def test_index_of_any_shape_or_depth_is_refused_in_a_line(content: str, tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "a.safetensors")
    (folder / INDEX).write_text(content)
    with pytest.raises(InputError, match=r"has a damaged .*; copy the folder again"):
        find_folder(str(folder), ModelFiles.WEIGHTS)
