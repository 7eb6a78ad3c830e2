"""Direct logit attribution: which component writes the answer into the residual stream?

On a throw-away copy with folded norms and centred weights the contributions sum to the logit.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from data.tokens import TokenizedRow
from interp.activations import pad_tokens
from interp.addresses import Site, TokenRole
from interp.hooked import HookedModel


def attribute_logits(
    model: HookedModel, rows: Sequence[TokenizedRow], *, against: Sequence[int] | None = None
) -> pd.DataFrame:
    """What each component adds to the answer's logit at the prompt's end.

    Measured on a throw-away copy with folded norms and centred weights, on which the parts sum to
    the logit. Columns `row, component, layer, logit`; the component `bias` is the unembedding's.

    Args:
        model: Read only; the copy is made here.
        rows: Prompts with their answers.
        against: Token ids to subtract, one for each row, for a logit difference.
    """
    processed = model.processed()
    tokens = pad_tokens([row.input_ids for row in rows])
    ends = torch.tensor([TokenRole.PROMPT_LAST.position(row) for row in rows])
    answers = torch.tensor([row.input_ids[row.answer_positions[0]] for row in rows])
    hooks = {("embed", 0): Site("resid_pre", 0).hook}
    for layer in range(processed.n_layers):
        hooks["attn_out", layer] = Site("attn_out", layer).hook
        hooks["mlp_out", layer] = Site("mlp_out", layer).hook
    last = Site("resid_post", processed.n_layers - 1).hook
    _, cache = processed.run_with_cache(
        tokens, [*hooks.values(), last], positions=ends, stop_at_layer=None, device="cpu"
    )
    W_U, b_U = processed.W_U.cpu(), processed.b_U.cpu()
    directions, bias = W_U[:, answers].T, b_U[answers]
    if against is not None:
        others = torch.tensor(list(against))
        directions, bias = directions - W_U[:, others].T, bias - b_U[others]
    # The folded final norm only divides by the stream's root mean square, the same for every part:
    # layer norm's mean is 0 on centred weights, and RMS norm subtracts none.
    scale = (cache[last].square().mean(-1) + processed.bridge.cfg.eps).sqrt()
    tables = [
        pd.DataFrame(
            {
                "row": range(len(rows)),
                "component": component,
                "layer": layer,
                "logit": ((cache[hook] * directions).sum(-1) / scale).numpy(),
            }
        )
        for (component, layer), hook in hooks.items()
    ]
    tables.append(
        pd.DataFrame(
            {"row": range(len(rows)), "component": "bias", "layer": -1, "logit": bias.numpy()}
        )
    )
    return pd.concat(tables, ignore_index=True)
