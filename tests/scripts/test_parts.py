"""What was cut into parts comes back to the byte, and nothing comes of parts that are not whole."""

import json
from pathlib import Path

import pytest

from scripts.parts import INDEX, MIB, main

Cut = tuple[Path, Path]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    """A folder of 2.5 MiB and its parts of one."""
    folder, parts = tmp_path / "model", tmp_path / "carried"
    (folder / "inner").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "weights").write_bytes(bytes(range(256)) * (10 * MIB // 4 // 256))
    (folder / "inner" / "config.json").write_text("{}")
    assert main(["split", str(folder), str(parts), "--mib", "1"]) == 0
    return folder, parts


def files_of(folder: Path) -> dict[str, bytes]:
    paths = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder"
        for path in paths
    }


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_a_folder_comes_back(cut: Cut, tmp_path: Path) -> None:
    folder, parts = cut
    sizes = [path.stat().st_size for path in sorted(parts.glob("part-*"))]
    assert len(sizes) == 3
    assert sizes[:2] == [MIB, MIB]
    assert 0 < sizes[2] < MIB
    assert main(["join", str(parts), str(tmp_path / "deep" / "again")]) == 0
    assert files_of(tmp_path / "deep" / "again") == files_of(folder)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["again"]


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB, 2 * MIB + 1])
def test_a_file_comes_back(size: int, tmp_path: Path) -> None:
    file, parts, again = (tmp_path / name for name in ("model.gguf", "carried", "again"))
    file.write_bytes(b"abc" * (size // 3) + b"d" * (size % 3))
    assert main(["split", str(file), str(parts), "--mib", "1"]) == 0
    assert len(list(parts.glob("part-*"))) == -(-size // MIB)
    assert main(["join", str(parts), str(again)]) == 0
    assert again.read_bytes() == file.read_bytes()


def test_parts_that_are_not_whole_are_refused(
    cut: Cut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, parts = cut
    second, again = parts / "part-0001", tmp_path / "again"
    content = second.read_bytes()
    join = ["join", str(parts), str(again)]

    second.unlink()
    assert "lacks part-0001 of 3 parts; carry" in refused(join, capsys)
    second.write_bytes(content[:-1])
    assert f"{second} is damaged (1,048,575 bytes, 1,048,576 were cut)" in refused(join, capsys)
    second.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"{second} is damaged" in refused(join, capsys)
    second.write_bytes(content)
    (parts / INDEX).unlink()
    assert f"there is no {parts / INDEX}" in refused(join, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carried", "model"]


@pytest.mark.parametrize("name", ["../model/weights", "/etc/passwd", "part-0001/..", 3])
def test_a_list_of_parts_that_leads_elsewhere_is_refused(
    name: object, cut: Cut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, parts = cut
    index = json.loads((parts / INDEX).read_text())
    index["parts"][0]["name"] = name
    (parts / INDEX).write_text(json.dumps(index))
    assert "is damaged; carry it" in refused(["join", str(parts), str(tmp_path / "again")], capsys)


def test_a_list_in_another_order_is_refused(
    cut: Cut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, parts = cut
    index = json.loads((parts / INDEX).read_text())
    index["parts"].reverse()
    (parts / INDEX).write_text(json.dumps(index))
    assert "is damaged" in refused(["join", str(parts), str(tmp_path / "again")], capsys)
    assert not (tmp_path / "again").exists()


def test_nothing_is_overwritten_or_left_half_written(
    cut: Cut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, parts = cut
    assert "exists" in refused(["split", str(folder), str(parts)], capsys)
    assert "exists" in refused(["join", str(parts), str(folder)], capsys)
    assert "there is no" in refused(["split", str(tmp_path / "none"), str(folder)], capsys)
    assert "lies in" in refused(["split", str(folder), str(folder / "parts")], capsys)
    assert "--mib is 0" in refused(
        ["split", str(folder), str(tmp_path / "x"), "--mib", "0"], capsys
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carried", "model"]
