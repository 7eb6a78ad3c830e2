"""What do answers lose when features are taken away, beside features that matter as much?

A feature is ablated by taking what it contributes out of the activation; all else stays, also what
the autoencoder does not explain. The control ablates other features, as many, each like one of the
chosen in how often it fires and in how long its contribution is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.readings import read_rows, replacing
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import Hook

N_DRAWS = 5
"""Sets of matched features that the control is a mean over."""
N_NEAR = 4
"""Of how many features that are most alike one is drawn."""


@dataclass(frozen=True, kw_only=True)
class FeatureAblation:
    """An activation without some features; an `interp.interventions.base.Intervention`."""

    model: HookedModel
    site: Site
    role: TokenRole | None
    """Where; None for all tokens."""
    dictionary: Dictionary
    features: tuple[int, ...]

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `Intervention`."""
        looked_at = read_rows(self.model, rows, self.role).looked_at
        spots = [(row, position) for row, each in enumerate(looked_at) for position in each]
        row_of, position_of = torch.tensor(spots, dtype=torch.long).reshape(-1, 2).T
        return [(self.site.hook, replacing(self.site, (row_of, position_of), self._without))]

    def _without(self, vectors: Float[Tensor, "vector width"]) -> Float[Tensor, "vector width"]:
        chosen = list(self.features)
        codes = self.dictionary.encode(vectors)[:, chosen]
        return vectors - codes @ self.dictionary.decoder[chosen]


@dataclass(frozen=True, kw_only=True)
class Weight:
    """How much each feature matters to vectors, whatever it means."""

    rates: Float[np.ndarray, " feature"]
    """The share of vectors for which it fires."""
    norms: Float[np.ndarray, " feature"]
    """The mean length of what it contributes where it fires; 0 where it never does."""


def weight_of(dictionary: Dictionary, vectors: Float[Tensor, "vector width"]) -> Weight:
    """Rates and norms over vectors; a feature's length is 1, so that its code is the norm."""
    fired, total = torch.zeros(2, dictionary.n_features, dtype=torch.float64)
    for _, codes in dictionary.in_chunks(vectors):
        fired += (codes > 0).sum(0)
        total += codes.double().sum(0)
    return Weight(rates=(fired / len(vectors)).numpy(), norms=(total / fired.clamp_min(1)).numpy())


def matched_features(weight: Weight, chosen: Sequence[int], rng: np.random.Generator) -> list[int]:
    """For each chosen feature another that is none of them, alike in rate and norm; each once.

    Fewer where there are not so many that fire.
    """
    lives = weight.rates > 0
    places = np.full((len(weight.rates), 2), np.inf)
    places[lives] = np.log(np.stack([weight.rates[lives], weight.norms[lives]], axis=1))
    spread = places[lives].std(0).clip(1e-9) if lives.any() else np.ones(2)
    free = set(np.flatnonzero(lives).tolist()) - set(chosen)
    found = []
    for feature in rng.permutation(list(chosen)):
        known = np.array(sorted(free), dtype=int)
        if not len(known) or not lives[feature]:
            continue
        apart = (((places[known] - places[feature]) / spread) ** 2).sum(1)
        drawn = int(rng.choice(known[np.argsort(apart, kind="stable")[:N_NEAR]]))
        free.remove(drawn)
        found.append(drawn)
    return found
