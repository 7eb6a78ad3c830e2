"""Which head carries the alias to the answer? What each head writes at the prompt's last token.

    value_norm    length of what the head moves there from the tokens of a source role:
                  |sum of pattern * v W_O|; control: from equally many other tokens
    direct_logit  what that adds to the answer's centred logit, the one above the vocabulary's mean
                  logit; control: to the answers of the other rows with the same question

Both are of what the final norm leaves of a head's output: of its mean nothing, where that is a
layer norm. The constant part of values, which every row gets alike (their bias, and that of the
norm before them), is no part of a head. That the heads together write what attention writes is
checked, so that an architecture that does more behind them is refused. The source `every` stands
for all tokens: the head's whole output. The control of `direct_logit` is the mean over all other
rows of the same subset, kind and question, which is what a shuffle of answers gives on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.attention.head_weights import HeadWeights
from interp.attention.patterns import (
    BATCH_SIZE,
    PATTERN_HOOK,
    batches_by_length,
    choose_layers,
    require_role,
)
from interp.hooked.activations import check_rows
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.components import write_hooks, writes
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import LogitReader

EVERY = "every"
"""All tokens as a source."""

Directions = tuple[Float[Tensor, "row d_model"], Float[Tensor, "row d_model"]]
"""Of each row's answer, and the mean of those of the rows with the same question."""


@dataclass(frozen=True, kw_only=True)
class HeadReadings:
    """What each head writes at the prompt's last token, row by row."""

    value_norm: Float[np.ndarray, "row layer head source"]
    value_norm_control: Float[np.ndarray, "row layer head source"]
    direct_logit: Float[np.ndarray, "row layer head source_or_every"]
    direct_logit_control: Float[np.ndarray, "row layer head source_or_every"]
    """NaN for a row whose question no other row asks."""
    layers: tuple[int, ...]
    sources: tuple[str, ...]


def read_heads(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    sources: Sequence[Role] = (Role.ALIAS,),
    layers: Sequence[int] | None = None,
    batch_size: int = BATCH_SIZE,
) -> HeadReadings:
    """What every head moves from the sources to the prompt's last token, and adds to the answer.

    Args:
        model: Read only.
        rows: Prompts with their answers.
        sources: Roles that stand before the answer in each row.
        layers: All unless given.
        batch_size: Rows a pass.

    Raises:
        InputError: a role is missing or not before the answer, no two rows share a question, or
            the heads together do not write what attention writes.
    """
    chosen = choose_layers(model, layers)
    for row in rows:
        _check_sources(row, sources)
    check_rows(model, rows)
    peers = _peers(rows)
    reader = LogitReader.of(model.unembed)
    shape = (len(rows), len(chosen), model.n_heads, len(sources))
    norms = {name: np.empty(shape) for name in ("value_norm", "value_norm_control")}
    logits = {
        name: np.empty((*shape[:3], len(sources) + 1))
        for name in ("direct_logit", "direct_logit_control")
    }
    last = Site("resid_post", model.n_layers - 1).hook
    hooks = [name for layer in chosen for name in (*_hooks(layer), *write_hooks(model, layer))]
    weights = {layer: HeadWeights.of(model, layer, reader.norm) for layer in chosen}
    answers = _directions(reader, rows, peers)
    for indices, tokens in batches_by_length(model, rows, batch_size):
        batch = [rows[i] for i in indices]
        ends = torch.tensor([TokenRole.PROMPT_LAST.position(row) for row in batch])
        names = list(dict.fromkeys([*hooks, last]))
        _, cache = model.run_with_cache(tokens, names, stop_at_layer="auto", device="cpu")
        at_end = (torch.arange(len(ends)), ends)
        scale = reader.norm.divisor(cache[last][at_end].double())
        spans, windows = _span_masks(batch, sources, tokens.shape[1])
        for i, layer in enumerate(chosen):
            W_O = weights[layer].W_O
            weighted = weights[layer].weighted_values(cache, ends)
            written = writes(model, cache, layer)[0][at_end]
            weights[layer].check(weighted, written, cache[last][at_end])
            moved = torch.einsum("bkhd,bsk->bhsd", weighted, spans)
            norms["value_norm"][indices, i] = _norms(moved, W_O)
            for s, groups in enumerate(windows):
                other = _norms(torch.einsum("bkhd,bwk->bhwd", weighted, groups), W_O)
                n_groups = groups.any(-1).sum(-1)[:, None]
                norms["value_norm_control"][indices, i, :, s] = other.sum(-1) / n_groups
            moved = torch.cat([moved, weighted.sum(1)[:, :, None]], dim=2)
            for name, directions in zip(logits, answers, strict=True):
                toward = torch.einsum("hdm,bm->bhd", W_O, directions[indices] / scale[:, None])
                logits[name][indices, i] = torch.einsum("bhsd,bhd->bhs", moved, toward)
    return HeadReadings(**norms, **logits, layers=chosen, sources=tuple(map(str, sources)))


