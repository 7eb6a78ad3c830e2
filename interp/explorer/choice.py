"""What can be chosen in the explorer, given what is chosen already.

A choice that no longer fits (another seed has other aliases) moves to the nearest that does: the
alias at the same place of its list, the last step of a stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from data.errors import InputError
from data.partners import first_answer_token
from data.rows import Row
from data.tokens import TokenizedRow
from data.vocabulary import Split, Stage
from interp.explorer.shelf import CheckpointPlace, SeedRows, Shelf, is_laid_out_alike

Options = list[tuple[str, Any]]
"""What a menu shows, each entry with what it stands for."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Where somebody looks; None stands for what is shown first."""

    run: int = 0
    """The place of the run among the runs, from 0."""
    seed: int | None = None
    stage: int = int(Stage.TWO)
    step: int | None = None
    subset: str | None = None
    alias: int = 0
    """The alias by its place in the subset, from 0: other seeds' aliases have other names."""
    question: str | None = None
    against: int | None = None
    """The place of the alias that the corrupted question is about."""

    @property
    def place(self) -> CheckpointPlace:
        """The checkpoint of a settled choice."""
        assert self.seed is not None
        assert self.step is not None
        return CheckpointPlace(run=self.run, seed=self.seed, stage=self.stage, step=self.step)


@dataclass(frozen=True, kw_only=True)
class Menu:
    """A settled choice, and for each of its fields what else could be chosen.

    Of a run the choice is a `Choice`, of a person's own prompts a `PromptChoice`.
    """

    choice: Any
    options: dict[str, Options]
    question: TokenizedRow
    corrupted: TokenizedRow | None
    """Of a run the same question about another alias with another answer; None if none is."""


def settle(shelf: Shelf, choice: Choice) -> Menu:
    """The nearest choice that fits.

    Raises:
        InputError: the run has no checkpoint in this stage, or no questions.
    """
    run = shelf.runs[choice.run]
    seed = choice.seed if choice.seed in run.seeds else run.seeds[0]
    stages = [int(stage) for stage in run.config.schedule.stages if run.steps(seed, stage)]
    if not stages:
        raise InputError(
            f"{run.folder} has no checkpoint of seed {seed}; repeat the iml run that made it"
        )
    stage = choice.stage if choice.stage in stages else stages[-1]
    steps = run.steps(seed, stage)
    rows = shelf.rows(choice.run, seed)
    if not rows.subjects:
        raise InputError(f"{run.folder} asks no questions; explore another run")
    main = run.design.main.higher.name
    first = main if main in rows.subjects else next(iter(rows.subjects))
    subset = choice.subset if choice.subset in rows.subjects else first
    subjects = rows.subjects[subset]
    names = list(subjects)
    alias = min(choice.alias, len(names) - 1)
    asked = {row.question: row for row in subjects[names[alias]]}
    question = choice.question if choice.question in asked else next(iter(asked))
    row = rows.tokenized([asked[question]])[0]
    pairs = pairs_of(rows, row)
    against = choice.against if choice.against in pairs else next(iter(pairs), None)
    options: dict[str, Options] = {
        "run": list(zip(run_labels(shelf), range(len(shelf.runs)), strict=True)),
        "seed": [(str(s), s) for s in run.seeds],
        "stage": [(str(s), s) for s in stages],
        "step": [(f"{s} (last)" if s == steps[-1] else str(s), s) for s in steps],
        "subset": [(name, name) for name in rows.subjects],
        "alias": [(name, i) for i, name in enumerate(names)],
        "question": [(_question_label(asked[name]), name) for name in asked],
        "against": [(f"{names[i]} → {pairs[i].row.rendered.answer}", i) for i in pairs],
    }
    settled = replace(
        choice, seed=seed, stage=stage, subset=subset, alias=alias, question=question,
        against=against, step=choice.step if choice.step in steps else steps[-1],
    )  # fmt: skip
    corrupted = None if against is None else pairs[against]
    return Menu(choice=settled, options=options, question=row, corrupted=corrupted)


def pairs_of(rows: SeedRows, question: TokenizedRow) -> dict[int, TokenizedRow]:
    """The same question about other aliases of the subset, by their place, answered otherwise."""
    subjects = rows.subjects[question.row.subset.name]
    asked = [
        (place, row)
        for place, about in enumerate(subjects.values())
        for row in about
        if row.question == question.row.question
    ]
    answer = first_answer_token(question)
    return {
        place: other
        for (place, _), other in zip(asked, rows.tokenized([row for _, row in asked]), strict=True)
        if is_laid_out_alike(question, other) and first_answer_token(other) != answer
    }


def first_choice(
    shelf: Shelf,
    *,
    seed: int | None = None,
    stage: int | None = None,
    step: int | None = None,
    subset: str | None = None,
    alias: str | None = None,
    question: str | None = None,
) -> Choice:
    """What to show first in the first run; a value that is not there is refused.

    Raises:
        InputError: the value is not there.
    """
    run = shelf.runs[0]
    if seed is not None:
        run.require_seed(seed)
    if stage is not None and stage not in list(Stage):
        raise InputError(f"there is no stage {stage}; choose 1 or 2")
    menu = settle(shelf, Choice(seed=seed))
    for name, value in (("stage", stage), ("step", step), ("subset", subset), ("alias", alias)):
        if value is not None:
            found = _find(menu, name, value)
            menu = settle(shelf, replace(menu.choice, **{name: found}))
    if question is not None:
        found = _find(menu, "question", question)
        menu = settle(shelf, replace(menu.choice, question=found))
    return menu.choice


def run_labels(shelf: Shelf) -> list[str]:
    """Word orders, and after them whatever else tells the runs apart."""
    orders = [str(run.config.word_order or "").upper() for run in shelf.runs]
    folders = [run.folder.name for run in shelf.runs]
    if len(set(zip(orders, folders, strict=True))) < len(orders):
        folders = [str(run.folder) for run in shelf.runs]
    return [f"{order} ({folder})" for order, folder in zip(orders, folders, strict=True)]


def _find(menu: Menu, name: str, value: object) -> Any:
    """What an option stands for, by that or, for aliases, by its label."""
    options = menu.options[name]
    for label, found in options:
        if value == (label if name == "alias" else found):
            return found
    shown = [label if name == "alias" else str(found) for label, found in options]
    raise InputError(f"there is no {name} {value} here; choose one of {_listed(shown)}")


def _listed(values: Sequence[str], most: int = 12) -> str:
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def _question_label(row: Row) -> str:
    return f"{row.question} ({'held out' if row.split is Split.TEST else 'trained'})"
