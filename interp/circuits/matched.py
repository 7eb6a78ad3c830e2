"""Which other circuits are as good as this one in all that it is not asked about?

A circuit is tested against circuits that hold as many heads and as many MLPs of each layer, and
whose units, each ablated alone, cost the *trained* subsets and recitation as much in all. What the
circuit is tested on, the subsets of Stage 2, is never matched on: matching on an outcome would make
every circuit as good as its null. Two circuits share at most half of their units.

What a rank among them tests. The circuit is one like its null if its units could be swapped, within
layer, kind and (of heads) role, for others without a change of what is expected of the outcome.
So the *choice* of the circuit must say nothing of the outcome but through a claim that one wants to
test. A circuit that is chosen by its score on some aliases and tested by the same effect on other
aliases of the same subset has the largest units twice over: held-out aliases take away luck, not
the choice, and where units differ in size at all, its p is small although none is special. Such a
p says that the scores hold for aliases not seen, and no more. The p that is uniform without an
effect is that of a circuit chosen for one task and tested on another: small p then says that both
use the same units. Heads are matched by role as well, for else heads where answers are read would
be held against heads where nothing is. Both are measured on models without a circuit
(`interp.planted.hand_written.without_circuit`).
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError
from interp.circuits.units import BY_ROLE, Part

N_MATCHED = 500
MOST_ENUMERATED = 20_000
"""Up to so many circuits of the same layers and kinds are looked at one by one, or drawn."""
CALIPER = 0.5
"""How far the summed solo effects may lie apart, in standard deviations over circuits of the same
layers and kinds."""
NEGLIGIBLE = 0.05
"""Nats a row: summed solo effects of real models that lie so close count as the same."""
MOST_SHARED = 0.5


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Circuits to hold one against."""

    sets: Bool[Tensor, "circuit unit"]
    """None at all where no other circuit costs the trained subsets as much."""
    is_all: bool
    """Whether no others exist; else they are draws."""
    distance: Float[np.ndarray, " circuit"]
    """Of summed solo effects, in standard deviations; see `CALIPER`."""

    @property
    def p_smallest(self) -> float:
        """The least p that a rank among them can give."""
        return 1 / (1 + len(self.sets))


def matched_circuits(
    circuit: Bool[Tensor, " unit"],
    units: Sequence[Part],
    solo: Float[np.ndarray, "unit group"],
    *,
    n: int = N_MATCHED,
    caliper: float = CALIPER,
    negligible: float = 0.0,
    by_role: bool = True,
    seed: int = 0,
) -> Matched:
    """Circuits of the same layers, kinds and size, of about the same summed solo effects.

    Args:
        circuit: Which units it holds.
        units: All there are.
        solo: What each of them, ablated alone, costs groups of rows that are matched on.
        n: At most so many; fewer where fewer exist.
        caliper: See `CALIPER`.
        negligible: Summed solo effects that lie no further apart than this count as the same,
            however little they differ among circuits.
        by_role: Whether a head counts as of a kind with heads at the same role alone, as it must
            where a rank is to say something; else with all heads of its layer.
        seed: Of draws, where there are too many to enumerate.

    Raises:
        InputError: the circuit is empty, or is the whole model.
    """
    size = int(circuit.sum())
    if not 0 < size < len(units):
        which = "an empty circuit" if size == 0 else "a circuit of all units"
        raise InputError(f"{which} has no other to be held against; choose 1 to {len(units) - 1}")
    strata = _strata(circuit, units, by_role=by_role)
    n_all = math.prod(math.comb(len(places), k) for places, k in strata)
    is_all = n_all <= MOST_ENUMERATED
    candidates = _every(strata) if is_all else _drawn(strata, MOST_ENUMERATED, seed)
    held = circuit.numpy()
    sums = solo[candidates].sum(1)
    spread = sums.std(0)
    apart = np.abs(sums - solo[held].sum(0))
    apart = np.where(apart > negligible, apart / np.where(spread > 0, spread, 1.0), 0.0)
    distance = apart.max(1, initial=0.0)
    shared = held[candidates].sum(1)
    kept = np.flatnonzero((distance <= caliper) & (shared <= MOST_SHARED * size))
    if len(kept) > n:
        kept = np.sort(np.random.default_rng(seed).choice(kept, n, replace=False))
        is_all = False
    sets = torch.zeros(len(kept), len(units), dtype=torch.bool)
    sets[torch.arange(len(kept))[:, None], torch.from_numpy(candidates[kept])] = True
    return Matched(sets=sets, is_all=is_all, distance=distance[kept])


def _strata(
    circuit: Bool[Tensor, " unit"], units: Sequence[Part], *, by_role: bool
) -> list[tuple[list[int], int]]:
    """The units of each layer and kind of which the circuit holds some, and how many it holds."""
    kinds = [unit.stratum for unit in units]
    if not by_role:
        kinds = [(layer, kind.partition(BY_ROLE)[0]) for layer, kind in kinds]
    wanted = Counter(kind for kind, is_held in zip(kinds, circuit.tolist(), strict=True) if is_held)
    return [
        ([i for i, k in enumerate(kinds) if k == kind], n) for kind, n in sorted(wanted.items())
    ]


def _every(strata: Sequence[tuple[list[int], int]]) -> Int[np.ndarray, "circuit held"]:
    parts = [list(itertools.combinations(places, k)) for places, k in strata]
    return np.array([sum(chosen, ()) for chosen in itertools.product(*parts)])


def _drawn(
    strata: Sequence[tuple[list[int], int]], n: int, seed: int
) -> Int[np.ndarray, "circuit held"]:
    """Distinct draws, each as likely as any other."""
    rng = np.random.default_rng(seed)
    parts = []
    for places, k in strata:
        chances = rng.random((n, len(places)))
        parts.append(np.sort(np.array(places)[chances.argsort(1)[:, :k]], axis=1))
    return np.unique(np.concatenate(parts, axis=1), axis=0)
