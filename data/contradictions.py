"""False definitions that contradict: another entity that shares as few answers as possible."""

import random
from collections.abc import Mapping
from enum import StrEnum

from data.errors import InputError


class Contradiction(StrEnum):
    """What an inconsistent definition gets wrong."""

    IDENTITY = "identity"
    """It names another entity, whose answers may coincide: a derangement, as in the paper."""
    ANSWERS = "answers"
    """It names another entity that shares as few answers as possible."""


_SAME = 1e6  # more than any number of shared answers: nobody is given back to itself


def contradicting(
    entities: list[str],
    facts: Mapping[str, Mapping[str, tuple[str, ...]]],
    *,
    rng: random.Random,
) -> list[str]:
    """A rearrangement of the entities in which each place shares few answers with the new entity.

    The number of shared answers in all is the least possible (an optimal assignment); among equally
    good rearrangements `rng` chooses. Each entity stays as frequent as it was.

    Args:
        entities: Distinct names.
        facts: By entity and attribute the accepted answers.
        rng: What decides ties.

    Raises:
        InputError: there are fewer than two entities.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    if len(entities) < 2:
        raise InputError("one inconsistent definition has no other entity to name; use 2 or more")
    shared = np.zeros((len(entities), len(entities)))
    for attribute in sorted({name for entity in entities for name in facts[entity]}):
        answers = [facts[entity].get(attribute, (None,))[0] for entity in entities]
        column = np.array([answer or "" for answer in answers], dtype=object)
        known = column != ""
        shared += (column[:, None] == column[None, :]) & known[:, None] & known[None, :]
    ties = np.array([[rng.random() for _ in entities] for _ in entities])
    np.fill_diagonal(shared, _SAME)
    # Ties are worth less than one shared answer in all.
    _, chosen = linear_sum_assignment(shared + ties / (len(entities) + 1))
    return [entities[i] for i in chosen]
