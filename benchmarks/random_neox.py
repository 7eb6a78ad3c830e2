"""A GPT-NeoX of random weights, as benchmarks of ablation and patching need one."""

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from interp.hooked.model import HookedModel


def make_model(layers: int, heads: int, width: int, n_words: int) -> HookedModel:
    """Random weights, larger than initial ones, so that components matter."""
    config = GPTNeoXConfig(
        vocab_size=n_words,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=64,
        use_cache=False,
    )
    torch.manual_seed(0)
    model = GPTNeoXForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return HookedModel.from_hf(model)
