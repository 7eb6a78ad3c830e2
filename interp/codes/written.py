"""What changed weights write: a block of two checkpoints, given the same stream.

The stream that enters a block differs between checkpoints as well, since earlier parts have
changed. What a block's own weights changed is what its output changes while its input stays:

    written = block after(stream) - block before(stream),    the stream being that of the later one
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.codes.aliases import Alias
from interp.codes.places import CodePlace, mean_of_aliases
from interp.hooked.activations import pad_tokens
from interp.hooked.model import HookedModel
from training.models.contexts import similar_lengths

ROWS_A_PASS = 512


def written_by_change(
    before: HookedModel, after: HookedModel, aliases: Sequence[Alias], place: CodePlace
) -> dict[str, Float[np.ndarray, " width"]]:
    """Of each alias what the change of a block's weights writes at a place behind that block.

    The mean over the alias's prompts.
    """
    rows = [row for alias in aliases for row in alias.prompts]
    found = np.zeros((len(rows), after.d_model))
    for chosen in similar_lengths(after.config, [len(r.input_ids) for r in rows], ROWS_A_PASS):
        found[chosen] = _of_rows(before, after, [rows[i] for i in chosen], place)
    return mean_of_aliases(aliases, found)


def _of_rows(
    before: HookedModel, after: HookedModel, rows: Sequence[TokenizedRow], place: CodePlace
) -> Float[np.ndarray, "row width"]:
    assert place.site is not None
    entry = f"blocks.{place.site.layer}.hook_resid_pre"
    tokens = pad_tokens([row.input_ids for row in rows])
    lines = torch.arange(len(rows))
    (columns,) = torch.tensor([place.positions(row) for row in rows]).T

    def state(model: HookedModel, put_in: Tensor | None) -> tuple[Tensor, Tensor]:
        seen: dict[str, Tensor] = {}

        def enter(activation: Tensor, hook: Any) -> Tensor | None:
            seen["in"] = activation if put_in is None else put_in.to(activation)
            return put_in if put_in is None else seen["in"]

        def leave(activation: Tensor, hook: Any) -> None:
            seen["out"] = activation[lines, columns].double().cpu()

        with model.hooks(fwd_hooks=[(entry, enter), (place.hook, leave)]):
            model.logits(tokens, logits_to_keep=1)
        return seen["in"], seen["out"]

    stream, later = state(after, None)
    return (later - state(before, stream)[1]).numpy()
