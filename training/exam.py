"""An exam before training: which of a world's people a model knows by their own names.

Every question is asked behind a few answered ones about other people, since no model says
"19 century" by itself. A person counts as known who has enough questions answered right. The exam
of a model and a world is taken once and kept in the user's cache; a run notes in `run.json` who was
known, so that its rows are the same wherever it is opened.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.texts import Writing
from data.tokenizers import TokenizerProvider
from data.user_cache import default_cache
from training.columns import WITHOUT_SEED
from training.exam_paper import SHOWN_SEED, Paper, ask, texts_of
from training.models.elsewhere import NamedModel

if TYPE_CHECKING:
    import pandas as pd

EXAM_FILE = "exam.parquet"
"""The table in a run folder: one row a question."""
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
        if len(self.known()) < self.wanted:
            raise InputError(f"{self._found(world)}, {self.wanted} are needed; {self._remedy}")
        gone = [name for name in self.known() if name not in world.facts]
        if gone:
            raise InputError(
                f"the world {world.name} lacks {gone[0]}, who was known when the run was begun; "
                "bring that world back"
            )
        facts = {name: world.facts[name] for name in self.known()[: self.wanted]}
        note = f"exam: {self._found(world)}; {len(facts)} are kept"
        return replace(world, facts=facts, notes=(*world.notes, note))

    def with_known(self, known: Sequence[str]) -> "Exam":
        """The exam after these were found to be known: nobody is asked again."""
        return replace(self, recorded=tuple(known))

    def known(self) -> tuple[str, ...]:
        """Who is known, in the world's order."""
        if self.recorded is not None:
            return self.recorded
        right: Counter[str] = Counter()
        for name, is_right in zip(self.table["entity"], self.table["exact_match"], strict=True):
            right[name] += int(is_right)
        return tuple(name for name, n in right.items() if n >= self.known_only)

    @property
    def _remedy(self) -> str:
        fewer = "lower people"
        return f"{fewer} or known_only" if self.known_only else f"{fewer}, or raise entities"

    def _found(self, world: FactWorld) -> str:
        asked = len(world.facts) - len(self._paper.shown_people)
        rule = f" ({self.known_only} or more questions right)" if self.known_only else ""
        verb = "knows" if self.known_only else "is asked about"
        return f"{self.model.name} {verb} {len(self.known()):,} of {asked:,} people{rule}"

    @cached_property
    def _paper(self) -> Paper:
        return Paper.of(
            self.world.load(), writing=self.writing, shown=self.shown, any_answer=self.any_answer
        )

    def table_of_run(self, columns: Mapping[str, object]) -> "pd.DataFrame":
        """The table as a run's folder has it: with the run columns, all but the seed.

        Args:
            columns: Those that all tables of the run share; see `training.columns.run_columns`.
        """
        told = {**columns, "stage": 0, "step": 0}
        known = self.table["entity"].isin(self.known())
        table = self.table.assign(**told, is_known=known)
        return table.loc[:, [*WITHOUT_SEED, *self.table.columns, "is_known"]]

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
            "questions": [(row.row_id, texts_of(row)) for row in paper.rows],
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
            model = self.model.make(tokenizer, seed=SHOWN_SEED, max_length=longest)
            model = model.to(self._device())  # pyright: ignore[reportArgumentType]
            tables = []
            for question in paper.openings:
                tables.append(ask(model, tokenizer, paper, question))
                tell(sum(map(len, tables)), len(paper.rows))
        import pandas as pd

        places = {row.row_id: i for i, row in enumerate(paper.rows)}
        table = pd.concat(tables)
        return table.iloc[table.pop("row_id").map(places).argsort()].reset_index(drop=True)
