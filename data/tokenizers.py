"""Tokenizers of text experiments: one from elsewhere, or one trained on a world's own texts.

Every tokenizer here reports character offsets, has an end token, and pads with it unless it has a
token for that, as in the paper's code.
"""

import copy
import functools
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from data.errors import InputError, reading
from data.facts import FactWorld, WorldProvider
from data.hub import ModelFiles, find_folder
from data.inputs import Input
from data.kept_models import is_gguf
from data.texts import Writing, question_text
from data.vocabulary import Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_TOKENS = ("<|endoftext|>", "</s>")
"""End tokens to look for, in this order, where a bare tokenizer.json does not name one."""
N_BYTES = 256


class Bos(StrEnum):
    """What stands in front of every text."""

    AUTO = "auto"
    """What the tokenizer itself puts there: `<s>` of most Llama-likes, nothing of Pythia."""
    NONE = "none"
    """Nothing, as in the paper's code, whatever the model was trained with."""


@runtime_checkable
class TokenizerProvider(Protocol):
    """A frozen config that gives a tokenizer, which it reads or makes."""

    def load(self) -> "PreTrainedTokenizerFast":
        """The tokenizer; the same in every process, and the same object within one."""
        ...


@dataclass(frozen=True, kw_only=True)
class FolderTokenizer:
    """A pretrained tokenizer, as it is."""

    location: str
    """A model's folder or GGUF file, a tokenizer.json file of any name, a name of the catalogue, or
    one on the hub.
    """
    bos: Bos = Bos.AUTO

    def load(self) -> "PreTrainedTokenizerFast":
        """Reads the tokenizer.

        Raises:
            InputError: there is no tokenizer, it cannot be read, has no end token or no offsets.
        """
        return _read(
            self.location,
            self.bos,
            Input(location=self.location, files=ModelFiles.TOKENIZER).sha256(),
        )


@dataclass(frozen=True, kw_only=True)
class TrainedTokenizer:
    """Byte pairs of a world's own texts, cut into words as by GPT-NeoX's tokenizer."""

    texts: WorldProvider | tuple[str, ...]
    """What it is trained on; of a world, every question with its first answer."""
    vocabulary_size: int
    """Most tokens, the 256 bytes and the end token among them; few texts make fewer."""

    def __post_init__(self) -> None:
        """Refuses a vocabulary that could not spell every text."""
        if self.vocabulary_size <= N_BYTES:
            raise InputError(
                f"vocabulary_size is {self.vocabulary_size}; use {N_BYTES + 1} or more"
            )

    def load(self) -> "PreTrainedTokenizerFast":
        """Trains the tokenizer on its texts."""
        texts = self.texts if isinstance(self.texts, tuple) else world_texts(self.texts.load())
        return _trained(texts, self.vocabulary_size)


def world_texts(world: FactWorld) -> tuple[str, ...]:
    """Every question of a world with its first answer, about entities by their own names."""
    return tuple(
        question_text(
            Writing(newline=True),
            template=world.questions[attribute],
            subject=entity,
            role=Role.ENTITY,
            answer=answers[0],
        ).text
        for entity, facts in world.facts.items()
        for attribute, answers in facts.items()
    )


def front_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[int, ...]:
    """What a tokenizer puts in front of every text, such as a beginning-of-sequence token."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, is_special = encoded["input_ids"], [*encoded["special_tokens_mask"], 0]
    return tuple(ids[: is_special.index(0)])


@functools.cache
def _read(location: str, bos: Bos, digest: str) -> "PreTrainedTokenizerFast":
    """The tokenizer of a location; `digest` is of its files, which may change within a process."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    path = Path(location).expanduser()
    if is_gguf(location) or not path.is_file():
        path = find_folder(location, ModelFiles.TOKENIZER)
    # The Rust reader raises bare exceptions, with the place in the file.
    with reading(path, "give a tokenizer.json", InputError, fault="is no tokenizer"):
        if path.is_file():
            tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
        elif (path / "tokenizer.json").is_file():
            # As the file has it: the classes of some families rebuild it without unknown tokens.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
        else:
            tokenizer = AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
    tokenizer = _checked(tokenizer, location, path)
    if bos is Bos.NONE and front_tokens(tokenizer):
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_bos_token = False  # makes the post-processor anew
    return tokenizer


def _checked(
    tokenizer: "PreTrainedTokenizerFast", location: str, path: Path
) -> "PreTrainedTokenizerFast":
    """The tokenizer with an end token and one to pad with; those that a model names come first."""
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of {location} reports no character offsets; use one with a "
            "tokenizer.json"
        )
    ends, pads = (_named_by_model(path, f"{name}_token_id", tokenizer) for name in ("eos", "pad"))
    if ends and tokenizer.eos_token not in ends:
        tokenizer.eos_token = ends[0]
    if pads:
        tokenizer.pad_token = pads[0]
    if tokenizer.eos_token is None:
        known = tokenizer.get_vocab()
        end = next((token for token in END_TOKENS if token in known), None)
        if end is None:
            raise InputError(
                f"the tokenizer of {location} has no end token; set eos_token in its "
                "tokenizer_config.json"
            )
        tokenizer.eos_token = end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _named_by_model(folder: Path, key: str, tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    """The tokens that a model's config lists under a key; none without a config or such tokens."""
    path = folder / "config.json"
    try:
        value = json.loads(path.read_text()).get(key) if path.is_file() else None
    except (ValueError, AttributeError):
        return []  # who loads the model says what is wrong
    ids = value if isinstance(value, list) else [value]
    known = {i: token for token, i in tokenizer.get_vocab().items()}
    return [known[i] for i in ids if isinstance(i, int) and i in known]


@functools.cache
def _trained(texts: tuple[str, ...], vocabulary_size: int) -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    end = END_TOKENS[0]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    # A token's offsets leave out the space that it begins with, as GPT-NeoX's do.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)
