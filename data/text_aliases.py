"""Aliases in natural language: random words, spelled as a text has them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.aliases import random_words
from data.errors import InputError
from data.texts import Writing
from data.tokenizers import TokenizerProvider

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_DRAWS_PER_ALIAS = 200
"""So often as many random words as aliases are drawn to find some of the length asked for."""

MOST_LETTERS = 100


@dataclass(frozen=True, kw_only=True)
class TextAliases:
    """The shape of aliases in texts: their letters and their length in tokens."""

    letters: int
    tokens: int = 0
    """Their length in tokens wherever they stand; 0 for whatever the tokenizer makes of them."""

    def __post_init__(self) -> None:
        """Refuses words that nobody could read."""
        if not 0 < self.letters <= MOST_LETTERS:
            raise InputError(
                f"alias_letters is {self.letters}; use 1 or more, up to {MOST_LETTERS}"
            )

    def draw(
        self,
        n: int,
        *,
        writing: Writing,
        tokenizer_provider: TokenizerProvider,
        rng: random.Random,
        taken: set[str],
    ) -> list[str]:
        """Draws `n` distinct aliases of words that are not in `taken`, and adds those words to it.

        Raises:
            InputError: there are not so many, or hardly any of the length asked for.
        """
        tokenizer = tokenizer_provider.load() if self.tokens else None
        found: list[str] = []
        for _ in range(MAX_DRAWS_PER_ALIAS if self.tokens else 1):
            words = random_words(n, n_letters=self.letters, rng=rng, taken=taken)
            spelled = [writing.spell(word) for word in words]
            if tokenizer is None:
                return spelled
            # In the orders ATE and AET a definition begins with the bare alias.
            both = (_lengths(spelled, before, tokenizer) for before in (" ", ""))
            lengths = zip(spelled, *both, strict=True)
            found += [alias for alias, *each in lengths if set(each) == {self.tokens}]
            if len(found) >= n:
                return found[:n]
        raise InputError(
            f"of {MAX_DRAWS_PER_ALIAS * n} random aliases of {self.letters} letters only "
            f"{len(found)} are {self.tokens} tokens long, {n} are needed; use another "
            "alias_tokens or alias_letters"
        )


def _lengths(
    aliases: Sequence[str], before: str, tokenizer: "PreTrainedTokenizerFast"
) -> list[int]:
    """Tokens of each alias behind some text; 0 where a token of that text is not part of it."""
    texts = [before + alias for alias in aliases]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    return [
        len(offsets) if offsets[0][1] > len(before) else 0 for offsets in encoded["offset_mapping"]
    ]
