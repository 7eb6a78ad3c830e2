from collections.abc import Callable

import pytest

from data.rows import Row, SeedData
from data.statements import RenderedText
from data.tasks.iml import SUBSETS
from data.tokens import word_tokenizer
from data.vocabulary import Kind, Role, Split
from interp.explorer import explore
from interp.explorer.shelf import SeedRows
from interp.explorer.view import View
from interp.explorer.widgets import Explorer
from interp.hooked.model import HookedModel
from training.designs import recipe_design
from training.runs.run import Run

WORDS = tuple(f"w{i}" for i in range(37))


def _question_row(alias: str, question: str, answer: str, *, subset: str = "D5_CONS") -> Row:
    text = f"w0 {alias} {question} {answer}"
    spans, start = {}, 3
    for role, word in ((Role.ALIAS, alias), (Role.QUESTION, question), (Role.ANSWER, answer)):
        spans[role] = (start, start + len(word))
        start += len(word) + 1
    rendered = RenderedText(text=text, answer_span=spans[Role.ANSWER], spans=spans)
    return Row(
        row_id=text, subset=SUBSETS[subset], split=Split.TEST, kind=Kind.QA, rendered=rendered,
        alias=alias, entity=None, tag=None, question=question,
    )  # fmt: skip


@pytest.fixture(scope="session")
def word_rows() -> SeedRows:
    """Questions about three aliases."""
    rows = tuple(_question_row(f"w{i}", "w9", f"w{10 + i}") for i in (1, 2, 3))
    return SeedRows(
        SeedData(rows=rows, words=WORDS), word_tokenizer(WORDS), recipe_design("alias-toy")
    )


def _view_of(model: HookedModel, rows: SeedRows) -> View:
    asked = [row for about in rows.subjects["D5_CONS"].values() for row in about]
    question, corrupted = rows.tokenized(asked)[:2]
    return View(model=model, rows=rows, question=question, corrupted=corrupted)


@pytest.fixture(scope="session")
def view_of() -> Callable[[HookedModel, SeedRows], View]:
    """Makes a view of the first question, with the second one corrupted."""
    return _view_of


@pytest.fixture(scope="session")
def question_row() -> Callable[..., Row]:
    """Makes a question `w0 <alias> <question> <answer>`."""
    return _question_row


@pytest.fixture(scope="module")
def explorer(tiny_run: Run) -> Explorer:
    """A board of the tiny run; each test finds it at the first options."""
    return explore(tiny_run)


@pytest.fixture(autouse=True)
def at_the_first_view(request: pytest.FixtureRequest) -> None:
    if "explorer" in request.fixturenames:
        explorer = request.getfixturevalue("explorer")
        explorer.search.value = ""
        explorer.set_cells(())
        for name, menu in explorer.menus.items():
            if name not in ("run", "against"):
                menu.value = menu.options[0][1]
