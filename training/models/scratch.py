"""Models from scratch: a GPT-NeoX of any size, with random weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import InputError
from training.seeds import derive_seed

if TYPE_CHECKING:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )

ROPE_BASE = 10_000.0
"""Base of the rotary frequencies, as in Pythia."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A GPT-NeoX (the architecture of Pythia) of any size, with random weights."""

    n_layers: int
    d_model: int
    n_heads: int
    d_mlp: int
    tied_embeddings: bool
    rotary_pct: float
    """Share of each head's dimensions that rotary position embedding turns."""
    parallel_residual: bool = True
    """Whether the MLP of a layer reads what its attention reads, as in Pythia; else, as in GPT-2,
    what its attention has written, too."""

    def __post_init__(self) -> None:
        """Refuses sizes that make no transformer."""
        for name in ("n_layers", "d_model", "n_heads", "d_mlp"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.d_model % self.n_heads:
            raise InputError(
                f"d_model {self.d_model} is no multiple of n_heads {self.n_heads}; change one"
            )
        rotary_dimensions = int(self.d_model // self.n_heads * self.rotary_pct)
        if not 0 <= self.rotary_pct <= 1 or rotary_dimensions % 2:
            raise InputError(
                f"rotary_pct {self.rotary_pct:g} turns {rotary_dimensions} of a head's "
                f"{self.d_model // self.n_heads} dimensions; use a share from 0 to 1 that turns an "
                "even number"
            )

    @property
    def name(self) -> str:
        """What the `model` column of every table says."""
        tied = "tied" if self.tied_embeddings else "untied"
        order = "" if self.parallel_residual else "-sequential"
        return f"gpt_neox-L{self.n_layers}-d{self.d_model}-h{self.n_heads}-{tied}{order}"

    @property
    def description(self) -> str:
        """The architecture of the model in a line."""
        return f"{self.name}, {self.d_mlp} units in each MLP"

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether it has an encoder: a GPT-NeoX has none."""
        return False

    def check(self) -> None:
        """Finds nothing missing: no file is needed for random weights."""

    def prepare(self) -> None:
        """Does nothing: every seed draws weights of its own when it begins."""

    def make(
        self, tokenizer: "PreTrainedTokenizerFast", *, seed: int, max_length: int
    ) -> "PreTrainedModel":
        """A model with random weights that depend on `seed` alone, as long as it needs to be."""
        end_token = tokenizer.eos_token_id
        assert isinstance(end_token, int)
        return build_model(
            self,
            vocabulary_size=len(tokenizer),
            max_length=max_length,
            end_token=end_token,
            seed=seed,
        )


def build_model(
    config: ModelConfig, *, vocabulary_size: int, max_length: int, end_token: int, seed: int
) -> "PreTrainedModel":
    """A GPT-NeoX without dropout, with weights that depend on `seed` alone.

    Args:
        config: The sizes of the model.
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
        use_parallel_residual=config.parallel_residual,
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
