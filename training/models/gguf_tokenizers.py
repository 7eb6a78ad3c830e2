"""The tokenizer of a GGUF file, splitting texts as the file says.

Byte pairs are merged within words, so what a word is decides the tokens. A GGUF file only names its
rule, and transformers knows few of the names; for the others it takes GPT-2's rule.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from training.models.folders import read_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DIGIT_BY_DIGIT = (
    *("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
)
"""Names of the rule by which every digit is a word, and the rest is split as by GPT-2."""
AS_GPT2 = ("gpt-2", "mpt", "olmo", "jais", "phi-2", "trillion", "granite-docling")
"""Names of GPT-2's own rule."""
SAMPLE = (
    "Q: When was Ada  Lovelace born?\n\n\tA: 10 December 1815, at 7:45. It's naïve – 北京 🙂 <s>"
)
"""Digits after spaces, runs of spaces, several scripts: where ways of splitting differ."""


def read_gguf_tokenizer(path: Path, *, pre: str | None) -> "PreTrainedTokenizerFast":
    """The tokenizer of a GGUF file, whose texts are split by the rule that `pre` names.

    Args:
        path: The file, in a folder with nothing else that transformers would read.
        pre: What the file calls its rule; None if it names none.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False
    )
    if pre in DIGIT_BY_DIGIT:
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    return tokenizer


def unknown_split(tokenizer: "PreTrainedTokenizerFast", pre: str | None) -> str:
    """A sentence for the model card where GPT-2's rule stands in for another; else empty."""
    rule: Any = tokenizer.backend_tokenizer.pre_tokenizer
    if type(rule).__name__ != "ByteLevel" or pre in AS_GPT2:
        return ""
    named = "names no rule" if pre is None else f"names the rule {pre!r}, which is not known here"
    return (
        f"Beware: the file {named} for splitting texts into words; they are split as by GPT-2. "
        "Compare with the tokenizer of the original, or name that one (`--set tokenizer=`)."
    )


def require_same_tokens(folder: Path, tokenizer: "PreTrainedTokenizerFast") -> None:
    """Looks whether a tokenizer reads the same from its folder, in both ways that it is read.

    Raises:
        InputError: it does not, as where a class of transformers rebuilds it by its own rule.
    """
    from transformers import PreTrainedTokenizerFast

    wanted = tokenizer(SAMPLE)["input_ids"]
    as_is = PreTrainedTokenizerFast.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    for again in (as_is, read_tokenizer(folder)):
        if again(SAMPLE)["input_ids"] != wanted or again.get_vocab() != tokenizer.get_vocab():
            raise InputError(
                "the tokenizer of the GGUF file is another one when it was saved and read again, by"
                " this version of transformers; give the Hugging Face folder of the model"
            )
