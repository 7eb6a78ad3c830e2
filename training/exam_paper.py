"""The questions of an exam, what stands before them, and how a model is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld
from data.rows import Row, qa_row_id
from data.subsets import Subset
from data.texts import Writing, question_text
from data.tokenizers import front_tokens
from data.vocabulary import Kind, Part, Role, Split

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SHOWN_SEED = 0
"""The seed of who is shown, which all seeds of a run share."""
ASKED = Subset(
    name="EXAM",
    notation="",
    meaning="none; asked by name before training",
    part=Part.X1,
    replaced=False,
)
"""What stands as the subset in rows of the exam."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The questions of an exam, and what stands before them."""

    rows: tuple[Row, ...]
    openings: Mapping[str, str]
    """By attribute, the answered questions that are shown first."""
    shown_people: frozenset[str]

    @classmethod
    def of(cls, world: FactWorld, *, writing: Writing, shown: int, any_answer: bool) -> "Paper":
        """Sets the exam: some people are shown with their answers, the others are asked about.

        Args:
            world: The people, and what is true of them.
            writing: How questions look in the run.
            shown: How many are shown with each question.
            any_answer: Whether any accepted answer counts as right, or only the first.

        Raises:
            InputError: there are not so many people to be shown.
        """
        order, asked = list(world.entities), partial(_question_row, world, writing)
        stream(SHOWN_SEED, "exam/shown").shuffle(order)
        openings, shown_people = {}, set()
        for attribute in dict.fromkeys(a for facts in world.facts.values() for a in facts):
            answered = [name for name in order if attribute in world.facts[name]][:shown]
            texts = [asked(0, name, attribute).rendered.text for name in answered]
            openings[attribute] = "".join(f"{text}\n" for text in texts)
            shown_people |= set(answered)
        rows = tuple(
            asked(i, name, attribute, any_answer=any_answer)
            for i, (name, facts) in enumerate(world.facts.items())
            if name not in shown_people
            for attribute in facts
        )
        if not rows:
            raise InputError(
                f"shown is {shown}, and the world has {len(order)} people; lower shown"
            )
        return cls(rows=rows, openings=openings, shown_people=frozenset(shown_people))

    def longest(self, tokenizer: "PreTrainedTokenizerFast") -> int:
        """Tokens of the longest question behind the longest opening, with its stop token."""
        texts = [*self.openings.values()], [text for row in self.rows for text in texts_of(row)]
        return 1 + sum(max(map(len, tokenizer(each).input_ids)) for each in texts)


def texts_of(row: Row) -> list[str]:
    """A question with each answer that counts as right."""
    return [rendered.text for rendered in (row.rendered, *row.other_answers)]


def _question_row(
    world: FactWorld,
    writing: Writing,
    index: int,
    name: str,
    attribute: str,
    *,
    any_answer: bool = False,
) -> Row:
    """A question under a person's own name."""
    writing = replace(writing, newline=False, in_context=False)
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
        other_answers=tuple(others) if any_answer else (),
    )


def ask(
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
