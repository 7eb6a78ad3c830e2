"""Which units make up a circuit, and how surely? Chosen on some aliases, by size.

The units are ranked by absolute score; the circuit is the shortest list from the top that alone
recovers a share of the answers' log-probability. How often a unit is chosen when the aliases are
drawn again (with replacement, all rows of an alias together) is its inclusion frequency: many
faithful circuits exist side by side, and one set says nothing of that.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError
from interp.circuits.ablated import Ablatable

RECOVERED = 0.9
N_BOOTSTRAP = 200
LEAST_GAP = 0.05
"""In nats a row: without any unit at least so much must be lost, else there is nothing to carry."""


class NoCircuitError(InputError):
    """No circuit short of the whole model carries the answers, or nothing does."""


@dataclass(frozen=True, kw_only=True)
class Selected:
    """A circuit, as it was chosen."""

    circuit: Bool[Tensor, " unit"]
    recovered: float
    """By the circuit alone, of the rows that it was chosen on."""
    inclusion: Float[np.ndarray, " unit"]
    """Share of bootstrap draws of aliases in which a unit is among the first as many."""


def recovered(
    ablated: Ablatable, circuits: Bool[Tensor, "circuit unit"]
) -> Float[Tensor, "circuit row"]:
    """What each circuit alone, all else ablated, keeps of each row's answer, in nats above nothing.

    Divided by that of the whole model, of means over rows, it is the circuit's faithfulness.
    """
    n = circuits.shape[1]
    nothing = torch.ones(1, n, dtype=torch.bool)
    said = ablated.answers(torch.cat([~circuits, nothing]))[..., 1]
    return said[:-1] - said[-1]


def share_recovered(
    ablated: Ablatable, circuits: Bool[Tensor, "circuit unit"]
) -> Float[Tensor, " circuit"]:
    """Faithfulness of each circuit: 0 of the empty one, 1 of the whole model.

    Raises:
        NoCircuitError: the model without any unit answers as well: there is nothing to recover.
    """
    whole = torch.ones(1, circuits.shape[1], dtype=torch.bool)
    kept = recovered(ablated, torch.cat([circuits, whole])).mean(1)
    refuse_nothing_to_carry(float(kept[-1]))
    return kept[:-1] / kept[-1]


def refuse_nothing_to_carry(gap: float) -> None:
    """Refuses rows whose answers do not depend on any unit.

    Raises:
        NoCircuitError: the model without any unit answers as well, up to `LEAST_GAP` nats.
    """
    if not gap >= LEAST_GAP:
        raise NoCircuitError(
            f"without any unit the answers lose {gap:.2g} nats, less than {LEAST_GAP:g}, so no "
            "circuit carries them; choose rows that the model answers"
        )


def select_circuit(
    ablated: Ablatable,
    scores: Float[Tensor, "row unit"],
    groups: Sequence[Hashable],
    *,
    least: float = RECOVERED,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Selected:
    """The shortest circuit of units of largest score that recovers enough.

    Args:
        ablated: The rows to choose on.
        scores: Of each row and unit; see `interp.circuits.scores`.
        groups: The alias of each row.
        least: Share of the whole model's answers that the circuit is to recover.
        n_bootstrap: Draws of aliases for the inclusion frequencies.
        seed: Of those draws.

    Raises:
        NoCircuitError: there is nothing to recover, or only the whole model is enough.
    """
    n = scores.shape[1]
    order = ranking(scores.mean(0).numpy())
    nested = torch.zeros(n, n, dtype=torch.bool)
    for size in range(1, n):
        nested[size, torch.from_numpy(order[:size].copy())] = True
    shares = share_recovered(ablated, nested)
    enough = (shares >= least).nonzero()[:, 0]
    if not len(enough):
        raise NoCircuitError(
            f"no circuit of fewer than all {n} units recovers {least:.0%} of the answers; choose a "
            "smaller share"
        )
    size = int(enough[0])
    return Selected(
        circuit=nested[size],
        recovered=float(shares[size]),
        inclusion=inclusion_frequencies(scores, groups, size, n=n_bootstrap, seed=seed),
    )


def ranking(scores: Float[np.ndarray, " unit"]) -> Int[np.ndarray, " unit"]:
    """Units from the largest absolute score to the smallest; equal ones in their order."""
    return np.argsort(-np.abs(scores), kind="stable")


def inclusion_frequencies(
    scores: Float[Tensor, "row unit"],
    groups: Sequence[Hashable],
    size: int,
    *,
    n: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Float[np.ndarray, " unit"]:
    """How often each unit is among the first `size` when aliases are drawn with replacement."""
    names = list(dict.fromkeys(groups))
    numbers = np.array([names.index(group) for group in groups])
    sums, counts = np.zeros((len(names), scores.shape[1])), np.bincount(numbers)
    np.add.at(sums, numbers, scores.numpy())
    rng, chosen = np.random.default_rng(seed), np.zeros(scores.shape[1])
    for _ in range(n):
        drawn = rng.integers(len(names), size=len(names))
        means = sums[drawn].sum(0) / counts[drawn].sum()
        chosen[ranking(means)[:size]] += 1
    return chosen / n
