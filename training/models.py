"""Models with random weights, and seeds derived for one purpose each."""

import hashlib
from typing import TYPE_CHECKING

from training.config import ModelConfig

if TYPE_CHECKING:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        PreTrainedConfig,
        PreTrainedModel,
    )

ROPE_BASE = 10_000.0
"""Base of the rotary frequencies, as in Pythia."""


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that no two uses of a seed share a random stream."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def build_model(
    config: ModelConfig, *, vocabulary_size: int, max_length: int, end_token: int, seed: int
) -> "PreTrainedModel":
    """A GPT-NeoX with parallel residual, no dropout, and weights that depend on `seed` alone.

    Args:
        config: Its sizes.
        vocabulary_size: Number of embedding rows.
        max_length: Longest sequence that it will be used with.
        end_token: Id of the end token, which generation stops at.
        seed: Seed of the initial weights; the global random state is left as it was.
    """
    from transformers import GPTNeoXConfig

    architecture = GPTNeoXConfig(
        vocab_size=vocabulary_size,
        hidden_size=config.d_model,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        intermediate_size=config.d_mlp,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": ROPE_BASE,
            "partial_rotary_factor": config.rotary_pct,
        },
        max_position_embeddings=max_length,
        tie_word_embeddings=config.tied_embeddings,
        use_parallel_residual=True,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=end_token,
    )
    return draw_weights(architecture, seed)


def draw_weights(architecture: "PreTrainedConfig", seed: int) -> "PreTrainedModel":
    """A float32 model with random weights, which depend on `seed` alone.

    The global random state is left as it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return language_model_class(architecture).from_config(
            architecture, dtype=torch.float32, trust_remote_code=False
        )


def language_model_class(
    architecture: "PreTrainedConfig",
) -> "type[AutoModelForCausalLM | AutoModelForSeq2SeqLM]":
    """What makes and loads models of an architecture, decoder-only or encoder-decoder."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if architecture.is_encoder_decoder else AutoModelForCausalLM
