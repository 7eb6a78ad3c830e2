"""An exam before training: which of a world's people a model knows by their own names.

Every question is asked behind a few answered ones about other people, since no model says
"19 century" by itself. A person counts as known who has enough questions answered right. The exam
of a model and a world is taken once and kept in the user's cache; a run notes in `run.json` who was
known, so that its rows are the same wherever it is opened.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.rows import Row, qa_row_id
from data.subsets import Subset
from data.texts import Writing, question_text
from data.tokenizers import TokenizerProvider, front_tokens
from data.vocabulary import Kind, Part, Role, Split
from data.worlds.table_cache import default_cache
from training.columns import WITHOUT_SEED, run_columns
from training.models.elsewhere import NamedModel

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from training.config import RunConfig

EXAM_FILE = "exam.parquet"
"""The table in a run folder: one row a question."""
EXAM_SEED = 0
"""The seed of who is shown, which all seeds of a run share."""
ASKED = Subset(
    name="EXAM",
    notation="",
    meaning="none; asked by name before training",
    part=Part.X1,
    replaced=False,
)
"""What stands as the subset in rows of the exam."""
_TAKEN: "dict[Path, pd.DataFrame]" = {}
"""The exams that this process has taken or read, by their place in the cache."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """A world of which those are kept that a model knows: itself a `WorldProvider`."""

    world: WorldProvider
    """Whose people are asked about."""
    model: NamedModel
    """The model as it is before training."""
    tokenizer_provider: TokenizerProvider
    writing: Writing
    """How questions look in the run."""
    any_answer: bool
    """Whether any accepted answer counts as right, or only the first."""
    shown: int
    """Answered questions about other people before each question."""
    known_only: int
    """Right answers that a person needs to be known; with 0, all that are asked about are kept."""
    wanted: int
    """How many people are kept of those that are known: the first in the world's order."""
    uses_accelerator: bool = False
    recorded: tuple[str, ...] | None = None
    """Who was known when the run was begun; None before that, and the exam is taken."""

    def __post_init__(self) -> None:
        """Refuses an exam that cannot be taken."""
        for name in ("shown", "known_only"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; use 0 or more")

    def load(self) -> FactWorld:
        """The world of the people that are kept.

        Raises:
            InputError: too few are known, or the exam cannot be taken.
        """
        world = self.world.load()
        if len(self.known) < self.wanted:
            raise InputError(f"{self._found(world)}, {self.wanted} are needed; {self._remedy}")
        gone = [name for name in self.known if name not in world.facts]
        if gone:
            raise InputError(
                f"the world {world.name} lacks {gone[0]}, who was known when the run was begun; "
                "bring that world back"
            )
        facts = {name: world.facts[name] for name in self.known[: self.wanted]}
        note = f"exam: {self._found(world)}; {len(facts)} are kept"
        return replace(world, facts=facts, notes=(*world.notes, note))

    @property
    def known(self) -> tuple[str, ...]:
        """Who is known, in the world's order."""
        if self.recorded is not None:
            return self.recorded
        right = self.table.groupby("entity")["exact_match"].sum()
        names = dict.fromkeys(self.table["entity"])
        return tuple(name for name in names if right[name] >= self.known_only)

    @property
    def digest(self) -> str:
        """The sha256 of what the exam chose, which the run's id depends on."""
        return hashlib.sha256(json.dumps(self.known).encode()).hexdigest()

    @property
    def _remedy(self) -> str:
        fewer = "lower people"
        return f"{fewer} or known_only" if self.known_only else f"{fewer}, or raise entities"

    def _found(self, world: FactWorld) -> str:
        asked = len(world.facts) - len(self._paper.shown_people)
        rule = f" ({self.known_only} or more questions right)" if self.known_only else ""
        verb = "knows" if self.known_only else "is asked about"
        return f"{self.model.name} {verb} {len(self.known):,} of {asked:,} people{rule}"

    @cached_property
    def _paper(self) -> "Paper":
        return Paper.of(self.world.load(), self)

    def table_of_run(self, config: "RunConfig") -> "pd.DataFrame":
        """The table as a run's folder has it: with the run columns, all but the seed."""
        told = {**run_columns(config), "stage": 0, "step": 0}
        known = self.table["entity"].isin(self.known)
        table = self.table.assign(**told, is_known=known)
        return table[[*WITHOUT_SEED, *self.table, "is_known"]]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row a question, in the world's order.

        Columns `entity question answer exact_match answer_log_prob answer_rank loss`.

        Raises:
            InputError: the model has an encoder, or cannot be read.
        """
        import pandas as pd

        if self.model.is_encoder_decoder:
            raise InputError(
                f"{self.model.name} has an encoder, and the exam is one for decoders; use another "
                "model"
            )
        path = self._cached_at()
        if path not in _TAKEN:
            with suppress(OSError, ValueError):
                _TAKEN[path] = pd.read_parquet(path)
        if path not in _TAKEN:
            from training.files import write_table

            _TAKEN[path] = self._take()
            with suppress(OSError):  # without a writable cache the next process takes it anew
                write_table(path, _TAKEN[path])
        return _TAKEN[path]

    def _cached_at(self) -> Path:
        """The exam's file, named by all that its numbers depend on."""
        paper, model = self._paper, self.model
        settings = {
            "questions": [(row.row_id, _texts(row)) for row in paper.rows],
            "openings": dict(paper.openings),
            "tokenizer": self.tokenizer_provider.load().backend_tokenizer.to_str(),
            "model": model.location if model.is_tiny else model.input.sha256(),
            "random_weights": model.random_weights,
            "device": self._device(),
            "versions": [version(package) for package in ("torch", "transformers")],
        }
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return default_cache() / "exams" / f"{key[:32]}.parquet"

    def _device(self) -> str:
        import torch

        return "cuda" if self.uses_accelerator and torch.cuda.is_available() else "cpu"

    def _take(self) -> "pd.DataFrame":
        from training.progress import show_progress
        from training.threads import one_thread

        paper, tokenizer = self._paper, self.tokenizer_provider.load()
        longest, limit = paper.longest(tokenizer), self.model.max_length
        if limit is not None and longest > limit:
            raise InputError(
                f"a question of the exam has {longest} tokens with the {self.shown} before it, "
                f"{self.model.name} reads {limit}; lower shown"
            )
        with one_thread(), show_progress(f"exam of {self.model.name}", unit="question") as tell:
            model = self.model.make(tokenizer, seed=EXAM_SEED, max_length=longest)
            model = model.to(self._device())  # pyright: ignore[reportArgumentType]
            tables = []
            for question in paper.openings:
                tables.append(_ask(model, tokenizer, paper, question))
                tell(sum(map(len, tables)), len(paper.rows))
        import pandas as pd

        places = {row.row_id: i for i, row in enumerate(paper.rows)}
        table = pd.concat(tables)
        return table.iloc[table.pop("row_id").map(places).argsort()].reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The questions of an exam, and what stands before them."""

    rows: tuple[Row, ...]
    openings: Mapping[str, str]
    """By attribute, the answered questions that are shown first."""
    shown_people: frozenset[str]

    @classmethod
    def of(cls, world: FactWorld, exam: Exam) -> "Paper":
        """Sets the exam: some people are shown with their answers, the others are asked about.

        Raises:
            InputError: there are not so many people to be shown.
        """
        order = list(world.entities)
        stream(EXAM_SEED, "exam/shown").shuffle(order)
        openings, shown_people = {}, set()
        for attribute in dict.fromkeys(a for facts in world.facts.values() for a in facts):
            shown = [name for name in order if attribute in world.facts[name]][: exam.shown]
            texts = [_question_row(world, exam, 0, n, attribute).rendered.text for n in shown]
            openings[attribute] = "".join(f"{text}\n" for text in texts)
            shown_people |= set(shown)
        rows = tuple(
            _question_row(world, exam, i, name, attribute)
            for i, (name, facts) in enumerate(world.facts.items())
            if name not in shown_people
            for attribute in facts
        )
        if not rows:
            raise InputError(
                f"shown is {exam.shown}, and the world has {len(order)} people; lower shown"
            )
        return cls(rows=rows, openings=openings, shown_people=frozenset(shown_people))

    def longest(self, tokenizer: "PreTrainedTokenizerFast") -> int:
        """Tokens of the longest question behind the longest opening, with its stop token."""
        texts = [*self.openings.values()], [text for row in self.rows for text in _texts(row)]
        return 1 + sum(max(map(len, tokenizer(each).input_ids)) for each in texts)


def _texts(row: Row) -> list[str]:
    return [rendered.text for rendered in (row.rendered, *row.other_answers)]


def _question_row(world: FactWorld, exam: Exam, index: int, name: str, attribute: str) -> Row:
    """A question under a person's own name."""
    writing = replace(exam.writing, newline=False, in_context=False)
    first, *others = (
        question_text(
            writing,
            template=world.questions[attribute],
            subject=name,
            role=Role.ENTITY,
            answer=answer,
        )
        for answer in world.facts[name][attribute]
    )
    return Row(
        row_id=qa_row_id(ASKED, index, attribute),
        subset=ASKED,
        split=Split.TEST,
        kind=Kind.QA,
        rendered=first,
        alias=None,
        entity=name,
        tag=None,
        question=attribute,
        other_answers=tuple(others) if exam.any_answer else (),
    )


def _ask(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", paper: Paper, question: str
) -> "pd.DataFrame":
    """The answers to one question about everybody."""
    from data.tokens import encode, tokenize_rows
    from training.evaluate import EvaluationSet, answer_metrics
    from training.shown_examples import BehindOpening

    opening, end_token = paper.openings[question], tokenizer.eos_token_id
    assert isinstance(end_token, int)
    ((newline, _),) = encode(["\n"], tokenizer)
    newline = newline[len(front_tokens(tokenizer)) :]
    lay_out = BehindOpening(
        opening=tuple(encode([opening], tokenizer)[0][0]) if opening else (),
        n_front=len(front_tokens(tokenizer)),
        end_token=end_token,
    )
    rows = tokenize_rows([row for row in paper.rows if row.question == question], tokenizer)
    # An answer that goes on is another one; where nothing is shown, nothing tells to stop.
    stop = newline[0] if opening and len(newline) == 1 else None
    asked = EvaluationSet.of(rows, lay_out=lay_out, stop_token=stop)
    metrics = answer_metrics(model, asked)
    about = [row.row for row in asked.rows]
    metrics.insert(0, "row_id", [row.row_id for row in about])
    metrics.insert(1, "entity", [row.entity for row in about])
    metrics.insert(2, "question", [row.question for row in about])
    metrics.insert(3, "answer", [row.rendered.answer.strip() for row in about])
    return metrics
