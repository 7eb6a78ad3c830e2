"""What every world of natural-language facts gives: entities, questions, accepted answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from data.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FactWorld:
    """Entities with attributes, and how each attribute is asked for.

    Raises:
        InputError: a template has no single place for its subject, an entity is asked something
            that has no template, or has fewer than two questions or an empty answer.
    """

    name: str
    questions: Mapping[str, str]
    """By attribute, a question with one `{}` where the subject goes: "When was {} born?"."""
    facts: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By entity and attribute the accepted answers; the first is the one that is trained on.

    Entities come in the world's own order (popularity, say); an entity may lack attributes.
    """
    notes: tuple[str, ...] = ()
    """What was left out of the table that it was read from, one line each."""

    def __post_init__(self) -> None:
        """Refuses what cannot be asked."""
        for attribute, template in self.questions.items():
            if template.count("{}") != 1:
                raise InputError(
                    f"the question {template!r} of {attribute} needs one {{}} for its subject"
                )
        for entity, facts in self.facts.items():
            if len(facts) < 2:
                raise InputError(
                    f"{entity!r} has {len(facts)} questions, of which one is held out; give it at "
                    "least 2 or leave it out"
                )
            for attribute, answers in facts.items():
                if attribute not in self.questions or not answers or not all(answers):
                    raise InputError(
                        f"{entity!r} has no answer or no question for {attribute!r}; add it or "
                        "leave the attribute out"
                    )

    @property
    def entities(self) -> tuple[str, ...]:
        """Names, in the world's order."""
        return tuple(self.facts)


@runtime_checkable
class WorldProvider(Protocol):
    """A frozen config that gives a world, which it makes or reads.

    One that makes entities up may say how many, as `n_made_up`, so that too many are refused before
    the first is drawn.
    """

    def load(self) -> FactWorld:
        """The world; the same in every process. Reading a file twice costs next to nothing."""
        ...
