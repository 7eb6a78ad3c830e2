"""What does the model answer while some of its activations are changed?

An intervention (an ablation, a knock-out, a steering vector, an erasure) says what it changes in
given rows; here rows are asked while interventions are on, and activations are read. Where it acts
is said by places: a `Role` stands for every token of its span, a `TokenRole` for one token.

    answer_table(model, rows)                              the model's answers
    answer_table(model, rows, [ablation, knock_out])       the same under both, in this order
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.activations import check_rows, pad_tokens
from interp.addresses import Site, TokenRole, role_positions
from interp.hooked import HookedModel
from interp.live_hooks import HookFunction
from training.contexts import similar_lengths

BATCH_SIZE = 512
ANSWER_METRICS = ("exact_match", "answer_log_prob")

Hook = tuple[str, HookFunction]
Place = Role | TokenRole
"""Every token of a role's span, or one token."""


@runtime_checkable
class Intervention(Protocol):
    """A change of activations, whatever the rows."""

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """The hooks that make it, for a batch of exactly these rows in this order."""
        ...


def parse_place(text: str) -> Place:
    """The role (`alias`: its whole span) or token role (`alias_last`) of this name.

    Raises:
        InputError: there is none.
    """
    lower = text.lower()
    if lower in set(Role):
        return Role(lower)
    if lower in set(TokenRole):
        return TokenRole(lower)
    known = ", ".join(dict.fromkeys([*map(str, Role), *map(str, TokenRole)]))
    raise InputError(f"no place {text!r}; choose one of {known}")


def place_tokens(row: TokenizedRow, place: Place) -> range:
    """Positions of a place in a row.

    Raises:
        InputError: the row lacks the role.
    """
    if isinstance(place, TokenRole):
        position = place.position(row)
        return range(position, position + 1)
    if place not in row.spans:
        raise InputError(
            f"row {row.row.row_id} ({row.row.rendered.text!r}) has no {place}; "
            "choose other rows or another role"
        )
    first, last = row.spans[place]
    return range(first, last + 1)


@contextmanager
def intervening(
    model: HookedModel, rows: Sequence[TokenizedRow], interventions: Sequence[Intervention]
) -> Iterator[HookedModel]:
    """The model with interventions on, for batches of exactly these rows; off after the block."""
    with model.hooks(fwd_hooks=[hook for each in interventions for hook in each.hooks(rows)]):
        yield model


def answer_table(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    interventions: Sequence[Intervention] = (),
    *,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """How each row is answered, in the order given.

    Columns `row_id subset exact_match answer_log_prob probability`: whether greedy decoding gives
    the answer's tokens, their summed log-probability (nats), and its exponential, all from one
    teacher-forced pass. An intervention at the answer's last token changes nothing: that token is
    only predicted.

    Raises:
        InputError: there are no rows, or a row lacks a place at which an intervention acts.
    """
    if not rows:
        raise InputError("no rows to answer; choose a subset that has questions")
    check_rows(model, rows)
    values = torch.empty(len(rows), 2, dtype=torch.float64)
    for chosen in similar_lengths(model.config, [len(row.input_ids) for row in rows], batch_size):
        values[chosen] = _answers(model, [rows[i] for i in chosen], interventions)
    return pd.DataFrame(
        {
            "row_id": [row.row.row_id for row in rows],
            "subset": [row.row.subset for row in rows],
            "exact_match": values[:, 0].numpy(),
            "answer_log_prob": values[:, 1].numpy(),
            "probability": values[:, 1].exp().numpy(),
        }
    )


def read_at(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    site: Site,
    role: TokenRole,
    interventions: Sequence[Intervention] = (),
    *,
    batch_size: int = BATCH_SIZE,
) -> Float[np.ndarray, "row width"]:
    """A site's activation at a role of each row, after the interventions; heads side by side."""
    parts: list[Tensor] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        positions = torch.tensor(role_positions(batch, role))

        def keep(activation: Tensor, hook: nn.Module, positions: Tensor = positions) -> None:
            kept = activation[torch.arange(len(positions)), positions]
            parts.append((kept if site.head is None else kept[:, site.head]).flatten(1).cpu())

        hooks = [hook for each in interventions for hook in each.hooks(batch)]
        with model.hooks(fwd_hooks=[*hooks, (site.hook, keep)]):
            model.logits(pad_tokens([row.input_ids for row in batch]), logits_to_keep=1)
    return torch.cat(parts).float().numpy()


def editing(
    site: Site,
    spots: Int[Tensor, "two spot"],
    edit: "SpotEdit",
) -> Hook:
    """A hook that changes a site's vectors at some spots: rows and positions, in two lines.

    Spots behind the last column of a batch are left out.
    """

    def hook_function(activation: Tensor, hook: nn.Module) -> Tensor:
        device = activation.device
        inside = (spots[1] < activation.shape[1]).nonzero()[:, 0]
        rows, positions = spots[:, inside].to(device)
        edited = activation.clone()
        if site.head is None:
            edited[rows, positions] = edit(edited[rows, positions], inside)
        else:
            edited[rows, positions, site.head] = edit(edited[rows, positions, site.head], inside)
        return edited

    return site.hook, hook_function


class SpotEdit(Protocol):
    """New vectors for the old ones at the chosen spots."""

    def __call__(
        self, vectors: Float[Tensor, "spot ..."], spots: Int[Tensor, " spot"]
    ) -> Float[Tensor, "spot ..."]:
        """`spots` are their numbers among all spots, on the CPU."""
        ...


def spots_of(rows: Sequence[TokenizedRow], places: Sequence[Place]) -> Int[Tensor, "two spot"]:
    """Every token of the places, as rows and positions in two lines; each token once."""
    if len(places) == 1 and isinstance(places[0], TokenRole):  # the most frequent case, much faster
        return torch.tensor([list(range(len(rows))), role_positions(rows, places[0])])
    found = dict.fromkeys(
        (i, position)
        for i, row in enumerate(rows)
        for place in places
        for position in place_tokens(row, place)
    )
    return torch.tensor(list(found), dtype=torch.long).reshape(-1, 2).T


@torch.no_grad()
def _answers(
    model: HookedModel, rows: Sequence[TokenizedRow], interventions: Sequence[Intervention]
) -> Float[Tensor, "row two"]:
    """Exact match and answer log-probability of one batch."""
    # The last token of a row is only predicted, so that its column need not be run.
    tokens = pad_tokens([row.input_ids[: row.answer_positions[-1]] for row in rows])
    kept = tokens.shape[1] - min(role_positions(rows, TokenRole.PROMPT_LAST))
    with intervening(model, rows, interventions):
        logits = model.logits(tokens, logits_to_keep=kept)
    targets = [(i, position) for i, row in enumerate(rows) for position in row.answer_positions]
    row_of, position = torch.tensor(targets).T
    answers = torch.tensor([rows[i].input_ids[p] for i, p in targets], device=logits.device)
    chosen = logits[row_of, position - 1 - (tokens.shape[1] - kept)]
    log_prob = chosen.gather(1, answers[:, None])[:, 0] - chosen.logsumexp(1)
    hit = chosen.argmax(1) == answers
    empty = torch.zeros(len(rows), dtype=torch.float64)
    return torch.stack(
        [
            empty.scatter_reduce(0, row_of, hit.double().cpu(), "amin", include_self=False),
            empty.scatter_add(0, row_of, log_prob.clamp(max=0).double().cpu()),
        ],
        dim=1,
    )
