"""Which head tells which later head what it needs for the answer?

`patch_direct_paths` gives one head's query, key or value input the clean run's message of one
earlier head, all else being the corrupted run's, and reads the logit difference at the prompt's
end: the first token of the clean prompt's answer against that of the corrupted prompt's answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.pairs import PromptPair
from interp.edges.graph import refuse_shared_keys, switched_hooks
from interp.edges.scores import PairTokens, pair_batches, refuse_no_difference
from interp.hooked.model import HookedModel

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

PATH_COLUMNS = (
    "source_layer",
    "source_head",
    "destination_layer",
    "destination_head",
    "component",
    "effect",
)

Component = Literal["q", "k", "v"]
Head = tuple[int, int]
"""A head: its layer and its number."""


@torch.no_grad()
def patch_direct_paths(
    model: HookedModel,
    pairs: Sequence[PromptPair],
    *,
    sources: Sequence[Head] | None = None,
    components: Sequence[Component] = ("q", "k", "v"),
    batch_size: int = 256,
) -> pd.DataFrame:
    """What the clean run's message from one head to another's input does to the corrupted run.

    Exact, in TransformerLens's `get_act_patch_direct_path`: a pass for each path. Columns
    `source_layer, source_head, destination_layer, destination_head, component, effect, n`; of
    `effect`, 0 is the corrupted run's mean logit difference and 1 the clean run's.

    Args:
        model: Read only; nothing of it changes.
        pairs: Clean and corrupted prompts.
        sources: Layer and head of each source; all that have a later layer unless given.
        components: Which input of the destination is patched: query, key or value.
        batch_size: Pairs a pass.

    Raises:
        InputError: the pairs do not fit, a source does not exist or has no later layer, all pairs
            together show no difference, or TransformerLens shows no paths of this architecture.
    """
    PairTokens.of(pairs).check(model)
    if sources is None:
        sources = [(i, j) for i in range(model.n_layers - 1) for j in range(model.n_heads)]
    _check_sources(model, sources)
    _check_components(model, components)
    ends = torch.zeros(2, dtype=torch.float64)
    patched = torch.zeros(len(components), len(sources), model.n_layers, model.n_heads)
    with switched_hooks(model, "use_split_qkv_input"):
        for batch in pair_batches(pairs, batch_size):
            ends += _summed_ends(model, batch)
            patched += _summed_paths(model, batch, sources, components)
    corrupted, clean = (ends / len(pairs)).tolist()
    refuse_no_difference(clean - corrupted)
    effects = (patched.double() / len(pairs) - corrupted) / (clean - corrupted)
    rows = [
        (*source, layer, head, component, effects[i, j, layer, head].item())
        for i, component in enumerate(components)
        for j, source in enumerate(sources)
        for layer in range(source[0] + 1, model.n_layers)
        for head in range(model.n_heads)
    ]
    return pd.DataFrame(rows, columns=list(PATH_COLUMNS)).assign(n=len(pairs))


def _check_sources(model: HookedModel, sources: Sequence[Head]) -> None:
    if not sources:
        raise InputError(f"no source heads with a later layer among {model.n_layers}; give some")
    for layer, head in sources:
        if not (0 <= layer < model.n_layers - 1 and 0 <= head < model.n_heads):
            raise InputError(
                f"no paths from head {head} of layer {layer}; choose a layer from 0 to "
                f"{model.n_layers - 2}, which has a later one, and a head from 0 to "
                f"{model.n_heads - 1}"
            )


def _check_components(model: HookedModel, components: Sequence[str]) -> None:
    for component in components or ["(none)"]:
        if component not in get_args(Component):
            raise InputError(f"no component {component!r}; choose q, k or v")
    if set(components) - {"q"}:
        refuse_shared_keys(model, "paths into k and v")


def _summed_ends(model: HookedModel, batch: PairTokens) -> Float[Tensor, "2"]:
    """Logit differences of the corrupted and of the clean prompts, summed over pairs."""
    sides = (batch.corrupted, batch.clean)
    return torch.stack(
        [batch.logit_differences(model.logits(side)).double().sum().cpu() for side in sides]
    )


def _summed_paths(
    model: HookedModel,
    batch: PairTokens,
    sources: Sequence[Head],
    components: Sequence[Component],
) -> Float[Tensor, "component source layer head"]:
    """Logit differences with each path patched, summed over pairs; 0 up to the source's layer."""
    from transformer_lens.patching import get_act_patch_direct_path

    hooks = [f"blocks.{layer}.attn.hook_z" for layer in sorted({layer for layer, _ in sources})]
    caches = [
        model.run_with_cache(side, hooks, stop_at_layer="auto")[1]
        for side in (batch.clean, batch.corrupted)
    ]
    clean, corrupted = (cast("ActivationCache", cache) for cache in caches)
    tables = [
        get_act_patch_direct_path(
            model.bridge,
            batch.corrupted.to(model.device),
            clean,
            corrupted,
            lambda logits: batch.logit_differences(logits).sum(),
            src_layer=layer,
            src_head=head,
            component=component,
            verbose=False,
        )
        for component in components
        for layer, head in sources
    ]
    return torch.stack(tables).cpu().unflatten(0, (len(components), len(sources)))
