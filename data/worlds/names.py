"""Made-up words that can be pronounced, for names of people and works that nobody knows."""

import random

CONSONANTS = "bdfgjklmnprstvz"
VOWELS = "aeiou"
ENDINGS = ("", "", "n", "r", "s", "l")


def draw_words(n: int, *, rng: random.Random, taken: set[str]) -> list[str]:
    """Draws `n` distinct capitalised words of two or three syllables, none of them in `taken`.

    There are more than two million such words, and `taken` gets the ones drawn.

    >>> draw_words(3, rng=random.Random(0), taken=set())
    ['Tobinor', 'Mipenen', 'Tapis']
    """
    words: list[str] = []
    while len(words) < n:
        syllables = [rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.choice((2, 3)))]
        word = "".join(syllables).capitalize() + rng.choice(ENDINGS)
        if word not in taken:
            taken.add(word)
            words.append(word)
    return words
