"""Where does each token look? Attention weights by the meaning of the tokens at both ends.

A destination role's weight on a source role is the sum over the source's tokens, averaged over the
destination's: 1 is all of its attention, and the weights of a destination sum to 1. Tokens of no
role are `other`; the destination `prompt_last` is the token before the answer. The baseline is
attention spread evenly over every token that a destination can see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.attention.head_weights import PATTERN_HOOK
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site, choose_sites
from training.models.contexts import similar_lengths

OTHER = "other"
"""The name of the tokens that belong to none of the roles."""
PROMPT_LAST = str(TokenRole.PROMPT_LAST)
BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class RoleAttention:
    """Attention between roles, row by row."""

    weights: Float[np.ndarray, "row layer head destination source"]
    """NaN where a row has no token of the destination, which only `other` can be."""
    uniform: Float[np.ndarray, "row destination source"]
    """What even attention to all visible tokens would give."""
    layers: tuple[int, ...]
    destinations: tuple[str, ...]
    sources: tuple[str, ...]

    def mean(self) -> pd.DataFrame:
        """Means over rows: columns `destination source layer head attention uniform n`."""
        present = ~np.isnan(self.uniform[..., 0])  # [row, destination]
        records = [
            {
                "destination": destination,
                "source": source,
                "layer": layer,
                "head": head,
                "attention": self.weights[present[:, d], i, head, d, s].mean(),
                "uniform": self.uniform[present[:, d], d, s].mean(),
                "n": int(present[:, d].sum()),
            }
            for d, destination in enumerate(self.destinations)
            for s, source in enumerate(self.sources)
            for i, layer in enumerate(self.layers)
            for head in range(self.weights.shape[2])
            if present[:, d].any()
        ]
        return pd.DataFrame(records)


def attention_by_role(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    layers: Sequence[int] | None = None,
    roles: Sequence[str] | None = None,
    batch_size: int = BATCH_SIZE,
) -> RoleAttention:
    """Attention from role to role in each row, in the rows' order.

    Args:
        model: Read only.
        rows: Rows of any lengths.
        layers: All unless given.
        roles: Which to tell apart, the rest being `other`; those that every row has unless given.
        batch_size: Rows a pass.

    Raises:
        InputError: no rows, a row lacks a role or is too long, or the model has no such layer.
    """
    chosen, roles = choose_layers(model, layers), _checked_roles(rows, roles)
    sources = (*map(str, roles), OTHER)
    destinations = (*sources, PROMPT_LAST)
    weights = np.empty((len(rows), len(chosen), model.n_heads, len(destinations), len(sources)))
    uniform = np.empty((len(rows), len(destinations), len(sources)))
    hooks = [PATTERN_HOOK.format(layer=layer) for layer in chosen]
    for indices, tokens in batches_by_length(model, rows, batch_size):
        batch = [rows[i] for i in indices]
        member = _membership(batch, roles, tokens.shape[1])
        looking = _destination_means(batch, member)
        _, cache = model.run_with_cache(tokens, hooks, stop_at_layer="auto", device="cpu")
        for i, hook in enumerate(hooks):
            pattern = cache[hook].double()
            weights[indices, i] = torch.einsum("bdq,bhqk,bks->bhds", looking, pattern, member)
        uniform[indices] = torch.einsum(
            "bdq,qk,bks->bds", looking, even_attention(tokens.shape[1]), member
        )
    is_present = ~np.isnan(uniform[:, None, None])
    if not np.isfinite(weights[np.broadcast_to(is_present, weights.shape)]).all():
        raise InputError("attention is not finite; the model is damaged or diverged")
    return RoleAttention(
        weights=weights, uniform=uniform, layers=chosen, destinations=destinations, sources=sources
    )


def token_attention(
    model: HookedModel, row: TokenizedRow, *, layers: Sequence[int] | None = None
) -> pd.DataFrame:
    """One row's attention from token to token: columns `layer head dest_pos src_pos attention`."""
    chosen = choose_layers(model, layers)
    ((_, tokens),) = batches_by_length(model, [row], 1)
    hooks = [PATTERN_HOOK.format(layer=layer) for layer in chosen]
    _, cache = model.run_with_cache(tokens, hooks, stop_at_layer="auto", device="cpu")
    patterns = torch.stack([cache[hook][0].float() for hook in hooks]).numpy()
    places = np.indices(patterns.shape).reshape(4, -1)
    names = ("layer", "head", "dest_pos", "src_pos")
    table = pd.DataFrame(dict(zip(names, places, strict=True)))
    table["layer"] = np.array(chosen)[table["layer"]]
    return table.assign(attention=patterns.reshape(-1))


