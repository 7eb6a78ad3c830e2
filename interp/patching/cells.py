"""Exact patches, many in one pass: which cells there are, and what each pair's metrics become.

An edit at a layer and position leaves the blocks below and the positions before it as they were,
so only what lies behind it is computed, for all heads and several roles together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.hooked.addresses import HEAD_SITES, Site
from interp.hooked.sites import check_site
from interp.patching.pair_batches import PairBatch, PatchMetric, read_metrics
from interp.patching.unrolled import Trace, UnrolledModel

ROWS_A_PASS = 32
"""Cells times pairs that go through the model together: they fit into a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of one site and layer: every head with every role."""

    site: Site
    """With head None; the heads of a head site follow each other."""
    heads: tuple[int | None, ...]
    roles: tuple[int, ...]
    """Places in the batch's `roles`."""


def grid_cells(unrolled: UnrolledModel, sites: Sequence[Site], n_roles: int) -> list[Cells]:
    """One entry for each site and layer, with its heads.

    Raises:
        InputError: a layer or head is out of range, or the model lacks the site.
    """
    found = []
    for site in sites:
        check_site(unrolled.model, site)
        heads: tuple[int | None, ...] = (None,)
        if site.name in HEAD_SITES:
            n_heads = unrolled.n_heads_at(site.name)
            heads = tuple(range(n_heads)) if site.head is None else (site.head,)
        found.append(
            Cells(site=Site(site.name, site.layer), heads=heads, roles=tuple(range(n_roles)))
        )
    return found


@torch.no_grad()
def patched_metrics(
    unrolled: UnrolledModel,
    batch: PairBatch,
    cells: Cells,
    *,
    base: Trace,
    donor: Trace,
    metrics: Sequence[PatchMetric],
) -> Float[Tensor, "role head metric pair"]:
    """Each pair's metrics after each patch of one site and layer, exactly."""
    after = cells.site.layer + (cells.site.name != "resid_pre")
    shape = (len(cells.roles), len(cells.heads), len(metrics), len(batch.foils))
    found = torch.empty(shape, device=base["k"][0].device)
    for roles, first in _passes(batch, cells, ends_there=after == unrolled.n_layers):
        resid = _edited(unrolled, batch.masks[roles], first, cells, base, donor)
        changed = _changed(batch.masks[roles], first, cells)
        logits = unrolled.go_on(resid, after, base, changed=changed, kept=batch.kept)
        values = read_metrics(logits, batch, metrics)
        found[roles] = values.unflatten(1, (len(roles), -1)).permute(1, 2, 0, 3)
    return found


def _passes(batch: PairBatch, cells: Cells, *, ends_there: bool) -> Iterator[tuple[list[int], int]]:
    """Roles that go through the model together, and the first position that has to be computed.

    Those that begin late go together, so that few positions before them are computed for nothing.
    """
    size = max(1, ROWS_A_PASS // (len(batch.foils) * len(cells.heads)))
    if ends_there:
        for i in range(0, len(cells.roles), size):
            yield list(cells.roles[i : i + size]), batch.clean.shape[1] - batch.kept
        return
    starts = batch.masks.any(1).int().argmax(1).tolist()
    order = sorted(cells.roles, key=lambda role: starts[role])
    for i in range(0, len(order), size):
        yield order[i : i + size], starts[order[i]]


def _changed(
    masks: Bool[Tensor, "role pair pos"], first: int, cells: Cells
) -> Bool[Tensor, "cell pair suffix"] | None:
    """Where the stream behind each edit differs from the base, if not from there on.

    Another key or value is read from every later position.
    """
    if cells.site.name in ("k", "v"):
        return None
    return masks[:, :, first:].repeat_interleave(len(cells.heads), 0)


def _edited(
    unrolled: UnrolledModel,
    masks: Bool[Tensor, "role pair pos"],
    first: int,
    cells: Cells,
    base: Trace,
    donor: Trace,
) -> Float[Tensor, "cell pair suffix d_model"]:
    """The residual stream behind the edit, from position `first` on: a cell a role and head."""
    name, layer = cells.site.name, cells.site.layer
    if name in ("q", "k", "v"):
        attn_out = _attn_out_of(unrolled, masks, first, cells, base, donor)
        change = attn_out - base["attn_out"][layer][:, first:]
    else:
        here, there = base[name][layer][:, first:], donor[name][layer][:, first:]
        change = there - here
        if name == "z":
            heads = list(cells.heads)
            W_O = unrolled.W_O[layer][heads]  # pyright: ignore[reportCallIssue, reportArgumentType]
            change = torch.einsum("bphe,hed->hbpd", change[:, :, heads], W_O)
        change = change * masks[:, None, :, first:, None].to(change)
        change = change.flatten(0, 1)
    if name == "resid_pre":
        return base["resid_pre"][layer][:, first:] + change
    if unrolled.is_parallel or name in ("mlp_out", "resid_post"):
        return base["resid_post"][layer][:, first:] + change
    mid = base["resid_mid"][layer][:, first:] + change
    return mid + unrolled.mlp(mid, layer)


def _attn_out_of(
    unrolled: UnrolledModel,
    masks: Bool[Tensor, "role pair pos"],
    first: int,
    cells: Cells,
    base: Trace,
    donor: Trace,
) -> Float[Tensor, "cell pair suffix d_model"]:
    """What attention writes with some heads' queries, keys or values replaced."""
    name, layer = cells.site.name, cells.site.layer
    parts = {}
    for part in ("q", "k", "v"):
        here, there = (
            trace.rotated_k[layer].transpose(1, 2) if part == "k" else trace[part][layer]
            for trace in (base, donor)
        )
        grid = here.expand(len(masks), len(cells.heads), *here.shape)
        if part == name:
            grid = grid.clone()
            for place, head in enumerate(cells.heads):
                mixed = torch.where(masks[..., None], there[:, :, head], here[:, :, head])
                grid[:, place, :, :, head] = mixed
        parts[part] = grid.flatten(0, 2)
    q, rotated, v = parts["q"][:, first:], parts["k"].transpose(1, 2), parts["v"]
    z = unrolled.attend(q, rotated, v, layer)
    return unrolled.write(z, layer).unflatten(0, (-1, masks.shape[1]))
