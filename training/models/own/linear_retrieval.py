"""One layer, one head, linear attention, no MLP: retrieval whose value matrix is factorised or not.

The parametrisation of Huang et al. 2025 (arXiv 2506.10887), in which a factorised output-value
matrix carries a rule over to subjects that it was never shown for, and a merged one does not:

    f(X) = W_OV X^T X W_KQ x_T     with W_OV = W_O W_V (factorised) or one matrix (merged)

X holds one row for each token, each a one-hot vector as long as the vocabulary, so that W_KQ says
how much each token is attended to from the last one, and column `t` of W_OV what token `t` adds to
the logits. All matrices are trained. W_KQ begins with ones: every token is attended to alike.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

FIRST_STD = 0.02
"""Standard deviation of the first weights of the value matrices."""


class LinearRetrievalConfig(PreTrainedConfig):
    """The sizes of the model.

    Attributes:
        vocab_size: Tokens, which are the model's dimensions.
        is_factorised: Whether W_OV is a product of two trained matrices.
        head_size: The inner dimension of the product; 0 for that of the vocabulary.
    """

    model_type = "linear_retrieval"

    def __init__(
        self, vocab_size: int = 2, is_factorised: bool = True, head_size: int = 0, **others: Any
    ) -> None:
        """Keeps the sizes."""
        self.vocab_size = vocab_size
        self.is_factorised = is_factorised
        self.head_size = head_size
        super().__init__(**others)


class LinearRetrieval(PreTrainedModel):
    """The model; see the head of this file."""

    config_class = LinearRetrievalConfig

    def __init__(self, config: LinearRetrievalConfig) -> None:
        """Makes room for the weights, which `_init_weights` draws."""
        super().__init__(config)
        d, inner = config.vocab_size, config.head_size or config.vocab_size
        self.W_KQ = nn.Parameter(torch.empty(d, d))
        if config.is_factorised:
            self.W_O = nn.Parameter(torch.empty(d, inner))
            self.W_V = nn.Parameter(torch.empty(inner, d))
        else:
            self.W_OV = nn.Parameter(torch.empty(d, d))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        for name, weight in module.named_parameters(recurse=False):
            if name == "W_KQ":
                nn.init.ones_(weight)
            else:
                nn.init.normal_(weight, std=FIRST_STD)

    def value_matrix(self) -> Float[Tensor, "to from"]:
        """W_OV: in column `t` what token `t` adds to each logit when attended to once."""
        return self.W_O @ self.W_V if self.config.is_factorised else self.W_OV

    def features(self, tokens: Int[Tensor, " token"], *, is_said: bool) -> Int[Tensor, " token"]:
        """The tokens themselves, read or said: all vectors are one-hot."""
        return tokens

    def states(self, tokens: Int[Tensor, "example pos"]) -> dict[str, Tensor]:
        """None: nothing stands between the layer and the logits."""
        return {}

    def forward(self, input_ids: Int[Tensor, "example pos"], **_: Any) -> CausalLMOutput:
        """The logits of the next token at every position, each from the tokens up to there."""
        n = input_ids.shape[1]
        attended = self.W_KQ[input_ids[:, None, :], input_ids[:, :, None]]
        seen = torch.ones(n, n, dtype=torch.bool, device=input_ids.device).tril()
        values = nn.functional.embedding(input_ids, self.value_matrix().T)
        return CausalLMOutput(logits=(attended * seen) @ values)  # pyright: ignore[reportArgumentType]


def enter() -> None:
    """Makes the model known to transformers."""
    AutoConfig.register(LinearRetrievalConfig.model_type, LinearRetrievalConfig)
    AutoModelForCausalLM.register(LinearRetrievalConfig, LinearRetrieval)
