"""What the how-to page about the explorer says can be done."""

from pathlib import Path

from interp.explorer.controls import FIELDS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "explore-in-jupyter.md"


def test_it_names_the_fields_as_the_board_does() -> None:
    page = PAGE.read_text()
    for name in ("prompt", "answer", "corrupted"):
        assert f"*{FIELDS[name][0]}*" in page
    assert "*a click*" in page
    assert "*ask this*" in page
