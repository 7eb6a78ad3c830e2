"""Which features carry a property of aliases, such as the tag or the entity that they stand for?

A feature *carries* a class as far as it is larger for aliases of the class than for others: the
area under the ROC curve of telling them apart by the feature alone (.5 is chance). For each class
the best feature is chosen on one half of the aliases that the autoencoder never saw, and reported
on the other half. The control takes features at random that fire about as often, turned as the
choosing half would turn them. What names an alias itself can only be chosen and reported on
different questions about the same aliases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Family, Kind
from interp.dictionaries.aliases import Share
from interp.probes.targets import ENTITY, PHANTOM

ALIAS, SIDE = "alias", "side"
"""Who the alias is itself; which of the two compared subsets it belongs to."""
FEWEST = 3
"""Aliases (of `alias`: questions) of a class and of the others that each half must have."""
N_CONTROLS = 20
"""Features at random that a chosen one is held against."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The class of each vector, and which half it is of; -1 where it has none."""

    target: str
    classes: Int[np.ndarray, " vector"]
    reports: Bool[np.ndarray, " vector"]
    """Whether a vector is reported on; the others choose."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What was found of a target."""

    chosen: tuple[int, ...]
    """The best feature of each class, on the choosing half."""
    auroc: float
    """Mean over classes, on the reporting half."""
    control: float
    """The same of features at random that fire about as often."""
    n: int
    """How many vectors were reported on."""


def labels_of(
    rows: Sequence[TokenizedRow],
    shares: Mapping[str, Share],
    design: Design,
    compared: Contrast,
    *,
    seed: int,
) -> list[Labels]:
    """All targets that these questions have classes of.

    Args:
        rows: Questions about aliases that do not train.
        shares: Of each alias.
        design: Whose targets are asked for.
        compared: Whose sides are told apart.
        seed: Of targets that are drawn.
    """
    questions: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        if row.row.kind is Kind.QA and row.row.family is Family.ATTRIBUTE:
            questions.setdefault(str(row.row.alias), []).append(row)
    asked = {alias: [row.row for row in found] for alias, found in questions.items()}
    by_alias = {
        SIDE: {
            alias: compared.names.index(found[0].subset.name)
            for alias, found in asked.items()
            if found[0].subset.name in compared.names
        }
    }
    for target in (*design.targets, ENTITY, PHANTOM):
        try:
            by_alias[target.name] = target.label(asked, seed)
        except InputError:  # the data have no such classes
            continue
    is_reported = np.array([shares[str(row.row.alias)] is Share.REPORT for row in rows])
    found = [
        Labels(
            target=name,
            classes=np.array([labels.get(str(row.row.alias), -1) for row in rows], dtype=int),
            reports=is_reported,
        )
        for name, labels in by_alias.items()
    ]
    return [*found, _of_aliases(rows)]


def _of_aliases(rows: Sequence[TokenizedRow]) -> Labels:
    """Each alias a class; of its questions every second reports."""
    names = sorted({str(row.row.alias) for row in rows})
    classes = np.array([names.index(str(row.row.alias)) for row in rows], dtype=int)
    seen: dict[int, int] = {}
    reports = np.zeros(len(rows), dtype=bool)
    for place, name in enumerate(classes.tolist()):
        seen[name] = seen.get(name, 0) + 1
        reports[place] = seen[name] % 2 == 0
    return Labels(target=ALIAS, classes=classes, reports=reports)


def carried(
    codes: Float[np.ndarray, "vector feature"], labels: Labels, rng: np.random.Generator
) -> Carried | None:
    """Which features carry a target's classes; None where a class is too rare in some half.

    Args:
        codes: One vector for each question.
        labels: Of the same questions.
        rng: Draws the control's features.
    """
    has_class = labels.classes >= 0
    chooses, reports = has_class & ~labels.reports, has_class & labels.reports
    least = 1 if labels.target == ALIAS else FEWEST
    classes = [
        each
        for each in sorted(set(labels.classes[has_class].tolist()))
        if all(
            least <= (labels.classes[half] == each).sum() <= half.sum() - least
            for half in (chooses, reports)
        )
    ]
    if not classes:
        return None
    by_choice = auroc(codes[chooses], labels.classes[chooses], classes)
    by_report = auroc(codes[reports], labels.classes[reports], classes)
    rates = (codes[chooses] > 0).mean(0)
    alive = np.flatnonzero(rates)
    if not len(alive):
        return None
    best = alive[by_choice[:, alive].argmax(1)]
    found = [by_report[place, feature] for place, feature in enumerate(best)]
    controls = []
    for place, feature in enumerate(best):
        alike = equally_frequent(rates, int(feature), rng)
        turned = np.where(by_choice[place, alike] >= 0.5, 1.0, -1.0)
        controls += (0.5 + turned * (by_report[place, alike] - 0.5)).tolist()
    return Carried(
        chosen=tuple(map(int, best)),
        auroc=float(np.mean(found)),
        control=float(np.mean(controls)) if controls else float("nan"),
        n=int(reports.sum()),
    )


def equally_frequent(
    rates: Float[np.ndarray, " feature"], feature: int, rng: np.random.Generator
) -> Int[np.ndarray, " alike"]:
    """Half of those features that fire most nearly as often as one, drawn at random."""
    others = np.flatnonzero((rates > 0) & (np.arange(len(rates)) != feature))
    near = others[np.argsort(np.abs(rates[others] - rates[feature]), kind="stable")]
    near = near[: 2 * N_CONTROLS]
    return rng.permutation(near)[:N_CONTROLS]


def auroc(
    codes: Float[np.ndarray, "vector feature"],
    classes: Int[np.ndarray, " vector"],
    wanted: Sequence[int],
) -> Float[np.ndarray, "class feature"]:
    """Of each class and feature how often a vector of the class has more of it than another has.

    Ties count half.
    """
    ranks = rankdata(codes, axis=0)
    found = []
    for each in wanted:
        is_of = classes == each
        n_of, n_other = is_of.sum(), (~is_of).sum()
        above = ranks[is_of].sum(0) - n_of * (n_of + 1) / 2
        found.append(above / (n_of * n_other))
    return np.stack(found)
