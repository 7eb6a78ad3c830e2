"""The tokens of a seed by what they mean, and its aliases with what is asked and told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from data.tokens import TokenizedRow
from data.vocabulary import Kind, Part, Role, TagKind


@dataclass(frozen=True, kw_only=True)
class Alias:
    """An alias: its token, what questions about it follow, and what its definition names."""

    token: int
    subset: str
    part: Part
    asked: int | None
    """The number of the entity that its questions follow; None where none of them is trained."""
    defined: int | None
    """The number of the entity that its definition names; None where it has no definition."""
    tag: TagKind | None
    """Of its subset: in a null twin Stage 1's tags tell nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Tokens by meaning, each list in the order of the tokens."""

    entities: list[int]
    questions: list[int]
    values: list[int]
    tags: dict[TagKind, int]
    """The three tags; the reliable and the unreliable one as Stage 2 has them."""
    marker: int
    """The word that every question begins with."""
    copula: int
    facts: dict[tuple[int, int], int]
    """The token of the answer, by the numbers of entity and question."""
    aliases: list[Alias]

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow]) -> "Words":
        """Reads the words off the rows of a seed of the alias toy."""
        facts = [row for row in rows if row.row.is_fact]
        entities = sorted({_at(row, Role.ENTITY) for row in facts})
        questions = sorted({_at(row, Role.QUESTION) for row in facts})
        entity_of = {row.row.entity: entities.index(_at(row, Role.ENTITY)) for row in facts}
        definitions = [row for row in rows if row.row.kind is Kind.DEFINITION]
        tags = {
            row.row.subset.tag: _at(row, Role.TAG)
            for row in definitions
            if row.row.subset.part is Part.X2 and row.row.subset.tag is not None
        }
        first = definitions[0]
        (copula,) = set(first.input_ids) - {
            _at(first, role) for role in (Role.TAG, Role.ALIAS, Role.ENTITY)
        }
        return cls(
            entities=entities,
            questions=questions,
            values=sorted({row.input_ids[-1] for row in facts}),
            tags=tags,
            marker=facts[0].input_ids[0],
            copula=copula,
            facts={
                (
                    entities.index(_at(row, Role.ENTITY)),
                    questions.index(_at(row, Role.QUESTION)),
                ): row.input_ids[-1]
                for row in facts
            },
            aliases=_aliases(rows, entity_of),
        )

    @cached_property
    def alias_tokens(self) -> list[int]:
        """The tokens of the aliases, in their order."""
        return [alias.token for alias in self.aliases]


def _aliases(rows: Sequence[TokenizedRow], entity_of: dict[str | None, int]) -> list[Alias]:
    """Every alias of a seed, in the order of its first row."""
    defined = {
        row.row.alias: entity_of[row.row.entity] for row in rows if row.row.kind is Kind.DEFINITION
    }
    asked = {row.row.alias: row for row in rows if row.row.kind is Kind.QA and row.row.alias}
    return [
        Alias(
            token=_at(row, Role.ALIAS),
            subset=row.row.subset.name,
            part=row.row.subset.part,
            asked=entity_of[row.row.entity] if row.row.subset.has_questions else None,
            defined=defined.get(name),
            tag=row.row.subset.tag,
        )
        for name, row in asked.items()
    ]


def _at(row: TokenizedRow, role: Role) -> int:
    """The one token of a role."""
    return row.input_ids[row.spans[role][0]]
