"""Questions about aliases while something is added to the aliases' embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.attention.head_weights import PATTERN_HOOK
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.answers import read_length
from interp.hooked.model import HookedModel
from interp.hypotheses.alias_changes import Changes, Vectors
from interp.interventions.base import (
    BATCH_SIZE,
    Hook,
    answer_table,
    editing,
    intervening,
    spots_of,
)


@dataclass(frozen=True, kw_only=True)
class AddedAtAlias:
    """A vector added to the embedding of each question's alias; an `Intervention`."""

    vectors: Mapping[str, Float[np.ndarray, " width"]]
    """By alias."""

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `interp.interventions.base.Intervention`."""
        wanted = torch.tensor(np.stack([self.vectors[str(row.row.alias)] for row in rows]))

        def add(vectors: Tensor, spots: Tensor) -> Tensor:
            return vectors + wanted[spots].to(vectors)

        spots = spots_of(rows, [TokenRole.ALIAS_LAST])
        return [editing(Site("resid_pre", 0), spots, add)]


def added_to(side: Changes, vectors: Vectors) -> AddedAtAlias:
    """A vector for each alias of a subset, in the order of its changes."""
    return AddedAtAlias(vectors=dict(zip(side.aliases.names, vectors, strict=True)))


def mean_nats(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    side: Changes | None = None,
    vectors: Vectors | None = None,
) -> float:
    """Mean log-probability of the answers, with a vector added at each alias if any are given."""
    edits = [] if side is None or vectors is None else [added_to(side, vectors)]
    return float(answer_table(model, rows, edits)["answer_log_prob"].to_numpy().mean())


def alias_attention(
    model: HookedModel, rows: Sequence[TokenizedRow], edit: AddedAtAlias | None = None
) -> Float[np.ndarray, "row head"]:
    """How much each head looks at the alias's last token where a question ends, all layers' heads.

    Args:
        model: Read only.
        rows: Questions about aliases.
        edit: What is added at the alias, if anything.
    """
    hooks = [PATTERN_HOOK.format(layer=layer) for layer in range(model.n_layers)]
    found = []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = rows[start : start + BATCH_SIZE]
        tokens = pad_tokens([row.input_ids[: read_length(model, row)] for row in batch])
        with intervening(model, batch, [] if edit is None else [edit]):
            _, cache = model.run_with_cache(tokens, hooks, device="cpu")
        ends, aliases = (
            torch.tensor([role.position(row) for row in batch])
            for role in (TokenRole.PROMPT_LAST, TokenRole.ALIAS_LAST)
        )
        at = torch.arange(len(batch))
        found.append(torch.cat([cache[hook][at, :, ends, aliases] for hook in hooks], dim=1))
    return torch.cat(found).double().numpy()
