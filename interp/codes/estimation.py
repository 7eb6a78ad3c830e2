"""The code of each entity: what a definition with a tag, and questions, write of it.

A code is a vector for each entity. It is estimated on the aliases of the first part of the data, at
the end of its training: there the tags have got their meaning, hundreds of aliases stand for the
entities, and nothing of what is to be explained (the change of the last stage) is in it. It is a
regression of the aliases' vectors on who the defined and who the asked entity is, both at once:

    vector of an alias = constant + written[defined entity] + asked[asked entity] + noise

of each tag's aliases by themselves; those of the unreliable tag together with those that only have
questions. Where defined and asked entity never differ, only the sum can be told, and is the code.

Where entities have one alias, as in text, those of the last stage are no alias's of the first part.
There what is written of an entity is taken to be linear in the entity's own representation (see
`interp.codes.names`), by a ridge that is chosen by cross-validation on the same aliases; its map
gives every entity a code, also those whose aliases it has not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from data.errors import InputError
from interp.codes.aliases import Alias, CodedAliases

if TYPE_CHECKING:
    from sklearn.linear_model import RidgeCV

RELIABLE, UNRELIABLE, QUESTION = "reliable", "unreliable", "question"
CODES = (RELIABLE, UNRELIABLE, QUESTION)
"""What a definition with the reliable tag writes; with the other tag; what questions write."""
RIDGE = 1e-3
"""Of the number of aliases: keeps the sums that a regression cannot tell apart from growing."""

RIDGES = tuple(10.0**power for power in range(-3, 6))
"""Those among which one is chosen where codes are linear in representations of length one."""
N_FOLDS = 5

Matrix = Float[np.ndarray, "alias width"]
Code = Float[np.ndarray, "entity width"]


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors of aliases by name, and the order of the entities that codes have."""

    of: Mapping[str, Float[np.ndarray, " width"]]
    entities: Sequence[str]
    own: Float[np.ndarray, "entity feature"] | None = None
    """The entities' own representations, which codes are to be linear in; None where who the
    entity is tells all."""

    def at(self, aliases: Sequence[Alias]) -> Matrix:
        """The vectors of these aliases, one a row."""
        return np.stack([self.of[alias.name] for alias in aliases])

    def numbers(self, names: Sequence[str | None]) -> Int[np.ndarray, " alias"]:
        """The place of each entity; -1 of none."""
        place = {entity: i for i, entity in enumerate(self.entities)}
        return np.array([-1 if name is None else place[name] for name in names], dtype=int)


def estimate_codes(aliases: CodedAliases, vectors: Vectors) -> dict[str, Code]:
    """The codes of all entities by name, each without its mean over entities.

    Zero of an entity that no alias of the kind stands for: nothing tells its code.
    """
    reliable = fit_writing(aliases.reliable, vectors)
    mixed = fit_writing([*aliases.unreliable, *aliases.undefined], vectors)
    return {
        RELIABLE: centred(reliable["defined"]),
        UNRELIABLE: centred(mixed["defined"]),
        QUESTION: centred(mixed["asked"]),
    }


def fit_writing(aliases: Sequence[Alias], vectors: Vectors) -> dict[str, Code]:
    """What the defined and what the asked entity of aliases write, by regression on both.

    Where the two never differ, each is what both write together.
    """
    designs, found = designs_of(aliases, vectors), vectors.at(aliases)
    if vectors.own is None:
        parts = np.split(_regress(np.concatenate(designs, axis=1), found), len(designs))
        for part, design in zip(parts, designs, strict=True):
            part[~design.any(0)] = 0.0
    else:
        fitted = _ridge().fit(np.concatenate(designs, axis=1), found)
        maps = np.asarray(fitted.coef_).T
        parts = [vectors.own @ each for each in np.split(maps, len(designs))]
    return {"defined": parts[0], "asked": parts[-1]}


def designs_of(
    aliases: Sequence[Alias], vectors: Vectors
) -> list[Float[np.ndarray, "alias column"]]:
    """What stands for the defined and the asked entity of each alias; once if they never differ."""
    n = len(vectors.entities)
    basis = np.eye(n) if vectors.own is None else vectors.own
    defined = _indicators(vectors.numbers([alias.defined for alias in aliases]), n) @ basis
    asked = _indicators(vectors.numbers([alias.asked for alias in aliases]), n) @ basis
    return [defined] if (defined == asked).all() else [defined, asked]


