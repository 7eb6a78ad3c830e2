"""What does the model answer while some of its activations are changed?

An intervention (an ablation, a knock-out, a steering vector, an erasure) says what it changes in
given rows; here rows are asked while interventions are on, and activations are read. Where it acts
is said by places: a `Role` stands for every token of its span, a `TokenRole` for one token; so do
what a person named, and its first and last token.

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

from data.errors import InputError, unknown_name
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.hooked.activations import check_rows, pad_tokens
from interp.hooked.addresses import (
    OwnTokenRole,
    Site,
    TokenRole,
    own_token_roles,
    role_positions,
)
from interp.hooked.answers import ANSWER_METRICS, batch_answers, read_length
from interp.hooked.live_hooks import HookFunction
from interp.hooked.model import HookedModel
from training.models.contexts import similar_lengths

BATCH_SIZE = 512

Hook = tuple[str, HookFunction]
Place = str
"""Every token of a role's span, or one token: a `Role` or `TokenRole`, or what a person named."""


@runtime_checkable
class Intervention(Protocol):
    """A change of activations, whatever the rows."""

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """The hooks that make it, for a batch of exactly these rows in this order."""
        ...


def parse_place(text: str, rows: Sequence[TokenizedRow] = ()) -> Place:
    """The role (`alias`: its whole span) or token role (`alias_last`) of this name.

    Args:
        text: The name; of what experiments have, in either case.
        rows: Whose own roles, those that a person named, are known, too.

    Raises:
        InputError: there is no place of this name.
    """
    own = own_token_roles(rows)
    known: dict[str, Place] = {role: role for role in (*TokenRole, *Role, *own)}
    known |= {name: name for name in (role.rpartition("_")[0] for role in own)}
    if text not in known and text.lower() not in known:
        raise unknown_name("place", text, known)
    return known.get(text) or known[text.lower()]


def place_tokens(row: TokenizedRow, place: Place) -> range:
    """Positions of a place in a row.

    Raises:
        InputError: the row lacks the role.
    """
    if isinstance(place, TokenRole | OwnTokenRole):
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

    Columns `row_id subset exact_match answer_log_prob probability`: the first two as in
    `training.evaluate.answer_metrics`, so that they are those of the run where nothing intervenes;
    then the exponential of the last. All come from one teacher-forced pass. An intervention at the
    answer's last token changes at most whether the answer ends there: the token is only predicted.

    Raises:
        InputError: there are no rows, or a row lacks a place at which an intervention acts.
    """
    if not rows:
        raise InputError("no rows to answer; choose a subset that has questions")
    check_rows(model, rows)
    others = [(i, other) for i, row in enumerate(rows) for other in row.others]
    asked = [*rows, *(other for _, other in others)]
    values = torch.empty(len(asked), len(ANSWER_METRICS), dtype=torch.float64)
    lengths = [read_length(model, row) for row in asked]
    for chosen in similar_lengths(model.config, lengths, batch_size):
        batch = [asked[i] for i in chosen]
        with intervening(model, batch, interventions):
            values[chosen] = batch_answers(model, batch)
    for i, (row, _) in enumerate(others, start=len(rows)):
        values[row, 0] = values[[row, i], 0].max()
    return pd.DataFrame(
        {
            "row_id": [row.row.row_id for row in rows],
            "subset": [row.row.subset.name for row in rows],
            "exact_match": values[: len(rows), 0].numpy(),
            "answer_log_prob": values[: len(rows), 1].numpy(),
            "probability": values[: len(rows), 1].exp().numpy(),
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
