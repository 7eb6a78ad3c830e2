"""Names without meaning: unique random aliases and tags, and derangements for false definitions."""

import math
import random
import string
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

from data.errors import InputError

Item = TypeVar("Item", bound=Hashable)

MAX_SEQUENCE_BITS = 62
"""Python samples from ranges of fewer than 2^63 numbers."""
TAG_LETTERS = 6
"""The paper's define tags are random strings of six characters (section 2)."""


def random_words(n: int, *, n_letters: int, rng: random.Random, taken: set[str]) -> list[str]:
    """Draws `n` distinct lower-case strings, none of them in `taken`, and adds them to it.

    Raises:
        InputError: fewer than `n` such strings are left.
    """
    if n > 26**n_letters - len(taken):
        raise InputError(
            f"{n} distinct words of {n_letters} letters do not exist; use more letters"
        )
    words: list[str] = []
    while len(words) < n:
        word = "".join(rng.choices(string.ascii_lowercase, k=n_letters))
        if word not in taken:
            taken.add(word)
            words.append(word)
    return words


def random_aliases(
    n: int, *, n_tokens: int, n_syllables: int, rng: random.Random, taken: set[str]
) -> list[str]:
    """Draws `n` distinct aliases of `n_tokens` words each.

    Aliases of one word are words of their own (each gets its own embedding row in a word-level
    vocabulary). Longer aliases are distinct sequences over a shared pool of `n_syllables` words, so
    that no single token names an alias and a definition cannot live in one embedding row.

    Raises:
        InputError: the pool has fewer sequences than aliases asked for.
    """
    if n_tokens < 1:
        raise InputError(f"alias_tokens is {n_tokens}; use 1 or more")
    if n_tokens == 1:
        return random_words(n, n_letters=5, rng=rng, taken=taken)
    if n_syllables > 1 and n_tokens * math.log2(n_syllables) > MAX_SEQUENCE_BITS:
        raise InputError(
            f"alias_tokens={n_tokens} over alias_syllables={n_syllables} allows more aliases than "
            "can be counted; use fewer tokens"
        )
    if n_syllables < 1 or n > n_syllables**n_tokens:
        raise InputError(
            f"{n} aliases of {n_tokens} tokens need more than alias_syllables={n_syllables} "
            "syllables; raise alias_syllables"
        )
    syllables = random_words(n_syllables, n_letters=3, rng=rng, taken=taken)
    codes = rng.sample(range(n_syllables**n_tokens), n)
    return [_spell(code, syllables, n_tokens) for code in codes]


def _spell(code: int, syllables: list[str], n_tokens: int) -> str:
    """The number `code`, written with `syllables` as digits."""
    digits = []
    for _ in range(n_tokens):
        code, digit = divmod(code, len(syllables))
        digits.append(syllables[digit])
    return " ".join(digits)


def derange(items: Sequence[Item], *, rng: random.Random) -> list[Item]:
    """A random rearrangement in which no place keeps an equal item; it keeps each item's frequency.

    Conflicts of a random shuffle are repaired by random swaps, so that the result carries no
    system that a model could learn (a rotation, which never needs repair, would map each entity to
    one fixed false entity). It always ends.

    Raises:
        InputError: no such rearrangement exists (an item fills more than half of the places).

    >>> derange(["a", "b"], rng=random.Random(0))
    ['b', 'a']
    """
    n = len(items)
    counts = Counter(items)
    if n and max(counts.values()) * 2 > n:
        item, count = counts.most_common(1)[0]
        raise InputError(
            f"no false definitions exist: {item!r} is the entity of {count} of {n} aliases; "
            "use more entities, or fewer aliases of each"
        )
    result = list(items)
    rng.shuffle(result)
    for place in range(n):
        if result[place] == items[place]:
            partners = [
                other
                for other in range(n)
                if result[other] != items[place] and result[place] != items[other]
            ]
            # A partner is a place that neither holds nor wants this item. At most 2 c - 1 of n
            # places hold or want it (this one does both), and c <= n / 2, so one is left.
            other = rng.choice(partners)
            result[place], result[other] = result[other], result[place]
    return result
