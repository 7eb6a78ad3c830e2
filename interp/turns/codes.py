"""What an alias's row of the embedding says of entities: codes, by regression on Stage 1's aliases.

Each entity has a *question* code, which the questions about an alias write into its row, and one
that definitions of either tag write beside it: that of the entity which they name. Both are
estimated at once, on all aliases of Stage 1: an unreliable definition names another entity than
the questions follow. The estimate is linear in the rows, so it can follow them while they train.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.design import Design
from data.errors import InputError
from data.subsets import Subset
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Part, Role, TagKind

QUESTION = "question"
RIDGE = 1e-2
"""Added to the count of aliases of each entity: the split is not unique without it."""


@dataclass(frozen=True, kw_only=True)
class Alias:
    """An alias of one token, and which entities its rows speak of."""

    token: int
    subset: Subset
    asked: str
    """The entity that its questions follow."""
    defined: str | None = None
    """The entity that its definition names."""


@dataclass(frozen=True, kw_only=True)
class AliasCodes:
    """The codes of one seed's entities, as functions of the embedding."""

    aliases: tuple[Alias, ...]
    entities: tuple[str, ...]
    tokens: Int[Tensor, " alias"]
    """Tokens of the aliases that codes are estimated on."""
    weights: Float[Tensor, "kind entity alias"]
    """From their rows to codes."""
    kinds: tuple[str, ...]
    """`question`, then the kinds of tags in Stage 1."""

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow], design: Design) -> "AliasCodes":
        """The codes of a seed.

        Raises:
            InputError: aliases have several tokens, or entities have too few aliases.
        """
        aliases = tuple(_aliases(rows))
        design.require([alias.subset.name for alias in aliases])
        learned = [a for a in aliases if a.subset.part is Part.X1 and a.subset.has_questions]
        entities = tuple(sorted({entity for a in learned for entity in _named(a)}))
        tags = dict.fromkeys(a.subset.tag for a in learned if a.defined)
        kinds = (QUESTION, *(str(tag) for tag in tags if tag is not None))
        if len(learned) <= len(kinds) * len(entities):
            raise InputError(
                f"{len(learned)} aliases share {len(entities)} entities in Stage 1, too few to "
                "tell codes of entities; use a run whose aliases share few entities, as alias-toy"
            )
        present = np.zeros((len(learned), len(kinds), len(entities)))
        groups = sorted({alias.subset.name for alias in learned})
        means = np.zeros((len(learned), len(groups)))
        for place, alias in enumerate(learned):
            present[place, 0, entities.index(alias.asked)] = 1
            if alias.defined is not None:
                kind = kinds.index(str(alias.subset.tag))
                present[place, kind, entities.index(alias.defined)] = 1
            means[place, groups.index(alias.subset.name)] = 1
        regressors = np.hstack([present.reshape(len(learned), -1), means])
        gram = regressors.T @ regressors + RIDGE * np.eye(regressors.shape[1])
        found = np.linalg.solve(gram, regressors.T)[: len(kinds) * len(entities)]
        found = found.reshape(len(kinds), len(entities), len(learned))
        # An entity that no alias of a kind names has no code of it, and no part in the mean.
        known = present.any(0)[..., None]
        found = np.where(known, found - found.mean(1, keepdims=True, where=known), 0.0)
        return cls(
            aliases=aliases,
            entities=entities,
            tokens=torch.tensor([alias.token for alias in learned]),
            weights=torch.tensor(found),
            kinds=kinds,
        )

    def estimate(
        self, embedding: Float[Tensor, "token feature"], kind: str
    ) -> Float[Tensor, "entity feature"]:
        """The codes of all entities of a kind; their mean is 0.

        Zero of an entity that no alias of the kind names: nothing tells its code.
        """
        rows = embedding.detach()[self.tokens.to(embedding.device)]
        return self.weights[self.kinds.index(kind)].to(rows) @ rows

    def of_subsets(self, names: Sequence[str]) -> list[Alias]:
        """The aliases of some subsets whose definitions name an entity that has codes."""
        return [a for a in self.aliases if a.subset.name in names and a.defined in self.entities]

    def places(self, aliases: Sequence[Alias]) -> Int[Tensor, " alias"]:
        """Which entity the definition of each names."""
        return torch.tensor([self.entities.index(cast(str, alias.defined)) for alias in aliases])


def unreliable_kind(design: Design) -> TagKind:
    """The kind of tag of the lower compared subset.

    Raises:
        InputError: the experiment compares no tags.
    """
    tag = design.main.lower.tag
    if tag is None or tag == design.main.higher.tag:
        raise InputError(f"{design.main.words} compares no tags; use a run of such an experiment")
    return tag


def _aliases(rows: Sequence[TokenizedRow]) -> list[Alias]:
    """Every alias that stands for an entity and is asked about, once."""
    asked: dict[str, TokenizedRow] = {}
    defined: dict[str, str | None] = {}
    for each in rows:
        row = each.row
        if row.alias is None or row.is_fact or not row.subset.replaced:
            continue
        if row.kind is Kind.DEFINITION:
            defined[row.alias] = row.entity
        elif row.entity is not None:
            asked.setdefault(row.alias, each)
    return [
        Alias(
            token=_token(each),
            subset=each.row.subset,
            asked=cast(str, each.row.entity),
            defined=defined.get(alias),
        )
        for alias, each in asked.items()
    ]


def _token(row: TokenizedRow) -> int:
    first, last = row.spans[Role.ALIAS]
    if first != last:
        raise InputError(
            "aliases of this run have several tokens, which they share, so that no row of the "
            "embedding is an alias's own; use a run with alias_tokens=1"
        )
    return row.input_ids[first]


def _named(alias: Alias) -> list[str]:
    return [alias.asked, *([] if alias.defined is None else [alias.defined])]
