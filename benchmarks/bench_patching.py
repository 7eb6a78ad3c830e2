"""Patching speed: our exact grid and our attribution against TransformerLens's own, one thread.

A random GPT-NeoX of 6 layers, 4 heads, d_model 128; every head output at every position of 16-token
prompts (384 cells), for one pair and for 8. TransformerLens makes one forward pass for each cell;
its clean run is not charged to it, ours is. The cells must agree to 1e-4 relative, and attribution
with TransformerLens's own, pair by pair, to 1e-6, before anything is timed.

    python benchmarks/bench_patching.py [--quick]
"""

import argparse
from collections.abc import Callable

import torch
from machine import describe_machine, time_in_turn
from random_neox import make_model
from torch import Tensor

from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.patching.attribution import attribute
from interp.patching.cells import grid_cells, patched_metrics
from interp.patching.pair_batches import PairBatch, PatchMetric
from interp.patching.unrolled import UnrolledModel

LAYERS, HEADS, WIDTH, VOCABULARY, LENGTH = 6, 4, 128, 2048, 16
GRID_GATE, ATTRIBUTION_GATE = 1e-4, 1e-6


def make_batch(n_pairs: int) -> PairBatch:
    """Prompts that differ in three tokens; a role for each position."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randint(3, VOCABULARY, shape, generator=generator)

    clean = draw(n_pairs, LENGTH)
    corrupted = clean.clone()
    corrupted[:, 3:6] = draw(n_pairs, 3)
    return PairBatch(
        clean=clean,
        corrupted=corrupted,
        answers=draw(n_pairs, 1),
        foils=draw(n_pairs),
        roles=tuple(f"position {i}" for i in range(LENGTH)),
        masks=torch.eye(LENGTH, dtype=torch.bool)[:, None].expand(-1, n_pairs, -1),
    )


SITES = [Site("z", layer) for layer in range(LAYERS)]


def exact_grid(model: HookedModel, batch: PairBatch) -> Tensor:
    """Mean logit difference after each patch, `[layer, position, head]`."""
    unrolled = UnrolledModel(model)
    cells = grid_cells(unrolled, SITES, LENGTH)
    with torch.no_grad():
        base, donor = unrolled.trace(batch.corrupted), unrolled.trace(batch.clean)
    metrics = [PatchMetric.LOGIT_DIFF]
    grids = [
        patched_metrics(unrolled, batch, each, base=base, donor=donor, metrics=metrics)
        for each in cells
    ]
    return torch.stack(grids)[:, :, :, 0].mean(-1)


def attribution(model: HookedModel, batch: PairBatch) -> Tensor:
    """The linear estimate of each patch's change, `[layer, position, head, pair]`."""
    unrolled = UnrolledModel(model)
    cells = grid_cells(unrolled, SITES, LENGTH)
    with torch.no_grad():
        donor = unrolled.trace(batch.clean)
    metrics = [PatchMetric.LOGIT_DIFF]
    _, _, estimates = attribute(unrolled, batch, cells, batch.corrupted, donor, metrics)
    return estimates[:, 0].view(LAYERS, LENGTH, HEADS, -1)


def logit_difference(batch: PairBatch) -> Callable[[Tensor], Tensor]:
    """TransformerLens's metric: of all pairs' logits to their mean."""

    def metric(logits: Tensor) -> Tensor:
        last = logits[:, -1]
        answer, foil = last.gather(1, batch.answers), last.gather(1, batch.foils[:, None])
        return (answer - foil).mean()

    return metric


def check(model: HookedModel, batch: PairBatch, theirs: Callable[[], Tensor]) -> None:
    """Stops unless both sides say the same."""
    from transformer_lens.tools.analysis import attribution_patch

    base = logit_difference(batch)(model.logits(batch.corrupted))
    reference = theirs()
    error = ((exact_grid(model, batch) - reference).norm() / (reference - base).norm()).item()
    ours, worst = attribution(model, batch), 0.0
    for i in range(len(batch.foils)):
        single = PairBatch(
            clean=batch.clean[i : i + 1],
            corrupted=batch.corrupted[i : i + 1],
            answers=batch.answers[i : i + 1],
            foils=batch.foils[i : i + 1],
            roles=batch.roles,
            masks=batch.masks[:, i : i + 1],
        )
        found = attribution_patch(
            model.bridge, single.clean, single.corrupted, logit_difference(single)
        )
        for node, score in found.node_scores.items():
            if node.kind == "attn_head_out":
                cell = ours[node.layer, node.position, node.head, i]
                worst = max(worst, abs(score - cell.item()))
    model.bridge.zero_grad(set_to_none=True)
    print(f"exact grid: relative error {error:.1e}; attribution by head: {worst:.1e}")
    if error > GRID_GATE or worst > ATTRIBUTION_GATE:
        raise SystemExit("the two sides differ: nothing is timed")


def main() -> None:
    """Checks, then times both sides in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    rounds = 1 if parser.parse_args().quick else 3
    torch.set_num_threads(1)
    print(describe_machine("torch", "transformers", "transformer-lens"))

    from transformer_lens import patching

    setattr(patching, "tqdm", lambda iterable, **_: iterable)  # noqa: B010  (no progress bars)
    model = make_model(LAYERS, HEADS, WIDTH, VOCABULARY)
    for n_pairs in (1, 8):
        batch = make_batch(n_pairs)
        with torch.no_grad():
            _, cache = model.bridge.run_with_cache(batch.clean)

        @torch.no_grad()
        def theirs(batch: PairBatch = batch, cache: object = cache) -> Tensor:
            sweep = patching.get_act_patch_attn_head_out_by_pos
            found = sweep(model.bridge, batch.corrupted, cache, logit_difference(batch))  # pyright: ignore
            assert isinstance(found, Tensor)
            return found

        check(model, batch, theirs)
        sides = {
            "TransformerLens": theirs,
            "exact": lambda batch=batch: exact_grid(model, batch),
            "attribution": lambda batch=batch: attribution(model, batch),
        }
        times = time_in_turn(sides, rounds=rounds)
        slow = times["TransformerLens"].cpu
        print(f"{n_pairs} pair(s), {LAYERS * HEADS * LENGTH} cells: TransformerLens {slow:.2f} s")
        for name in ("exact", "attribution"):
            own = times[name].cpu
            print(f"  {name} {1e3 * own:.0f} ms: {slow / own:.1f} times as fast")


if __name__ == "__main__":
    main()
