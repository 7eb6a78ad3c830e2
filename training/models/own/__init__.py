"""Models that are no transformers, each in one file of this folder: what they must offer.

A model here is trained, saved, loaded and evaluated by what trains every other, because it is a
`PreTrainedModel` of transformers:

    configuration   a `PreTrainedConfig` with a `model_type` of its own, which holds nothing but
                    numbers, texts and truth values; `config.json` keeps them
    weights         parameters, drawn in `_init_weights` from torch's random state and nothing
                    else; `model.safetensors` keeps them
    forward         from `input_ids` alone to the logits of the next token at every position,
                    which may depend on no later token
    entry           `AutoConfig.register` and `AutoModelForCausalLM.register`, in the function
                    `enter` of its file, so that its folder opens as any other; nothing in a folder
                    is run

That is enough for `iml run`, `summary`, `report`, `sweep`, claims, and whatever reads gradients
(`iml align`). A model of one layer that `iml blocks` is to look into offers three things more,
those of `OneLayer`. What looks at blocks, heads and residual streams (`interp.hooked`) is made for
transformers and refuses these models by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from training.models.scratch import draw_weights

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BEFORE, AFTER = "before the norm", "after the norm"
"""What `OneLayer.states` calls what stands at a position before and after a norm."""


@runtime_checkable
class OneLayer(Protocol):
    """What `iml blocks` reads of a model of one layer."""

    def value_matrix(self) -> "Float[Tensor, 'to from']":
        """What the layer writes for each token or feature that it attends to."""
        ...

    def features(
        self, tokens: "Int[Tensor, ' token']", *, is_said: bool
    ) -> "Int[Tensor, ' token']":
        """The places of tokens among what `value_matrix` reads and writes.

        Args:
            tokens: Ids.
            is_said: Whether to give the features that make a token likely, not those that it is
                read by, where these are different.
        """
        ...

    def states(self, tokens: "Int[Tensor, 'example pos']") -> "dict[str, Tensor]":
        """What stands at each position before the logits, `BEFORE` and `AFTER` a norm.

        Each is of shape `example pos feature`; empty where nothing stands before the logits.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A model of this folder, with random weights, as a run's first model."""

    model_type: str
    """That of its configuration."""
    settings: Mapping[str, int | float | bool | str]
    """The rest of its configuration, but for the size of the vocabulary."""
    about: str
    """What it is, in a few words."""

    @property
    def name(self) -> str:
        """What the `model` column of every table says."""
        said = [f"{key}-{value}" for key, value in self.settings.items()]
        return "-".join([self.model_type, *said])

    @property
    def description(self) -> str:
        """The architecture of the model in a line."""
        said = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.about} ({said})"

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether it has an encoder: it has none."""
        return False

    def check(self) -> None:
        """Finds nothing missing: no file is needed for random weights."""

    def prepare(self) -> None:
        """Does nothing: every seed draws weights of its own when it begins."""

    def make(
        self, tokenizer: "PreTrainedTokenizerFast", *, seed: int, max_length: int
    ) -> "PreTrainedModel":
        """A model with random weights that depend on `seed` alone."""
        from transformers import AutoConfig

        enter_all()
        settings = {**self.settings, "vocab_size": len(tokenizer)}
        return draw_weights(AutoConfig.for_model(self.model_type, **settings), seed)


@cache
def enter_all() -> None:
    """Makes every model of this folder known to transformers, once in a process."""
    for module in sorted(iter_modules(__path__), key=lambda found: found.name):
        import_module(f"{__name__}.{module.name}").enter()