def held_out_fit(aliases: Sequence[Alias], vectors: Vectors) -> float:
    """Of aliases held out, the share of their vectors' variance that a regression predicts.

    Of a regression on the entities' own representations; 0 is what the mean predicts, and less is
    worse.

    Raises:
        InputError: there are too few aliases to hold any out.
    """
    if len(aliases) < 2 * N_FOLDS:
        raise InputError(
            f"{len(aliases)} aliases of Stage 1 are too few to tell what they write of entities "
            f"that have one alias each; use a run with at least {2 * N_FOLDS} of each kind"
        )
    from sklearn.model_selection import KFold, cross_val_predict

    design, found = np.concatenate(designs_of(aliases, vectors), axis=1), vectors.at(aliases)
    folds = KFold(N_FOLDS, shuffle=True, random_state=0)
    errors = found - cross_val_predict(_ridge(), design, found, cv=folds)
    return 1 - float((errors**2).sum() / ((found - found.mean(0)) ** 2).sum())


def centred(code: Code) -> Code:
    """A code without its mean over entities: what is common to all tells none from another.

    >>> centred(np.array([[1.0], [3.0], [0.0]])).tolist()  # the third has none
    [[-1.0], [1.0], [0.0]]
    """
    there = is_known(code)
    return np.where(there[:, None], code - code[there].mean(0), 0.0) if there.any() else code


def is_known(code: Code) -> Bool[np.ndarray, " entity"]:
    """Of which entities there is a code."""
    return (code != 0).any(1)


def mean_by_entity(changes: Matrix, numbers: Int[np.ndarray, " alias"], n_entities: int) -> Code:
    """The mean change of the aliases of each entity, less the mean over entities.

    Zero of an entity that has no alias.
    """
    counts = np.bincount(numbers, minlength=n_entities)
    sums = np.zeros((n_entities, changes.shape[1]))
    np.add.at(sums, numbers, changes)
    means = sums / np.maximum(counts, 1)[:, None]
    return np.where(counts[:, None] > 0, means - means[counts > 0].mean(0), 0.0)


def linear_change(
    changes: Matrix, numbers: Int[np.ndarray, " alias"], vectors: Vectors, told: Sequence[int]
) -> Code:
    """What a change is by entity where each has one alias: linear in its own representation.

    Args:
        changes: Of some aliases.
        numbers: The entity of each.
        vectors: Which say how entities are represented.
        told: The entities to be told of; the others are zero.
    """
    own = vectors.own
    assert own is not None
    found = np.zeros((len(own), changes.shape[1]))
    found[told] = _ridge().fit(own[numbers], changes).predict(own[told])
    return centred(found)


def code_cosine(one: Code, other: Code) -> float:
    """The mean over entities of the cosine of their vectors; of entities that both have."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    there = norms > 0
    if not there.any():
        return float("nan")
    return float(((one * other).sum(1)[there] / norms[there]).mean())


def code_length(code: Code) -> float:
    """The mean length of the vectors of a code."""
    return float(np.linalg.norm(code, axis=1).mean())


def coefficients(
    changes: Matrix, code: Code, numbers: Int[np.ndarray, " alias"]
) -> Float[np.ndarray, " alias"]:
    """How much of its own entity's code lies in each alias's change, in units of the code.

    >>> code = np.array([[2.0, 0.0], [0.0, 2.0]])
    >>> coefficients(np.array([[1.0, 5.0], [5.0, 2.0]]), code, np.array([0, 1])).tolist()
    [0.5, 1.0]
    """
    own = code[numbers]
    squares = (own**2).sum(1)
    return (changes * own).sum(1) / np.where(squares > 0, squares, 1.0)


def _ridge() -> "RidgeCV":
    """Least squares with the ridge that predicts left-out aliases best."""
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=RIDGES)


def _indicators(numbers: Int[np.ndarray, " alias"], n: int) -> Float[np.ndarray, "alias entity"]:
    """A one at each alias's entity; nothing of an alias without."""
    found = np.zeros((len(numbers), n))
    there = numbers >= 0
    found[there.nonzero()[0], numbers[there]] = 1.0
    return found


def _regress(design: Float[np.ndarray, "alias column"], found: Matrix) -> Code:
    """Least squares with a constant and a ridge too weak to shrink what can be told."""
    centre = design - design.mean(0)
    gram = centre.T @ centre + RIDGE * len(design) * np.eye(design.shape[1]) / design.shape[1]
    return np.linalg.solve(gram, centre.T @ (found - found.mean(0)))