def token_roles(row: TokenizedRow, roles: Sequence[str] | None = None) -> list[str]:
    """The role of each token; where spans overlap, the last of the roles counts."""
    names = [OTHER] * len(row.input_ids)
    for role in shared_roles([row]) if roles is None else roles:
        if role in row.spans:
            first, last = row.spans[role]
            names[first : last + 1] = [str(role)] * (last + 1 - first)
    return names


def shared_roles(rows: Sequence[TokenizedRow]) -> tuple[str, ...]:
    """The roles that every row has: those of `Role` in its order, then a person's own."""
    names = dict.fromkeys([*Role, *(rows[0].spans if rows else ())])
    return tuple(name for name in names if all(name in row.spans for row in rows))


def choose_layers(model: HookedModel, layers: Sequence[int] | None) -> tuple[int, ...]:
    """The layers, each once and in order; all of them unless given.

    Raises:
        InputError: the model has no such layer, or none was named.
    """
    if layers is not None and not len(layers):
        raise InputError("no layers were named; name at least one")
    return tuple(sorted({site.layer for site in choose_sites(model, ["z"], layers)}))


def check_head(model: HookedModel, layer: int, head: int) -> None:
    """Refuses a head that the model lacks.

    Raises:
        InputError: the layer, or the head in it, does not exist.
    """
    check_site(model, Site("z", layer, head))


def batches_by_length(
    model: HookedModel, rows: Sequence[TokenizedRow], batch_size: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Indices and padded tokens of rows of similar length.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("no rows to look at; choose others")
    lengths = [len(row.input_ids) for row in rows]
    for indices in similar_lengths(model.config, lengths, batch_size):
        yield indices, pad_tokens([rows[i].input_ids for i in indices])


def even_attention(n_pos: int) -> Float[Tensor, "pos pos"]:
    """The pattern that spreads each token's attention evenly over itself and those before."""
    visible = torch.ones(n_pos, n_pos, dtype=torch.float64).tril()
    return visible / visible.sum(-1, keepdim=True)


def require_role(row: TokenizedRow, role: str) -> tuple[int, int]:
    """The positions of the first and last token of a role.

    Raises:
        InputError: the row lacks it.
    """
    if role not in row.spans:
        raise InputError(
            f"row {row.row.row_id} ({row.row.rendered.text!r}) has no {role}; "
            "choose other rows or another role"
        )
    return row.spans[role]


def _checked_roles(rows: Sequence[TokenizedRow], roles: Sequence[str] | None) -> tuple[str, ...]:
    if roles is None:
        return shared_roles(rows)
    for row in rows:
        for role in roles:
            require_role(row, role)
    return tuple(dict.fromkeys(roles))


def _membership(
    rows: Sequence[TokenizedRow], roles: tuple[str, ...], n_pos: int
) -> Float[Tensor, "row pos source"]:
    """1 where a token is of a source; padding is of none."""
    sources = [*map(str, roles), OTHER]
    member = torch.zeros(len(rows), n_pos, len(sources), dtype=torch.float64)
    for i, row in enumerate(rows):
        for pos, name in enumerate(token_roles(row, roles)):
            member[i, pos, sources.index(name)] = 1
    return member


def _destination_means(
    rows: Sequence[TokenizedRow], member: Float[Tensor, "row pos source"]
) -> Float[Tensor, "row destination pos"]:
    """Weights that average over a destination's tokens; NaN where there are none."""
    is_last = torch.zeros(member.shape[:2], dtype=torch.float64)
    for i, row in enumerate(rows):
        is_last[i, TokenRole.PROMPT_LAST.position(row)] = 1
    looking = torch.cat([member, is_last[..., None]], dim=-1).transpose(1, 2)
    return looking / looking.sum(-1, keepdim=True)
