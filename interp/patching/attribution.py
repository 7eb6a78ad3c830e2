"""Attribution patching: what a patch would do, to first order (Nanda 2023; Kramar et al. 2024).

One forward pass of either prompt and one backward pass give every cell at once, for any number of
pairs, each with an answer of its own. How far it can be trusted on a model is its correlation with
the exact grid, which `interp.patching.analysis` states beside it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.patching.cells import Cells
from interp.patching.pair_batches import PairBatch, PatchMetric, read_metrics
from interp.patching.unrolled import Trace, UnrolledModel


def attribute(
    unrolled: UnrolledModel,
    batch: PairBatch,
    cells: Sequence[Cells],
    tokens: Tensor,
    donor: Trace,
    metrics: Sequence[PatchMetric],
) -> tuple[Trace, Float[Tensor, "metric pair"], Float[Tensor, "cell metric pair"]]:
    """Attribution patching: one pass over the base and one backward pass for each metric.

    Returns the base's trace, its metrics, and the linear estimate of (patched - base) of each cell.
    """
    with torch.enable_grad():
        base = unrolled.trace(tokens)
        values = read_metrics(ending_logits(unrolled, base, batch), batch, metrics)
        totals = [metric.sum() for metric in values]
    at = [base[each.site.name][each.site.layer] for each in cells]
    parts: list[list[Tensor]] = [[] for _ in cells]
    for total in totals:
        slopes = torch.autograd.grad(total, at, retain_graph=True)
        for part, each, slope, activation in zip(parts, cells, slopes, at, strict=True):
            change = donor[each.site.name][each.site.layer] - activation.detach()
            products = (change * slope).sum(-1)
            by_head = products[..., None] if products.ndim == 2 else products[..., list(each.heads)]  # pyright: ignore[reportArgumentType]
            masks = batch.masks.to(by_head)
            part.append(torch.einsum("rbp,bph->rhb", masks, by_head).flatten(0, 1))
    estimates = torch.cat([torch.stack(part, 1) for part in parts])
    return base.detached(), values.detach(), estimates


def ending_logits(
    unrolled: UnrolledModel, trace: Trace, batch: PairBatch
) -> Float[Tensor, "pair kept d_vocab"]:
    """Logits from which the answers are predicted."""
    return unrolled.logits(trace["resid_pre"][-1][:, -batch.kept :])
