"""The kinds of linear probes: how each is fitted. A further one is a record of this file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data.errors import unknown_name
from interp.probes.solver import (
    BinaryFit,
    MulticlassFit,
    fit_logistic,
    fit_mass_mean,
    fit_multinomial,
    fit_nearest_mean,
)

Features = Float[np.ndarray, "example feature"]
Labels = Int[np.ndarray, "example column"]
Training = Bool[np.ndarray, "example column"]
Penalties = Float[np.ndarray, " column"]


@dataclass(frozen=True, kw_only=True)
class ProbeKind:
    """One way to fit probes; many label columns are fitted at once."""

    name: str
    """In tables."""
    words: str
    """In figures and sentences."""
    fit: Callable[[Features, Labels, Training, Penalties, int], BinaryFit | MulticlassFit]
    """From features, labels, who trains, the inverse penalty of each column and the number of
    classes."""
    has_penalty: bool
    """Whether C matters."""


def _logistic(
    features: Features, labels: Labels, train: Training, penalties: Penalties, n_classes: int
) -> BinaryFit | MulticlassFit:
    if n_classes == 2:
        return fit_logistic(features, labels == 1, train=train, inverse_penalty=penalties)
    return fit_multinomial(
        features, labels, train=train, inverse_penalty=penalties, n_classes=n_classes
    )


def _mass_mean(
    features: Features, labels: Labels, train: Training, _penalties: Penalties, n_classes: int
) -> BinaryFit | MulticlassFit:
    if n_classes == 2:
        return fit_mass_mean(features, labels == 1, train=train)
    return fit_nearest_mean(features, labels, train=train, n_classes=n_classes)


KINDS = (
    ProbeKind(name="logistic", words="logistic", fit=_logistic, has_penalty=True),
    ProbeKind(name="mass_mean", words="mass-mean", fit=_mass_mean, has_penalty=False),
)
"""In the order of tables; every grid is read by all of them."""
PROBES = tuple(kind.name for kind in KINDS)


def find_kind(name: str) -> ProbeKind:
    """The kind of this name.

    Raises:
        InputError: there is none.
    """
    known = {kind.name: kind for kind in KINDS}
    if name not in known:
        raise unknown_name("probe", name, known)
    return known[name]
