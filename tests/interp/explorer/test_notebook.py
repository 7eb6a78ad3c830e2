import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.tasks.alias_toy import IMLConfig
from data.tasks.iml import SUBSETS
from interp.explorer import explore
from interp.explorer.board import DRAW, board_program
from interp.explorer.choice import Choice, first_choice, settle
from interp.explorer.grid import cells_of_rows
from interp.explorer.shelf import KEPT_MODELS, CheckpointPlace, Shelf
from interp.explorer.tables import TOP
from interp.explorer.texts import error_html, texts_html
from interp.explorer.widgets import Explorer
from tests.interp.explorer.boards import drawn
from training.runs.run import Run

SECONDS = 0.5
"""What an update may take of the processor, garbage collection aside."""


def test_it_begins_at_the_end_of_stage_2_with_a_reliable_definition(tiny_run: Run) -> None:
    explorer = explore(tiny_run)
    choice = explorer.choice
    assert (choice.seed, choice.stage, choice.subset) == (1000, 2, "D5_CONS")
    assert choice.step == tiny_run.steps(1000, 2)[-1]
    assert str(explorer.menus["alias"].label) in str(explorer.texts.value)


def test_it_begins_where_it_is_told_to(tiny_run: Run) -> None:
    rows = tiny_run.tokenized_rows(1001)
    alias = next(row.row.alias for row in rows if row.row.subset.name == "D6_CONS")
    explorer = explore(
        tiny_run, seed=1001, stage=1, step=0, subset="D6_CONS", alias=alias, question="attr1"
    )
    assert explorer.view.question.row.alias == alias
    assert explorer.view.question.row.question == "attr1"
    assert explorer.choice.place == CheckpointPlace(run=0, seed=1001, stage=1, step=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": 7}, "no seed 7; choose one of 1000, 1001"),
        ({"stage": 3}, "no stage 3"),
        ({"step": 12345}, "no step 12345 here; choose one of 0"),
        ({"subset": "D7"}, "no subset D7 here; choose one of D1_CONS_QA1"),
        ({"alias": "nobody"}, "no alias nobody here; choose one of"),
        ({"question": "shoe size"}, "no question shoe size here; choose one of attr0"),
    ],
)
def test_what_is_not_in_the_run_is_refused_in_one_line(
    tiny_run: Run, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        explore(tiny_run, **wrong)
    assert "\n" not in str(error.value)


def test_no_run_at_all_is_refused() -> None:
    for nothing in ([], "runs/alias-toy", 3, None, [3]):
        with pytest.raises(InputError, match="takes a run or several, or a hooked model") as error:
            explore(nothing)  # pyright: ignore[reportCallIssue, reportArgumentType]
        assert "\n" not in str(error.value)


def test_an_unfinished_run_is_refused(tiny_run: Run) -> None:
    unfinished = replace(tiny_run, info=tiny_run.info | {"finished": None})
    with pytest.raises(InputError, match="is not finished"):
        explore(unfinished)


def test_a_run_without_checkpoints_is_refused(copied_run: Path) -> None:
    for folder in copied_run.glob("seed-*/stage-*"):
        folder.rename(folder.with_name(f"gone-{folder.name}"))
    with pytest.raises(InputError, match="has no checkpoint of seed 1000"):
        explore(Run.load(copied_run))


def test_rows_that_a_model_was_not_trained_on_are_refused(tiny_run: Run) -> None:
    assert isinstance(tiny_run.config.data, IMLConfig)
    data = replace(tiny_run.config.data, n_entities=11)
    other = replace(tiny_run, config=replace(tiny_run.config, data=data))
    step = tiny_run.steps(1000, 2)[-1]
    with pytest.raises(InputError, match="draws other rows for seed 1000"):
        Shelf([other]).model(CheckpointPlace(run=0, seed=1000, stage=2, step=step))


def test_models_are_kept_but_not_all(tiny_run: Run) -> None:
    shelf = Shelf([tiny_run])
    places = [
        CheckpointPlace(run=0, seed=seed, stage=stage, step=step)
        for seed in tiny_run.seeds
        for stage in (1, 2)
        for step in tiny_run.steps(seed, stage)
    ][: KEPT_MODELS + 1]
    assert len(places) == KEPT_MODELS + 1
    models = [shelf.model(place) for place in places]
    assert shelf.model(places[-1]) is models[-1]
    assert shelf.model(places[0]) is not models[0]


def test_a_choice_keeps_the_alias_place_and_the_question_over_seeds(tiny_run: Run) -> None:
    shelf = Shelf([tiny_run])
    chosen = settle(shelf, Choice(seed=1000, alias=2, question="attr1")).choice
    settled = settle(shelf, replace(chosen, seed=1001))
    assert (settled.choice.alias, settled.choice.question) == (2, "attr1")
    names = {seed: list(shelf.rows(0, seed).subjects["D5_CONS"]) for seed in (1000, 1001)}
    assert settled.question.row.alias == names[1001][2] != names[1000][2]


def test_the_corrupted_question_is_the_same_about_another_alias_answered_otherwise(
    tiny_run: Run,
) -> None:
    shelf = Shelf([tiny_run])
    menu = settle(shelf, first_choice(shelf))
    assert menu.options["against"]
    for _, place in menu.options["against"]:
        corrupted = settle(shelf, replace(menu.choice, against=place)).corrupted
        assert corrupted is not None
        assert corrupted.row.question == menu.question.row.question
        assert corrupted.row.alias != menu.question.row.alias
        assert corrupted.row.rendered.answer != menu.question.row.rendered.answer


def test_every_subset_with_questions_can_be_looked_at(explorer: Explorer) -> None:
    names = [name for name, _ in explorer.menus["subset"].options]
    assert names == [n for n in SUBSETS if n in names]
    assert "QA4_NOT_REPLACED" in names
    for name in names:
        explorer.menus["subset"].value = name
        assert explorer.view.question.row.subset.name == name
        assert explorer.message.value == ""


def test_runs_are_told_apart_by_word_order_and_folder(tiny_run: Run) -> None:
    null = tiny_run.null
    assert null is not None
    explorer = explore([tiny_run, null])
    assert [label for label, _ in explorer.menus["run"].options] == ["TAE (run)", "TAE (null)"]
    explorer.menus["run"].value = 1
    source: Any = explorer.source
    assert source.shelf.model(explorer.choice.place) is explorer.view.model
    assert explorer.choice.run == 1
    shown = explorer.widget.children[0].children  # pyright: ignore
    assert explorer.menus["run"] in shown
    assert explore(tiny_run).menus["run"].options == (("TAE (run)", 0),)


def test_what_is_shown_does_not_depend_on_the_way_there(tiny_run: Run) -> None:
    moved, fresh = explore(tiny_run), explore(tiny_run, subset="D6_CONS", step=0)
    moved.menus["step"].value = 0
    moved.toggle(cells_of_rows(moved.grid, moved.view)[0])
    moved.menus["subset"].value = "D6_CONS"
    moved.set_cells(())
    assert drawn(moved) == drawn(fresh)


def test_one_head_is_shown_alone(explorer: Explorer) -> None:
    n_heads = explorer.view.model.n_layers * explorer.view.model.n_heads
    assert len(drawn(explorer)["heads"]["data"]) == n_heads
    explorer.menus["head"].value = (1, 0)
    assert len(drawn(explorer)["heads"]["data"]) == 1
    assert drawn(explorer)["heads"]["layout"]["annotations"][0]["text"] == "layer 1, head 0"


def test_a_damaged_checkpoint_is_reported_and_the_view_stays(copied_run: Path) -> None:
    explorer = explore(Run.load(copied_run), step=0)
    view, last = explorer.view, explorer.menus["step"].options[-1][1]
    weights = copied_run / "seed-1000" / "stage-2" / f"step-{last}" / "model.safetensors"
    weights.write_bytes(b"<b>nonsense</b>")
    explorer.menus["step"].value = last
    assert "model.safetensors" in explorer.message.value
    assert explorer.view is view
    assert explorer.menus["step"].value == 0
    explorer.menus["step"].value = explorer.menus["step"].options[1][1]
    assert explorer.message.value == ""


def test_the_text_says_whether_a_definition_is_true(explorer: Explorer) -> None:
    explorer.menus["subset"].value = "D5_CONS"
    assert "reliable tag; true</span>" in str(explorer.texts.value)
    explorer.menus["subset"].value = "D2_INCONS_QA2"
    assert "unreliable tag; false" in str(explorer.texts.value)
    explorer.menus["subset"].value = "QA3"
    assert "<i" in str(explorer.texts.value)
    assert "none</i>" in str(explorer.texts.value)


def test_texts_are_escaped(explorer: Explorer) -> None:
    assert "a &lt;script&gt; &amp; b</span>" in error_html("a <script> & b")
    assert error_html("") == ""
    row = explorer.view.question.row
    rendered = replace(row.rendered, text=row.rendered.text.replace("ask", "<i>"))
    question = replace(explorer.view.question, row=replace(row, rendered=rendered))
    html = texts_html(replace(explorer.view, question=question))
    assert "&lt;i&gt; " in html
    assert "<i>" not in html


def test_numbers_that_are_none_reach_the_browser_as_json(explorer: Explorer) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert explorer.board is not None
    for figure in explorer.board.figures.values():
        json.loads(figure, parse_constant=refuse)
    assert drawn(explorer)["answers"]["data"][1]["y"] == [None] * TOP


def test_the_browsers_program_asks_nobody_for_anything() -> None:
    assert "export default" in board_program()
    assert "Plotly.react" in DRAW
    assert (
        DRAW.count("import(") == DRAW.count("import(address)") == 1
    )  # of a blob of the page's own
    assert "URL.createObjectURL(new Blob(" in DRAW
    assert "http" not in DRAW


@pytest.mark.slow  # its limit is one of time, which other work on the machine uses up
def test_every_update_takes_half_a_second_at_most(explorer: Explorer) -> None:
    def taken(action: Callable[[], object]) -> float:
        start = time.process_time()
        action()
        return time.process_time() - start

    def move(name: str) -> None:
        menu = explorer.menus[name]
        values = [value for _, value in menu.options]
        menu.value = values[(values.index(menu.value) + 1) % len(values)]

    changing = [name for name, menu in explorer.menus.items() if len(menu.options) > 1]
    assert len(changing) >= 9
    seconds: dict[str, list[float]] = {}
    for _ in range(2):
        for name in changing:
            seconds.setdefault(name, []).append(taken(lambda: move(name)))  # noqa: B023
        cell = cells_of_rows(explorer.grid, explorer.view)[0]
        seconds.setdefault("click", []).append(taken(lambda: explorer.toggle(cell)))  # noqa: B023
        seconds.setdefault("undo", []).append(taken(explorer.reset_button.click))
    # The better of two: imports and the drawing of rows anew belong to the first.
    assert {name: t for name, t in seconds.items() if min(t) > SECONDS} == {}
