"""Direct logit attribution: which component writes the answer into the residual stream?

The final norm divides the last stream by one number. With that number given, a logit is a sum of
what each component adds, and that the parts do add up to the model's own logits is checked.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.activations import check_rows, pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.components import EMBEDDING, write_hooks, writes
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import LogitReader
from training.models.contexts import similar_lengths

CENTRED, DIFFERENCE = "centred logit", "logit difference"
BATCH_SIZE = 256

Parts = dict[tuple[str, int], Float[Tensor, " row"]]
"""By component and layer."""


def attribute_logits(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    answers: Sequence[int] | None = None,
    against: Sequence[int] | None = None,
) -> pd.DataFrame:
    """What each component adds to the answer's centred logit at the prompt's end.

    A centred logit is one above the mean logit of the vocabulary. Columns `row, component, layer,
    logit, quantity`; the component `bias` is that of final norm and unembedding, and `quantity`
    says what the parts of a row sum to: a "centred logit", or a "logit difference".

    Args:
        model: Read only.
        rows: Prompts with their answers.
        answers: Token ids, one for each row, to read instead of the first tokens of its answer.
        against: Token ids, one for each row, whose logits to subtract instead of the mean.

    Raises:
        InputError: the parts do not add up to the model's own logits, as its architecture does
            more than can be told apart.
    """
    if not rows:
        raise InputError("no rows to attribute; choose others")
    check_rows(model, rows)
    reader = LogitReader.of(model.unembed)
    own_answers = [row.input_ids[row.answer_positions[0]] for row in rows]
    wanted = torch.tensor(own_answers if answers is None else list(answers))
    others = None if against is None else torch.tensor(list(against))
    directions, bias = reader.directions(wanted, others)
    found: Parts = {}
    own, divisors = torch.empty(len(rows)).double(), torch.empty(len(rows)).double()
    lengths = [len(row.input_ids) for row in rows]
    for chosen in similar_lengths(model.config, lengths, BATCH_SIZE):
        logits, cache = _at_ends(model, [rows[i] for i in chosen])
        last = cache[Site("resid_post", model.n_layers - 1).hook].double()
        divisors[chosen] = reader.norm.divisor(last)
        picked = logits.gather(1, wanted[chosen, None])[:, 0]
        own[chosen] = picked - (
            logits.mean(1) if others is None else logits.gather(1, others[chosen, None])[:, 0]
        )
        for key, written in _components(model, cache).items():
            parts = found.setdefault(key, torch.empty(len(rows)).double())
            parts[chosen] = (written * directions[chosen]).sum(-1)
    found = {key: parts / divisors for key, parts in found.items()} | {("bias", -1): bias}
    _check_sum(model, found, own)
    quantity = CENTRED if against is None else DIFFERENCE
    return pd.concat(
        [
            pd.DataFrame({"row": range(len(rows)), "component": component, "layer": layer,
                          "logit": parts.numpy(), "quantity": quantity})
            for (component, layer), parts in found.items()
        ],
        ignore_index=True,
    )  # fmt: skip


def _at_ends(
    model: HookedModel, rows: Sequence[TokenizedRow]
) -> tuple[Float[Tensor, "row d_vocab"], dict[str, Tensor]]:
    """Logits and what `_components` needs, at the last tokens of the prompts."""
    ends = torch.tensor([TokenRole.PROMPT_LAST.position(row) for row in rows])
    hooks = [hook for layer in range(model.n_layers) for hook in write_hooks(model, layer)]
    last = Site("resid_post", model.n_layers - 1).hook
    logits, cache = model.run_with_cache(
        pad_tokens([row.input_ids for row in rows]),
        list(dict.fromkeys([EMBEDDING, *hooks, last])),
        positions=ends,
        device="cpu",
    )
    assert logits is not None
    return logits[torch.arange(len(ends)), ends].double().cpu(), cache


def _components(
    model: HookedModel, cache: Mapping[str, Tensor]
) -> dict[tuple[str, int], Float[Tensor, "row d_model"]]:
    found = {("embed", 0): cache[EMBEDDING].double()}
    for layer in range(model.n_layers):
        attention, mlp = writes(model, cache, layer)
        found |= {("attn_out", layer): attention, ("mlp_out", layer): mlp}
    return found


def _check_sum(model: HookedModel, parts: Parts, own: Float[Tensor, " row"]) -> None:
    """Refuses parts that do not add up, up to the rounding of the model's own numbers."""
    stacked = torch.stack(list(parts.values()))
    off = (stacked.sum(0) - own).abs()
    rounding = 16 * torch.finfo(model.W_U.dtype).eps * stacked.abs().sum(0)
    if not (off <= rounding + 1e-4).all():
        row = int(off.argmax())
        raise InputError(
            f"what the components of {model.architecture} write does not add up to its logits "
            f"({stacked.sum(0)[row].item():.3f} of {own[row].item():.3f}); use patching"
        )
