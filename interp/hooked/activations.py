"""Chosen sites at chosen roles, in one pass over the rows.

Rows are run in order of length in batches, the pass ends after the last layer that is needed, and
only the chosen positions are kept: memory is rows x roles x sites x width, or a file of that size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib.format import open_memmap

from data.errors import InputError
from data.tokens import TokenizedRow, tokenizer_name
from interp.hooked.addresses import AnyTokenRole, Site, role_positions
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site
from training.models.contexts import check_tokens, similar_lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

N_READ_AGAIN = 16
"""Rows, about, whose texts are tokenized again to see whether they are the model's."""


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Vectors by site and role, rows in the order given."""

    values: Mapping[Site, Float[np.ndarray, "row role width"]]
    roles: tuple[AnyTokenRole, ...]

    def at(self, site: Site, role: AnyTokenRole) -> Float[np.ndarray, "row width"]:
        """The vectors of one site at one role.

        Raises:
            InputError: the vectors were not collected.
        """
        if site not in self.values or role not in self.roles:
            raise InputError(f"{site} at {role} was not collected; collect it first")
        return self.values[site][:, self.roles.index(role)]


def collect_activations(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    sites: Sequence[Site],
    roles: Sequence[AnyTokenRole],
    batch_size: int = 256,
    store: Path | None = None,
) -> Activations:
    """Runs every row once and keeps the sites at the roles, as float32.

    Args:
        model: Read only; nothing of it changes.
        rows: Prompts; each must have every role.
        sites: A site with a head keeps that head, a head site without keeps all side by side.
        roles: Tokens to keep.
        batch_size: Rows a pass.
        store: A folder for memory-mapped arrays instead of memory, for large sweeps.

    Raises:
        InputError: there are no rows, a role is missing, the model lacks a site or head, or an
            activation is not finite.
    """
    if not (rows and sites and roles):
        raise InputError("no rows, sites or roles to collect; give at least one of each")
    positions = torch.tensor([role_positions(rows, role) for role in roles]).T
    for site in sites:
        check_site(model, site)
    check_rows(model, rows)
    hooks = list(dict.fromkeys(site.hook for site in sites))
    values: dict[Site, np.ndarray] = {}
    lengths = [len(row.input_ids) for row in rows]
    for chosen in similar_lengths(model.config, lengths, batch_size):
        tokens = pad_tokens([rows[i].input_ids for i in chosen])
        _, cache = model.run_with_cache(
            tokens, hooks, positions=positions[chosen], stop_at_layer="auto", device="cpu"
        )
        for site in sites:
            kept = _vectors(cache[site.hook], site)
            if not np.isfinite(kept).all():
                raise InputError(
                    f"activations at {site.hook} are not finite; the model is damaged or diverged"
                )
            if site not in values:
                shape = (len(rows), len(roles), kept.shape[-1])
                values[site] = _array(shape, site, store)
            values[site][chosen] = kept
    return Activations(values=values, roles=tuple(roles))


def check_rows(model: HookedModel, rows: Sequence[TokenizedRow]) -> None:
    """Refuses rows that the model cannot read, or whose answers it cannot say.

    Raises:
        InputError: see `check_tokenizer` and `training.models.contexts.check_tokens`.
    """
    check_tokens(model.config, pad_tokens([row.input_ids for row in rows]))
    if model.tokenizer is not None:
        check_tokenizer(model.tokenizer, rows)


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", rows: Sequence[TokenizedRow]) -> None:
    """Refuses rows whose texts have other tokens for a model: of another one, or another seed.

    A few rows stand for all. Tokens that stand in front of a text are not compared: whether a run
    has them is its own choice.

    Raises:
        InputError: a row's tokens are not those that the tokenizer makes of its text.
    """
    every = max(1, len(rows) // N_READ_AGAIN)
    sample = [row for row in rows[::every] if row.tokenizer]
    if not (sample and tokenizer.is_fast):
        return
    texts = [row.row.rendered.text for row in sample]
    for row, ids in zip(sample, tokenizer(texts, add_special_tokens=False).input_ids, strict=True):
        if list(row.input_ids[len(row.input_ids) - len(ids) :]) != ids:
            raise InputError(
                f"{row.row.row_id} ({row.row.rendered.text[:40]!r}) has tokens of "
                f"{row.tokenizer}; to {tokenizer_name(tokenizer)}, which is this model's, they are "
                "other words: make the rows with the model that reads them"
            )


def pad_tokens(sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """Token ids padded on the right, where a causal model never looks from real positions."""
    longest = max(map(len, sequences), default=0)
    padded = [[*ids, *[0] * (longest - len(ids))] for ids in sequences]
    return torch.tensor(padded, dtype=torch.long).reshape(len(padded), longest)


def _vectors(activation: torch.Tensor, site: Site) -> Float[np.ndarray, "row role width"]:
    """One vector for each row and role: a head's, or all heads' side by side."""
    chosen = activation.flatten(2) if site.head is None else activation[:, :, site.head]
    return chosen.float().numpy()


def _array(shape: tuple[int, ...], site: Site, store: Path | None) -> np.ndarray:
    if store is None:
        return np.empty(shape, dtype=np.float32)
    store.mkdir(parents=True, exist_ok=True)
    head = "" if site.head is None else f".{site.head}"
    path = store / f"{site.name}.{site.layer}{head}.npy"
    return open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
