"""What the explorer keeps at hand: the rows of a seed, and the models that were looked at last.

Rows are drawn anew, which is quick, and tokenized as they are asked for, which is not.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from transformers import PreTrainedTokenizerFast

from data.design import Design
from data.errors import InputError
from data.partners import first_answer_token
from data.rows import PROMPTS, Row, SeedData
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import Kind, Role
from interp.explorer.background import Rows
from interp.hooked.model import HookedModel, load_hooked
from training.runs.run import Run

Key = TypeVar("Key")
Value = TypeVar("Value")
KEPT_MODELS, KEPT_SEEDS = 4, 8
SAMPLE = 512
"""Most questions that a mean activation is taken over."""


@dataclass(frozen=True, kw_only=True)
class CheckpointPlace:
    """A checkpoint of one of the explorer's runs."""

    run: int
    """The place of the run among the runs, from 0."""
    seed: int
    stage: int
    step: int


class SeedRows(Rows):
    """The questions and definitions of one seed, by subset and alias.

    Attributes:
        subjects: Questions by subset and by what is asked about: an alias, or an entity by name.
    """

    def __init__(self, data: SeedData, tokenizer: PreTrainedTokenizerFast, design: Design) -> None:
        """Sorts the rows; nothing is tokenized yet."""
        self._tokenizer = tokenizer
        self._tokenized: dict[str, TokenizedRow] = {}
        self._definitions: dict[str | None, list[Row]] = {}
        self._facts: dict[tuple[str | None, str | None], Row] = {}
        self._entities: dict[str, Row] = {}
        self._answers: dict[str | None, dict[str, Row]] = {}
        self._asked = [row for row in data.rows if row.is_evaluated]
        by_subset: dict[str, dict[str, list[Row]]] = {name: {} for name in design.names}
        for row in data.rows:
            self._sort(row, by_subset)
        self.subjects = {name: found for name, found in by_subset.items() if found}

    def _sort(self, row: Row, by_subset: dict[str, dict[str, list[Row]]]) -> None:
        if row.entity is not None and Role.ENTITY in row.rendered.spans:
            self._entities.setdefault(row.entity, row)
        if row.kind is Kind.DEFINITION:
            self._definitions.setdefault(row.alias, []).append(row)
            return
        by_subset[row.subset.name].setdefault(row.alias or row.entity or "", []).append(row)
        self._answers.setdefault(row.question, {}).setdefault(row.rendered.answer, row)
        if row.entity is not None:
            self._facts.setdefault((row.entity, row.question), row)

    def tokenized(self, rows: Sequence[Row]) -> list[TokenizedRow]:
        """Rows as the model sees them."""
        new = [row for row in rows if row.row_id not in self._tokenized]
        self._tokenized |= {t.row.row_id: t for t in tokenize_rows(new, self._tokenizer)}
        return [self._tokenized[row.row_id] for row in rows]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """See `Rows`."""
        return [str(self._tokenizer.decode([token])) for token in ids]

    def vocabulary(self) -> dict[str, int]:
        """The number of every token."""
        return self._tokenizer.get_vocab()

    def definitions(self, question: Row) -> list[Row]:
        """See `Rows`."""
        return [] if question.alias is None else self._definitions.get(question.alias, [])

    def stated(self, question: Row) -> Row | None:
        """See `Rows`."""
        for definition in self.definitions(question):
            if definition.question is None:
                return self._facts.get((definition.entity, question.question))
            if definition.question == question.question:
                return definition
        return None

    def stated_entity(self, question: Row) -> str | None:
        """See `Rows`."""
        return next((d.entity for d in self.definitions(question) if d.entity), None)

    def answer_tokens(self, question: Row) -> list[int]:
        """See `Rows`."""
        answers = self._answers.get(question.question, {})
        return list(map(first_answer_token, self.tokenized([*answers.values()])))

    def stated_token(self, question: Row) -> int | None:
        """See `Rows`."""
        stated = self.stated(question)
        return None if stated is None else first_answer_token(self.tokenized([stated])[0])

    def entity_tokens(self) -> dict[str, int]:
        """See `Rows`."""
        rows = self.tokenized(list(self._entities.values()))
        spans = [row.input_ids[row.spans[Role.ENTITY][0]] for row in rows]
        return dict(zip(self._entities, spans, strict=True))

    def sample(self) -> list[TokenizedRow]:
        """Questions of all subsets: at most `SAMPLE`, at even distances, always the same."""
        distance = max(1, len(self._asked) // SAMPLE)
        return self.tokenized(self._asked[::distance][:SAMPLE])

    def laid_out_alike(self, row: TokenizedRow) -> list[TokenizedRow]:
        """Of the sample those with the roles of this row at the same positions; or the row."""
        if row.row.subset == PROMPTS:
            return []
        return [other for other in self.sample() if is_laid_out_alike(row, other)] or [row]


def is_laid_out_alike(row: TokenizedRow, other: TokenizedRow) -> bool:
    """Whether the two have the same roles and answers at the same positions."""
    return row.spans == other.spans and row.answer_positions == other.answer_positions


class Shelf:
    """Rows and models of the runs, the last few of each kept."""

    def __init__(self, runs: Sequence[Run]) -> None:
        """Takes the runs; nothing of them is read before it is asked for."""
        self.runs = tuple(runs)
        self._rows: OrderedDict[tuple[int, int], SeedRows] = OrderedDict()
        self._models: OrderedDict[CheckpointPlace, HookedModel] = OrderedDict()

    def rows(self, run: int, seed: int) -> SeedRows:
        """The rows of a seed of a run.

        Raises:
            InputError: the run has no such seed.
        """
        key = (run, seed)
        if key not in self._rows:
            self.runs[run].require_seed(seed)
            config = self.runs[run].config.data
            data = config.build(seed)
            self._rows[key] = SeedRows(data, config.tokenizer(data), config.design)
        return _kept(self._rows, key, KEPT_SEEDS)

    def model(self, place: CheckpointPlace) -> HookedModel:
        """A checkpoint as a hooked model; nobody else changes it.

        Raises:
            InputError: there is no such checkpoint, or it was trained on other rows than this
                version draws.
            DamagedError: a file of it is damaged.
        """
        if place not in self._models:
            run = self.runs[place.run]
            model = load_hooked(run, place.seed, place.stage, place.step)
            self._check_vocabulary(place, model)
            self._models[place] = model
        return _kept(self._models, place, KEPT_MODELS)

    def _check_vocabulary(self, place: CheckpointPlace, model: HookedModel) -> None:
        """Refuses a model of other words: aliases are random, so another draw has others."""
        drawn = self.rows(place.run, place.seed).vocabulary()
        if model.tokenizer is not None and model.tokenizer.get_vocab() != drawn:
            run = self.runs[place.run]
            raise InputError(
                f"this version draws other rows for seed {place.seed} than {run.folder} was "
                f"trained on; install iml-workbench {run.info['versions'].get('iml-workbench')}"
            )


def _kept(shelf: OrderedDict[Key, Value], key: Key, capacity: int) -> Value:
    """The value of a key, now the one used last; what was not used longest goes."""
    shelf.move_to_end(key)
    while len(shelf) > capacity:
        shelf.popitem(last=False)
    return shelf[key]
