"""What clicks, menus and the search do to a board, and what is said of it."""

import json
from dataclasses import replace

import torch

from interp.explorer.grid import cells_of_rows
from interp.explorer.view import read_view
from interp.explorer.widgets import Explorer
from tests.interp.explorer.boards import click, drawn


def test_a_click_elsewhere_ablates_nothing(explorer: Explorer) -> None:
    click(explorer, "heads")
    click(explorer, "answers", 3)
    assert explorer.cells == ()


def test_a_second_click_takes_an_ablation_back(explorer: Explorer) -> None:
    before = drawn(explorer)
    click(explorer)
    cell = cells_of_rows(explorer.grid, explorer.view)[0]
    assert explorer.cells == (cell,)
    assert not explorer.reset_button.disabled
    during = drawn(explorer)
    assert during["answers"] != before["answers"]
    assert during["lens"] != before["lens"]
    assert len(during["grid"]["layout"]["shapes"]) == 1
    click(explorer)
    assert explorer.cells == ()
    after = drawn(explorer)
    assert after == before


def test_the_button_takes_every_ablation_back(explorer: Explorer) -> None:
    for cell in cells_of_rows(explorer.grid, explorer.view)[:3]:
        explorer.toggle(cell)
    assert len(explorer.cells) == 3
    explorer.reset_button.click()
    assert explorer.cells == ()
    assert explorer.reset_button.disabled


def test_a_change_stays_at_another_checkpoint_and_that_is_said(explorer: Explorer) -> None:
    cell = cells_of_rows(explorer.grid, explorer.view)[1]
    explorer.toggle(cell)
    assert explorer.note.value == ""
    explorer.menus["step"].value = explorer.menus["step"].options[1][1]
    assert explorer.cells == (cell,)
    step = explorer.menus["step"].value
    assert f"kept, now at seed 1000, stage 1, step {step}: stream" in explorer.note.value
    explorer.menus["head"].value = (0, 0)
    assert explorer.note.value == ""


def test_a_change_does_not_go_to_another_seed_and_that_is_said(explorer: Explorer) -> None:
    explorer.toggle(cells_of_rows(explorer.grid, explorer.view)[1])
    explorer.menus["seed"].value = 1001
    assert explorer.cells == ()
    assert "taken back: stream before layer 0 at the" in explorer.note.value
    assert "a part of one seed" in explorer.note.value
    assert explorer.reset_button.disabled
    assert drawn(explorer) == drawn(_at_the_same_place(explorer))


def _at_the_same_place(explorer: Explorer) -> Explorer:
    choice = explorer.choice
    fresh = Explorer(explorer.source, choice)
    for name in ("head", "direction", "edit"):
        fresh.menus[name].value = explorer.menus[name].value
    return fresh


def test_a_change_that_another_prompt_has_no_cell_for_is_taken_back(explorer: Explorer) -> None:
    explorer.toggle(cells_of_rows(explorer.grid, explorer.view)[0])
    explorer.menus["subset"].value = "QA4_NOT_REPLACED"  # has no aliases
    assert explorer.cells == ()
    assert "the prompt has no such cell" in explorer.note.value


def test_a_part_of_a_name_shortens_the_menu_of_aliases(explorer: Explorer) -> None:
    names = [name for name, _ in explorer.menus["alias"].options]
    wanted = names[3]
    explorer.search.value = wanted[:-1].upper()
    shown = [name for name, _ in explorer.menus["alias"].options]
    assert shown == [name for name in names if wanted[:-1] in name]
    assert explorer.view.question.row.alias == shown[0]
    explorer.search.value = ""
    assert [name for name, _ in explorer.menus["alias"].options] == names
    assert explorer.view.question.row.alias == shown[0]


def test_what_no_alias_contains_is_said_and_the_menu_stays(explorer: Explorer) -> None:
    options = explorer.menus["alias"].options
    explorer.search.value = "<nobody>"
    assert "no alias contains &#x27;&lt;nobody&gt;&#x27;" in explorer.message.value
    assert explorer.menus["alias"].options == options
    explorer.menus["seed"].value = 1001  # whose aliases it does not hold either
    assert len(explorer.menus["alias"].options) == len(options)


def test_a_click_patches_the_corrupted_prompt_in(explorer: Explorer) -> None:
    explorer.menus["edit"].value = "corrupted"
    cells = cells_of_rows(explorer.grid, explorer.view)
    alias = [c for c in cells if c.site.name == "resid_pre" and c.site.layer == 0]
    explorer.set_cells(tuple(c for c in alias if c.role == "alias_last"))
    after = read_view(explorer.view, explorer.cells, explorer.edit)
    assert explorer.view.corrupted is not None
    other = replace(explorer.view, question=explorer.view.corrupted, corrupted=None)
    assert torch.allclose(after.log_probs, read_view(other).log_probs, atol=1e-5)
    assert "(from the corrupted prompt)" in drawn(explorer)["answers"]["layout"]["meta"]["note"]


def test_every_control_has_a_name_and_says_what_it_does(explorer: Explorer) -> None:
    typing = explorer.typing
    controls = [
        *explorer.menus.values(), explorer.search, explorer.reset_button, *typing.fields.values(),
        typing.ask, typing.back,
    ]  # fmt: skip
    names = [control.description for control in controls]
    assert all(names)
    assert len(set(names)) == len(names)
    assert all(len(control.tooltip) > 10 for control in controls)
    assert explorer.menus["against"].description == "corrupted prompt"


def test_every_figure_has_a_title_and_names_of_its_axes(explorer: Explorer) -> None:
    for name, figure in drawn(explorer).items():
        layout = figure["layout"]
        assert layout["meta"]["title"], name
        titles = {axis[0]: layout[axis].get("title", {}).get("text") for axis in layout
                  if axis.startswith(("xaxis", "yaxis")) and "title" in layout[axis]}  # fmt: skip
        assert titles.keys() == {"x", "y"}, name
    assert "guessing among the" in json.dumps(drawn(explorer)["answers"])
    assert "guessing among the" in json.dumps(drawn(explorer)["lens"])
