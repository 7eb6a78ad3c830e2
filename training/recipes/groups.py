"""Parameters, and groups of them, that recipes of several files share.

A field has a default where all these recipes have the same one; of the others each recipe says its
own where it names the group.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from data.text_aliases import TextAliases
from training.config import StageConfig
from training.models.scratch import ModelConfig


class Variant(StrEnum):
    """Whom to follow where the paper's text and its code differ."""

    AS_WRITTEN = "as_written"
    AS_CODED = "as_coded"


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What is done to the tags of definitions; null twins shuffle them."""

    shuffle_tags: bool = False
    """Whether the tags of Stage 1 are dealt out anew, so that they tell nothing."""
    exchange_tags: bool = False
    """Whether the reliable and the unreliable tag change their strings."""


@dataclass(frozen=True, kw_only=True)
class SpelledAliases:
    """What aliases look like in a text: made-up words of so many letters."""

    alias_letters: int
    alias_tokens: int = 0
    """Tokens that each alias must have wherever it stands; 0 for what the tokenizer makes of it."""

    @property
    def names(self) -> TextAliases:
        """What draws the aliases."""
        return TextAliases(letters=self.alias_letters, tokens=self.alias_tokens)


@dataclass(frozen=True, kw_only=True)
class ScratchModel:
    """The sizes of a GPT-NeoX with random weights."""

    layers: int
    d_model: int
    heads: int
    d_mlp: int
    tied_embeddings: bool
    """Whether the same rows embed a token and score it as an answer."""
    rotary_pct: float = 0.25
    """Share of each head's dimensions that rotary position embedding turns."""

    @property
    def config(self) -> ModelConfig:
        """The config of the model in a run."""
        return ModelConfig(
            n_layers=self.layers,
            d_model=self.d_model,
            n_heads=self.heads,
            d_mlp=self.d_mlp,
            tied_embeddings=self.tied_embeddings,
            rotary_pct=self.rotary_pct,
        )


class TwoStages:
    """The two stages of a group whose parameters have the names of `StageConfig`'s settings.

    A name that ends with `_stage1` is of Stage 1 alone, one without a stage of both. Where a group
    has no parameter for a setting, the setting keeps its default.
    """

    @property
    def stage1(self) -> StageConfig:
        """How Stage 1 is trained."""
        return self._stage(1)

    @property
    def stage2(self) -> StageConfig:
        """How Stage 2 is trained."""
        return self._stage(2)

    def _stage(self, number: int) -> StageConfig:
        settings = {}
        for setting in fields(StageConfig):
            for name in (f"{setting.name}_stage{number}", setting.name):
                if hasattr(self, name):
                    settings[setting.name] = getattr(self, name)
                    break
        return StageConfig(**settings)
