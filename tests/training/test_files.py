import hashlib
import json
import os
import random
from pathlib import Path

import pandas as pd
import pytest

from data.errors import DamagedError, InputError
from training.files import (
    MANIFEST,
    damage,
    new_folder,
    read_json,
    remove_leftovers,
    require_writable,
    write_bytes,
    write_json,
    write_manifest,
    write_table,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished folder of three files."""
    path = tmp_path / "folder"
    rng = random.Random(0)
    with new_folder(path) as temporary:
        for name in ("weights.bin", "config.json", "table.bin"):
            (temporary / name).write_bytes(rng.randbytes(5000))
    return path


def mutate(path: Path, rng: random.Random) -> None:
    """Flips a bit, cuts the file, empties it, zeroes a stretch, or deletes it."""
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    how = rng.choice(["flip", "cut", "empty", "zero", "delete"])
    match how:
        case "flip":
            content[place] ^= 1 << rng.randrange(8)
        case "cut":
            content = content[:place]
        case "empty":
            content = bytearray()
        case "zero":
            content[place : place + 64] = bytes(len(content[place : place + 64]))
            content[place] = 0 if path.read_bytes()[place] else 1
    path.write_bytes(content)
    if how == "delete":
        path.unlink()


def test_new_folder_appears_whole_with_the_checksum_of_every_file(folder: Path) -> None:
    digests = json.loads((folder / MANIFEST).read_text())
    assert digests == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("config.json", "table.bin", "weights.bin")
    }
    assert damage(folder) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_interrupted_folder_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "folder") as temporary:
            (temporary / "weights.bin").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_folder_is_hidden_until_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "folder") as temporary:
        (temporary / "weights.bin").write_bytes(b"half")
        assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_leftovers_of_a_killed_write_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".lock", ".run.json.swp", "run.json", "step-3"):
        (tmp_path / name).write_text("kept")
    (tmp_path / ".run.json.4711").write_text("left")
    (tmp_path / ".step-8.4711").mkdir()
    (tmp_path / ".step-8.4711" / "weights.bin").write_text("left")
    remove_leftovers(tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [".lock", ".run.json.swp", "run.json", "step-3"]


@pytest.mark.parametrize("seed", range(60))
def test_mutation_is_reported_with_the_files_name(seed: int, folder: Path) -> None:
    rng = random.Random(seed)
    path = rng.choice(sorted(folder.iterdir()))
    mutate(path, rng)
    problems = damage(folder)
    # A changed manifest accuses the files that it no longer lists, or itself.
    assert problems
    assert path.name == MANIFEST or [str(path) in problem for problem in problems] == [True]


def test_swapped_added_and_listed_files_are_told_apart(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "swap")
    (folder / "config.json").rename(folder / "weights.bin")
    (folder / "swap").rename(folder / "config.json")
    (folder / "added").write_text("new")
    (folder / ".hidden").write_text("nobody's")
    assert damage(folder) == [
        f"{folder}/config.json does not match its checksum",
        f"{folder}/weights.bin does not match its checksum",
        f"{folder}/added is not in the manifest",
    ]


def test_failed_write_keeps_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table"
    write_bytes(path, b"old")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="the disk is full: 3 bytes of"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["table"]


def test_json_with_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", None])
def test_unreadable_json_is_damage(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_table_survives_with_its_types_and_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"seed": [1, 2], "name": ["a", "b"], "value": [0.5, 1.0]})
    write_table(tmp_path / "a.parquet", table)
    write_table(tmp_path / "b.parquet", table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_file_in_the_place_of_a_folder_is_refused_and_nothing_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="is a file, not a folder"):
            require_writable(path)
    require_writable(tmp_path / "new" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="not writable"):
        require_writable(tmp_path / "locked" / "run")


def test_manifest_lists_only_visible_files_directly_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / ".lock").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("")
    write_manifest(tmp_path)
    assert list(read_json(tmp_path / MANIFEST)) == ["file"]
