"""Publications at their worst: killed anywhere, out of space, overtaken, read halfway through."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from data.errors import DamagedError, InputError
from training.files import MANIFEST, write_manifest
from training.runs.publication import (
    JOURNAL,
    LOCK,
    STAGING,
    TRIES,
    exists,
    is_published,
    listed,
    publish,
    published_damage,
    read,
    require_intact,
    told_about,
)

KilledAt = Callable[[int, Path, Callable[[], object]], bool]
TreeHash = Callable[[Path], dict[str, str]]
OLD = {"rows": b"old rows", "summary": b"old summary"}
NEW = {"rows": b"new rows", "summary": b"new summary", "vectors": b"new vectors"}


def put(folder: Path, **files: bytes) -> None:
    publish([folder], lambda: {folder: files})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two tables of one analysis and another file."""
    path = tmp_path / "run"
    put(path, **OLD, other=b"other")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """What a reader sees of the analysis."""
    return {name: read(folder / name) for name in NEW if exists(folder / name)}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_what_is_published_is_there_with_a_manifest_of_its_checksums(folder: Path) -> None:
    put(folder, **NEW)
    on_disk = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(on_disk.pop(MANIFEST))
    assert on_disk == {**NEW, "other": b"other"}
    assert manifest == {n: hashlib.sha256(c).hexdigest() for n, c in on_disk.items()}
    assert list(manifest) == sorted(manifest)


def test_killed_before_any_change_all_is_old_or_all_is_new(
    folder: Path, tmp_path: Path, killed_at: KilledAt, tree_hash: TreeHash
) -> None:
    seen = []
    n = 0
    for n in count(1):
        copy = Path(shutil.copytree(folder, tmp_path / f"copy-{n}"))
        if not killed_at(n, copy, lambda copy=copy: put(copy, **NEW)):
            break
        before = tree_hash(copy)
        seen.append(contents(copy))
        assert seen[-1] in (OLD, NEW)
        assert published_damage(copy) == []
        require_intact(copy)
        assert tree_hash(copy) == before, "a reader wrote something"

        # A copy and a move keep what was published; the next writer tidies up and loses nothing.
        moved = Path(shutil.copytree(copy, tmp_path / f"moved-{n}"))
        put(moved, other=b"again")
        assert contents(moved) == seen[-1]
        assert read(moved / "other") == b"again"
        assert published_damage(moved) == []
        assert hidden(moved) == []
        assert {name: (moved / name).read_bytes() for name in seen[-1]} == seen[-1]
    assert n > 15
    assert seen == sorted(seen, key=lambda each: each == NEW)  # old until one step, then new
    assert seen[0] == OLD
    assert seen[-1] == NEW


def test_killed_while_it_finishes_what_another_began(
    folder: Path, tmp_path: Path, killed_at: KilledAt
) -> None:
    pending = copy = folder
    for n in count(1):
        pending = Path(shutil.copytree(folder, tmp_path / f"pending-{n}"))
        assert killed_at(n, pending, lambda pending=pending: put(pending, **NEW))
        if (pending / JOURNAL / "rows").exists():
            break
    n = 0
    for n in count(1):
        copy = Path(shutil.copytree(pending, tmp_path / f"again-{n}"))
        if not killed_at(n, copy, lambda copy=copy: put(copy, other=b"again")):
            break
        assert contents(copy) == NEW
        assert read(copy / "other") in (b"other", b"again")
        assert published_damage(copy) == []
    assert n > 15
    assert hidden(copy) == []


