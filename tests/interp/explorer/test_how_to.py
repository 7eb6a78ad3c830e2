"""What the how-to page about the explorer says can be done."""

from pathlib import Path

import pytest

from interp.explorer.controls import FIELDS
from interp.explorer.widgets import Explorer
from tests.test_documents import blocks, make_model
from training.runs.run import Run

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "explore-in-jupyter.md"


def test_its_blocks_run_and_each_shows_a_board(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "Lily\nTim\nTim Lily went to the park with her his dog mom dad"
    make_model(tmp_path / "my-model", words=[words])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "alias-toy").symlink_to(tiny_run.folder)
    monkeypatch.chdir(tmp_path)
    code = blocks(PAGE, "python")
    assert len(code) == 4
    names: dict[str, object] = {}
    for block in code:
        lines = block.rstrip().splitlines()
        start = max(i for i, line in enumerate(lines) if line.startswith("explore("))
        exec("\n".join([*lines[:start], "shown = " + "\n".join(lines[start:])]), names)
        assert isinstance(names["shown"], Explorer)


def test_it_names_the_fields_as_the_board_does() -> None:
    page = PAGE.read_text()
    for name in ("prompt", "answer", "corrupted"):
        assert f"*{FIELDS[name][0]}*" in page
    assert "*a click*" in page
    assert "*ask this*" in page
