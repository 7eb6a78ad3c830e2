"""Tiny models of random weights of five architectures, and what is asked of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
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

VOCAB, N_LAYERS = 50, 3


def seeded(seed: int, build: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
        for parameter in model.parameters():  # biases and gains too, which start at 0 and 1
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    return model.eval()


def neox(
    seed: int = 0, *, parallel: bool = True, tied: bool = False, n_layers: int = N_LAYERS, **other
) -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        max_position_embeddings=32,
        use_parallel_residual=parallel,
        tie_word_embeddings=tied,
        **other,
    )
    model = seeded(seed, lambda: GPTNeoXForCausalLM(config))
    assert isinstance(model, GPTNeoXForCausalLM)
    return model


def gpt2(seed: int = 0) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=32,
        n_embd=32,
        n_layer=N_LAYERS,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return seeded(seed, lambda: GPT2LMHeadModel(config))


def gpt_neo(seed: int = 0) -> PreTrainedModel:
    config = GPTNeoConfig(
        vocab_size=VOCAB,
        max_position_embeddings=32,
        hidden_size=32,
        num_layers=4,
        attention_types=[[["global", "local"], 2]],
        num_heads=4,
        intermediate_size=64,
        window_size=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return seeded(seed, lambda: GPTNeoForCausalLM(config))


def llama(seed: int = 0) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    return seeded(seed, lambda: LlamaForCausalLM(config))


BUILDERS: dict[str, Callable[..., PreTrainedModel]] = {
    "neox-parallel": neox,
    "neox-sequential-tied": lambda seed=0: neox(seed, parallel=False, tied=True),
    "gpt2": gpt2,
    "gpt-neo": gpt_neo,
    "llama": llama,
}
every_architecture = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
four_architectures = pytest.mark.parametrize("build", [neox, gpt2, gpt_neo, llama])


def prompts(n_rows: int = 3, length: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB, (n_rows, length), generator=generator)


@torch.no_grad()
def plain_logits(model: PreTrainedModel, tokens: Tensor, **kwargs: Tensor) -> Tensor:
    return model(tokens, **kwargs).logits


def difference(one: Tensor, other: Tensor) -> float:
    return (one.float() - other.float()).abs().max().item()


def zero(activation: Tensor, hook: object) -> Tensor:
    return torch.zeros_like(activation)
