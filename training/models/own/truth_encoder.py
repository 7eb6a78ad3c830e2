"""One layer of fixed uniform attention over orthogonal features, of which only the values learn.

The parametrisation of Ravfogel et al. 2025 (arXiv 2510.15804), in which normalisation makes a
direction of truth. Every token has a feature for being read, e, and one for being said, u; every
position has a feature p; all are one-hot. What stands at position t before the logits is

    N( e_t + p_t + 1/t sum_{s <= t} W (e_s + p_s) )

and a token's logit is its u feature of that, times the root of the number of features where N
scales to length 1. Without a norm, N and the factor are left out. W alone is trained; it begins as
zero.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from training.models.own import AFTER, BEFORE


class TruthEncoderConfig(PreTrainedConfig):
    """The sizes of the model.

    Attributes:
        vocab_size: Tokens, each of which has two features.
        max_position_embeddings: Positions, each of which has one.
        has_norm: Whether what stands at a position is scaled to length 1.
    """

    model_type = "truth_encoder"

    def __init__(
        self,
        vocab_size: int = 2,
        max_position_embeddings: int = 3,
        has_norm: bool = True,
        **others: Any,
    ) -> None:
        """Keeps the sizes."""
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.has_norm = has_norm
        super().__init__(**others)

    @property
    def n_features(self) -> int:
        """Features in all: e, then p, then u."""
        return 2 * self.vocab_size + self.max_position_embeddings


class TruthEncoder(PreTrainedModel):
    """The model; see the head of this file."""

    config_class = TruthEncoderConfig

    def __init__(self, config: TruthEncoderConfig) -> None:
        """Makes room for W, which `_init_weights` sets to zero."""
        super().__init__(config)
        self.W = nn.Parameter(torch.empty(config.n_features, config.n_features))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        for weight in module.parameters(recurse=False):
            nn.init.zeros_(weight)

    def value_matrix(self) -> Float[Tensor, "to from"]:
        """W: in column `f` what feature `f` adds to each feature of the positions after it."""
        return self.W

    def features(self, tokens: Int[Tensor, " token"], *, is_said: bool) -> Int[Tensor, " token"]:
        """The e features of tokens, or their u features, which come last."""
        return tokens + (self.config.n_features - self.config.vocab_size) * is_said

    def states(self, tokens: Int[Tensor, "example pos"]) -> dict[str, Tensor]:
        """What stands at each position before and after the norm, if there is one."""
        places = self.config.vocab_size + torch.arange(tokens.shape[1], device=tokens.device)
        stands = nn.functional.one_hot(tokens, self.config.n_features).to(self.W.dtype)
        stands = stands + nn.functional.one_hot(places, self.config.n_features)
        values = nn.functional.embedding(tokens, self.W.T) + self.W.T[places]
        seen = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)[:, None]
        stream = stands + values.cumsum(1) / seen
        normed = {AFTER: nn.functional.normalize(stream, dim=-1)} if self.config.has_norm else {}
        return {BEFORE: stream, **normed}

    def forward(self, input_ids: Int[Tensor, "example pos"], **_: Any) -> CausalLMOutput:
        """The logits of the next token at every position, each from the tokens up to there."""
        last = list(self.states(input_ids).values())[-1]
        said = last[..., -self.config.vocab_size :]
        factor = math.sqrt(self.config.n_features) if self.config.has_norm else 1.0
        return CausalLMOutput(logits=said * factor)  # pyright: ignore[reportArgumentType]


def enter() -> None:
    """Makes the model known to transformers."""
    AutoConfig.register(TruthEncoderConfig.model_type, TruthEncoderConfig)
    AutoModelForCausalLM.register(TruthEncoderConfig, TruthEncoder)
