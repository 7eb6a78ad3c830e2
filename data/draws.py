"""What both toys draw for a seed: a random stream for each purpose, tags, shuffled tags."""

import random

from data.aliases import TAG_LETTERS, random_words
from data.errors import InputError
from data.subsets import Subset
from data.vocabulary import Part, TagKind


def stream(seed: int, purpose: str) -> random.Random:
    """A random stream of its own for one purpose of one seed (hash-seed independent)."""
    return random.Random(f"{seed}/{purpose}")


def shuffle_stage1_tags(
    tags: list[str | None], subsets: list[Subset], seed: int
) -> list[str | None]:
    """The null twin's tags: permuted over all Stage-1 definitions, Stage 2 left as it is.

    Args:
        tags: The tag of each alias, None where it is never defined.
        subsets: The subset of each alias.
        seed: The data seed; the permutation has a stream of its own.
    """
    places = [
        i for i, subset in enumerate(subsets) if subset.has_definitions and subset.part is Part.X1
    ]
    permuted = [tags[i] for i in places]
    stream(seed, "shuffle_tags").shuffle(permuted)
    result = list(tags)
    for place, tag in zip(places, permuted, strict=True):
        result[place] = tag
    return result


def check_held_out(held_out: int, n_attributes: int) -> None:
    """Refuses a number of held-out questions that leaves none to train or none to test."""
    if not 1 <= held_out < n_attributes:
        raise InputError(
            f"held_out_questions is {held_out} of {n_attributes} questions; "
            f"use 1 to {n_attributes - 1}"
        )


EXCHANGED = {
    TagKind.RELIABLE: TagKind.UNRELIABLE,
    TagKind.UNRELIABLE: TagKind.RELIABLE,
}
"""Whose place a tag takes in the twin of a run."""
SHARED_TAGS: tuple[TagKind, ...] = (TagKind.RELIABLE, TagKind.UNRELIABLE, TagKind.NOVEL)
"""The tags that many definitions share, in the order in which they are drawn."""


def draw_tags(seed: int, taken: set[str], *, exchange: bool = False) -> dict[TagKind, str]:
    """The define tags of a seed that many definitions share.

    Args:
        seed: The data seed.
        taken: Words that no tag may be; the tags are added.
        exchange: Whether the reliable and the unreliable tag change places: the twin of a run in
            which any difference that the strings themselves make has the other sign.

    Returns:
        By kind, in an order of the strings that is the same when they change places: vocabularies
        that follow it give each string the same token, and so the same initial embedding.
    """
    words = random_words(
        len(SHARED_TAGS), n_letters=TAG_LETTERS, rng=stream(seed, "tags"), taken=taken
    )
    own = dict(zip(SHARED_TAGS, words, strict=True))
    return {EXCHANGED.get(kind, kind): word for kind, word in own.items()} if exchange else own
