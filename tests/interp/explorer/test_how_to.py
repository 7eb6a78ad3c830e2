"""What the how-to page about the explorer says can be done."""

from pathlib import Path

from interp.circuits.behaviours import LEAST_ALIASES
from interp.explorer.circuit_bench import N_NULL
from interp.explorer.circuit_tab import CircuitTab
from interp.explorer.controls import FIELDS
from interp.explorer.shelf import Shelf

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "explore-in-jupyter.md"


def test_it_names_the_fields_as_the_board_does() -> None:
    page = PAGE.read_text()
    for name in ("prompt", "answer", "corrupted"):
        assert f"*{FIELDS[name][0]}*" in page
    assert "*a click*" in page
    assert "*ask this*" in page


def test_it_names_the_circuit_tabs_controls_as_the_tab_does() -> None:
    page = PAGE.read_text()
    tab = CircuitTab(Shelf([]))
    for control in (*tab.menus.values(), tab.toggle_button, tab.often_button):
        assert f"*{control.description}*" in page
    assert f"up to {N_NULL} random choices" in page
    assert f"needs {2 * LEAST_ALIASES} aliases" in page
