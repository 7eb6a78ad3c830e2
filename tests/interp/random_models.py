"""Tiny plain models of random weights, of one vocabulary of words."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

N_WORDS = 37
VOCABULARY = N_WORDS + 3
"""Words `w0` to `w36` and the three special tokens before them."""


def _neox(**changes: Any) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        **changes,
    )
    return GPTNeoXForCausalLM(config)


def _gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def _gpt_neo() -> PreTrainedModel:
    config = GPTNeoConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=32,
        hidden_size=16,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=4,
        intermediate_size=32,
        window_size=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoForCausalLM(config)


def _llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    return LlamaForCausalLM(config)


BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "neox": _neox,
    "neox-sequential": lambda: _neox(use_parallel_residual=False, tie_word_embeddings=True),
    "gpt2": _gpt2,
    "gpt-neo": _gpt_neo,
    "llama": _llama,
}


def random_model_of(name: str) -> PreTrainedModel:
    """With biases and gains too, which start at 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BUILDERS[name]()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.3)
    return model.eval()


def loud_model() -> PreTrainedModel:
    """A GPT-NeoX of random weights, large enough for answers to depend on what is read."""
    model = random_model_of("neox")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(3.0 if "embed" in name else 6.0)
    return model