def test_out_of_space_at_any_flush_nothing_is_lost_or_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, states = os.fsync, []
    n = 0
    for n in count(1):
        copy, left = Path(shutil.copytree(folder, tmp_path / f"copy-{n}")), n

        def full(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(28, "No space left on device")
            flush(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        try:
            put(copy, **NEW)
            break
        except OSError:
            states.append(contents(copy))
        finally:
            monkeypatch.setattr(os, "fsync", flush)
        assert states[-1] in (OLD, NEW)
        assert published_damage(copy) == []
        assert STAGING not in hidden(copy)
        assert LOCK not in hidden(copy)
        put(copy, **NEW)
        assert contents(copy) == NEW
        assert hidden(copy) == []
    assert states[0] == OLD
    assert n > 5


def test_readers_see_old_or_new_at_every_step_of_a_publication(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for name in ("replace", "rename", "rmdir", "unlink", "mkdir", "write_bytes"):
        original = getattr(Path, name)

        def watched(path: Path, *arguments, original=original, **more):
            seen.append(contents(folder))
            assert published_damage(folder) == []
            require_intact(folder)
            return original(path, *arguments, **more)

        monkeypatch.setattr(Path, name, watched)
    put(folder, **NEW)
    assert len(seen) > 10
    assert all(each in (OLD, NEW) for each in seen)
    assert seen == sorted(seen, key=lambda each: each == NEW)


def test_publication_between_two_looks_of_a_reader_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, overtaken = Path.read_bytes, []

    def overtake(path: Path) -> bytes:
        content = original(path)
        if path == folder / "rows" and not overtaken:
            overtaken.append(path)
            put(folder, **NEW)  # after the content was read, before the manifest is
        return content

    monkeypatch.setattr(Path, "read_bytes", overtake)
    assert read(folder / "rows") == NEW["rows"]
    assert overtaken


def test_whoever_was_overtaken_makes_its_files_again_from_what_is_there_now(folder: Path) -> None:
    calls = []

    def add(row: bytes) -> dict[Path, dict[str, bytes]]:
        calls.append(row)
        return {folder: {"rows": read(folder / "rows") + row}}

    def slow() -> dict[Path, dict[str, bytes]]:
        made = add(b", slow")
        if len(calls) == 1:
            publish([folder], lambda: add(b", quick"))
        return made

    publish([folder], slow)
    assert calls == [b", slow", b", quick", b", slow"]
    assert read(folder / "rows") == b"old rows, quick, slow"


def test_whoever_is_always_overtaken_makes_its_files_under_the_lock_at_last(folder: Path) -> None:
    calls = []

    def slow() -> dict[Path, dict[str, bytes]]:
        calls.append(read(folder / "other"))
        if len(calls) <= TRIES:
            put(folder, other=f"{len(calls)}".encode())
        else:
            assert (folder / LOCK).exists()
        return {folder: {"rows": b"at last"}}

    publish([folder], slow)
    assert len(calls) == TRIES + 1
    assert read(folder / "rows") == b"at last"


def test_processes_that_publish_at_once_lose_nothing(folder: Path) -> None:
    def work(name: str) -> None:
        for i in range(8):
            publish(
                [folder],
                lambda i=i: {
                    folder: {"rows": read(folder / "rows") + f" {name}{i}".encode(), name: b"own"}
                },
            )

    children = []
    for name in "abc":
        child = os.fork()
        if child == 0:
            try:
                work(name)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    while children:
        assert published_damage(folder) == []
        child, status = os.waitpid(children[0], os.WNOHANG)
        if child:
            assert status == 0
            del children[0]
    words = read(folder / "rows").decode().split()[2:]
    assert sorted(words) == sorted(f"{name}{i}" for name in "abc" for i in range(8))
    assert {"a", "b", "c"} <= set(listed(folder) or {})
    assert hidden(folder) == []


def test_two_folders_are_locked_in_one_order_and_each_changes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "another"
    publish([folder, other], lambda: {other: {"rows": b"1"}, folder: {"rows": b"2"}})
    publish([other, folder], lambda: {other: {}, folder: {"rows": b"3"}})
    assert (read(other / "rows"), read(folder / "rows")) == (b"1", b"3")


def test_a_command_vouches_for_what_it_wrote_and_for_nothing_else(folder: Path) -> None:
    (folder / "rows").write_bytes(b"old r0ws")
    (folder / "stray").write_bytes(b"stray")
    (folder / "summary").unlink()
    expected = [
        f"{folder}/rows does not match its checksum",
        f"{folder}/summary is missing",
        f"{folder}/stray is not in the manifest",
    ]
    assert published_damage(folder) == expected
    put(folder, other=b"again", more=b"more")
    assert published_damage(folder) == expected
    with pytest.raises(DamagedError, match=r"rows does not match its checksum; delete it"):
        read(folder / "rows")


def test_a_writer_is_refused_beside_a_changed_file_but_not_beside_a_lost_one(folder: Path) -> None:
    (folder / "summary").unlink()
    require_intact(folder)
    (folder / "rows").write_bytes(b"old r0ws")
    require_intact(folder, replacing=["rows"])
    with pytest.raises(DamagedError, match=r"rows does not match its checksum; delete it and"):
        require_intact(folder)


def test_a_writer_is_refused_where_nobody_can_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        require_intact(tmp_path / "file")
    with pytest.raises(InputError, match=r"/proc/run cannot be written to \(.*\); "):
        put(Path("/proc/run"), rows=b"")


def test_a_file_that_no_command_wrote_is_not_gone_on_from(folder: Path) -> None:
    (folder / "vectors").write_bytes(b"stray")
    assert is_published(folder / "rows")
    assert not is_published(folder / "nothing")
    with pytest.raises(DamagedError, match=r"vectors is not in the manifest, so no command wrote"):
        is_published(folder / "vectors")


def test_what_a_manifest_says_of_its_folder_stays(folder: Path) -> None:
    publish([folder], lambda: {folder: {"rows": b"1"}}, about=lambda path: {"null": path.name})
    put(folder, rows=b"2")
    assert told_about(folder) == {"null": "run"}
    assert "." not in (listed(folder) or {})


def test_leftovers_of_older_versions_go_and_other_hidden_files_stay(folder: Path) -> None:
    for name in (".rows.4711", ".notes"):
        (folder / name).write_text("")
    put(folder, rows=b"1")
    assert hidden(folder) == [".notes"]


def test_a_changed_file_of_a_journal_is_damage(folder: Path, killed_at: KilledAt) -> None:
    n = 0
    for n in count(1):
        assert killed_at(n, folder, lambda: put(folder, **NEW))
        if (folder / JOURNAL).exists():
            break
    (folder / JOURNAL / "rows").write_bytes(b"changed")
    assert published_damage(folder) == [f"{folder}/rows does not match its checksum"]
    put(folder, other=b"again")
    assert published_damage(folder) == [f"{folder}/rows does not match its checksum"]


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 1}', '{".": "x"}', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_none_is_damage(text: str, folder: Path) -> None:
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    assert published_damage(folder) == [f"{folder}/{MANIFEST} is unreadable"]
    for act in (lambda: put(folder, rows=b"1"), lambda: require_intact(folder)):
        with pytest.raises(DamagedError, match=r"manifest\.json is unreadable; "):
            act()


def test_an_older_manifest_is_read_and_kept_up(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"rows")
    write_manifest(tmp_path)
    put(tmp_path, summary=b"summary")
    assert published_damage(tmp_path) == []
    assert told_about(tmp_path) == {}
