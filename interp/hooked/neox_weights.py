"""How do GPT-NeoX weights get into a bridge that is already built?

TransformerLens splits the fused `query_key_value` matrix into three matrices when it wraps a
model, and reads only the three from then on. A state dict of the plain model therefore lacks
them; this module adds them, so that another checkpoint loads into a standing bridge without
wrapping it anew (several times faster).
"""

from einops import rearrange
from torch import Tensor
from transformers import GPTNeoXForCausalLM

_FUSED = ".attention.query_key_value."


def neox_bridge_state(model: GPTNeoXForCausalLM) -> dict[str, Tensor]:
    """Every weight of `model` under the names that a bridge over a GPT-NeoX accepts.

    These are the plain model's own names, the fused matrices included (they must not go stale,
    weight processing reads them), and `attn.q`, `attn.k`, `attn.v` of every block beside them.
    Tensors share memory with the model's, except the split ones.
    """
    state = dict(model.state_dict())
    for name, fused in model.state_dict().items():
        if _FUSED not in name:
            continue
        block, kind = name.split(_FUSED)
        layer = block.rsplit(".", maxsplit=1)[-1]
        # GPT-NeoX interleaves: the rows of head 0's q, k and v, then those of head 1, ...
        parts = rearrange(
            fused,
            "(head part d_head) ... -> part (head d_head) ...",
            head=model.config.num_attention_heads,
            part=3,
        )
        for letter, part in zip("qkv", parts, strict=True):
            state[f"blocks.{layer}.attn.{letter}.{kind}"] = part
    return state