def visible_roles(rows: Sequence[TokenizedRow]) -> tuple[Role, ...]:
    """The roles that in every row stand before the answer, with something beside them."""

    def is_visible(row: TokenizedRow, role: Role) -> bool:
        end = TokenRole.PROMPT_LAST.position(row)
        first, last = row.spans.get(role, (0, end + 1))
        return last <= end and last - first < end

    return tuple(role for role in Role if all(is_visible(row, role) for row in rows))


def _hooks(layer: int) -> tuple[str, str]:
    return PATTERN_HOOK.format(layer=layer), Site("v", layer).hook


def _check_sources(row: TokenizedRow, sources: Sequence[Role]) -> None:
    end = TokenRole.PROMPT_LAST.position(row)
    for role in sources:
        first, last = require_role(row, role)
        if last > end:
            raise InputError(
                f"row {row.row.row_id} ({row.row.rendered.text!r}): {role} is not before the "
                "answer, where attention could reach it; choose another role"
            )
        if last - first == end:
            raise InputError(
                f"row {row.row.row_id} ({row.row.rendered.text!r}) has only {role} before the "
                "answer, which leaves no control; choose longer rows"
            )


def _peers(rows: Sequence[TokenizedRow]) -> list[list[int]]:
    """Of each row the others of its subset, kind and question."""
    groups: dict[tuple[object, ...], list[int]] = {}
    keys = [(row.row.subset.name, row.row.kind, row.row.question) for row in rows]
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    if rows and all(len(group) == 1 for group in groups.values()):
        raise InputError(
            "no two rows have the same question, so answers cannot be shuffled; give more rows"
        )
    return [[j for j in groups[key] if j != i] for i, key in enumerate(keys)]


def _directions(
    reader: LogitReader, rows: Sequence[TokenizedRow], peers: list[list[int]]
) -> Directions:
    answers = torch.tensor([row.input_ids[row.answer_positions[0]] for row in rows])
    own, _ = reader.directions(answers)
    none = torch.full_like(own[0], torch.nan)
    others = [own[group].mean(0) if group else none for group in peers]
    return own, torch.stack(others)


def _norms(
    moved: Float[Tensor, "row head part d_head"], W_O: Float[Tensor, "head d_head d_model"]
) -> Float[Tensor, "row head part"]:
    """Lengths of what is written, without writing it out at full width."""
    gram = W_O @ W_O.transpose(1, 2)
    return torch.einsum("bhsd,hde,bhse->bhs", moved, gram, moved).clamp(min=0).sqrt()


def _span_masks(
    rows: Sequence[TokenizedRow], sources: Sequence[Role], n_pos: int
) -> tuple[Float[Tensor, "row source pos"], list[Float[Tensor, "row group pos"]]]:
    """1 for the tokens of each source; and for each group of equally many other tokens.

    The groups are the runs of the visible tokens outside the source, in their order; fewer than
    the source has are one group.
    """
    spans = torch.zeros(len(rows), len(sources), n_pos, dtype=torch.float64)
    windows = [torch.zeros(len(rows), n_pos, n_pos, dtype=torch.float64) for _ in sources]
    for i, row in enumerate(rows):
        end = TokenRole.PROMPT_LAST.position(row)
        for s, role in enumerate(sources):
            first, last = row.spans[role]
            spans[i, s, first : last + 1] = 1
            size = last + 1 - first
            others = [pos for pos in range(end + 1) if not first <= pos <= last]
            for start in range(max(1, len(others) - size + 1)):
                windows[s][i, start, others[start : start + size]] = 1
    return spans, windows
