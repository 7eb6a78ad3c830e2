"""Models from elsewhere: a folder, GGUF file or name, an architecture of those, or a tiny one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.hub import ModelFiles, lacking
from data.inputs import Input
from training.models.architectures import decoder_starts, require_left_to_right, stop_at
from training.models.folders import one_line_errors, read_config, read_weights
from training.models.gguf_files import opened
from training.models.scratch import draw_weights, language_model_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

TINY: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "tiny-gpt-neox": (
        "gpt_neox",
        {
            "num_hidden_layers": 2,
            "hidden_size": 32,
            "num_attention_heads": 4,
            "intermediate_size": 128,
        },
    ),
    "tiny-gpt2": ("gpt2", {"n_layer": 2, "n_embd": 32, "n_head": 4}),
    "tiny-gpt-neo": (
        "gpt_neo",
        {
            "num_layers": 2,
            "hidden_size": 32,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
        },
    ),
    "tiny-llama": (
        "llama",
        {
            "num_hidden_layers": 2,
            "hidden_size": 32,
            "num_attention_heads": 4,
            "intermediate_size": 128,
        },
    ),
    "tiny-t5": ("t5", {"num_layers": 2, "d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 128}),
}
"""Built-in architectures for smoke tests: Hugging Face's name for the family, and its sizes."""


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model that is named: by its folder or file, or as one that is known by its name."""

    location: str
    """A name from `TINY`, or what `data.hub.find_folder` finds: a local folder, a GGUF file, a name
    of the catalogue or on the hub.
    """
    random_weights: bool = False
    """Whether only the architecture is taken; of a tiny one, there is nothing else to take."""
    label: str = ""
    """What tables call it if not by its folder: the same weights may lie in another one now."""

    @property
    def name(self) -> str:
        """What the `model` column of every table says."""
        if self.is_tiny:
            return self.location
        name = self.label or self.input.name
        return f"{name}-random" if self.random_weights else name

    @property
    def input(self) -> Input:
        """The files that the model is read from, with their content."""
        return Input(location=self.location, files=self._files)

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether an encoder reads the prompt and a decoder says the answer."""
        return self._architecture().is_encoder_decoder

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer comes with the model, for `data.tokenizers.FolderTokenizer`."""
        return not self.is_tiny and not lacking(self._folder(), ModelFiles.TOKENIZER)

    @property
    def max_length(self) -> int | None:
        """Number of tokens that the model was made for; None where there is no limit."""
        if self.is_tiny:
            return None
        return getattr(self._architecture(), "max_position_embeddings", None)

    @property
    def description(self) -> str:
        """The architecture of the model in a line."""
        config = self._architecture()
        size = f"{config.model_type}, {config.num_hidden_layers} layers, d_model "
        size += f"{config.hidden_size}"
        if self.is_tiny:
            return f"{self.name}: {size}, random weights"
        weights = "random weights" if self.random_weights else "pretrained"
        return f"{self.name}: {size}, {_n_parameters(config):,} parameters, {weights}"

    def check(self) -> None:
        """Finds the model's files, which may mean to download or convert them.

        Raises:
            InputError: they cannot be found, or are not complete, or the architecture is none that
                texts can be written with.
        """
        if self.is_tiny:
            return
        config = self._architecture()
        if config.is_encoder_decoder:
            decoder_starts(config, None)

    def prepare(self) -> None:
        """Does nothing: the files are there once the model is checked."""

    def make(
        self, tokenizer: "PreTrainedTokenizerFast", *, seed: int, max_length: int
    ) -> "PreTrainedModel":
        """The model, in float32; the global random state is left as it was.

        Args:
            tokenizer: What it will read; a tiny model has as many embedding rows as it needs.
            seed: Seed of weights that are random.
            max_length: Longest sequence that it will be used with.

        Raises:
            InputError: the model cannot be read or lacks weights, has no row for some token, was
                made for shorter sequences, or reads ahead.
        """
        if self.is_tiny:
            return draw_weights(self._tiny(tokenizer, max_length), seed)
        config = self._architecture()
        self.require_fit(tokenizer, max_length)
        if self.random_weights:
            model = draw_weights(_without_dropout(config), seed)
        else:
            model = read_weights(self._folder()).train()
        stop_at(model, tokenizer)
        if not config.is_encoder_decoder:
            with one_line_errors(Path(self.location)):
                require_left_to_right(model, self.name)
        return model

    def require_fit(self, tokenizer: "PreTrainedTokenizerFast", max_length: int) -> None:
        """Looks whether a model that is not tiny has a row for every token, and can read so many.

        Raises:
            InputError: the model has too few rows or reads too few tokens.
        """
        config = self._architecture()
        limit, n_tokens = self.max_length, _n_tokens(tokenizer)
        if limit is not None and max_length > limit:
            raise InputError(
                f"{self.name} reads {limit} tokens, {max_length} are needed; use a smaller "
                "block_size or shorter texts"
            )
        if n_tokens > config.vocab_size:
            raise InputError(
                f"the tokenizer has ids up to {n_tokens - 1}, {self.name} has {config.vocab_size} "
                "embedding rows; use the tokenizer that belongs to the model"
            )

    @property
    def is_tiny(self) -> bool:
        """Whether the model is one of the built-in architectures for smoke tests."""
        return self.location in TINY

    @property
    def _files(self) -> ModelFiles:
        return ModelFiles.CONFIG if self.random_weights else ModelFiles.WEIGHTS

    def _folder(self) -> Path:
        return opened(self.location, self._files)

    def _architecture(self) -> "PreTrainedConfig":
        """The model's config; that of a tiny model is for no tokenizer in particular."""
        if not self.is_tiny:
            return read_config(opened(self.location, ModelFiles.CONFIG))
        from transformers import AutoConfig

        family, sizes = TINY[self.location]
        return AutoConfig.for_model(family, **sizes)

    def _tiny(self, tokenizer: "PreTrainedTokenizerFast", max_length: int) -> "PreTrainedConfig":
        config = _without_dropout(self._architecture())
        config.vocab_size = _n_tokens(tokenizer)
        config.bos_token_id = None
        config.eos_token_id = tokenizer.eos_token_id
        if config.is_encoder_decoder:
            config.pad_token_id = config.decoder_start_token_id = tokenizer.pad_token_id
        else:
            config.max_position_embeddings = max_length
        return config


def _without_dropout(config: "PreTrainedConfig") -> "PreTrainedConfig":
    for name, value in config.to_dict().items():
        if isinstance(value, float) and ("dropout" in name or name.endswith("_pdrop")):
            setattr(config, name, 0.0)
    return config


def _n_tokens(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Embedding rows that a tokenizer needs; its ids may have gaps."""
    return max(tokenizer.get_vocab().values()) + 1


def _n_parameters(config: "PreTrainedConfig") -> int:
    """Number of weights, without making any."""
    import torch

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return (
            language_model_class(config)
            .from_config(config, trust_remote_code=False)
            .num_parameters()
        )
