"""Is a circuit what carries a behaviour? Criteria on aliases that it was not chosen on.

Log-probabilities are of what the model says; F(S) is their mean with only the units of S in place,
and the *gap* F(all) - F(none) is what there is to carry.

    faithfulness   (F(C) - F(none)) / gap: 0 of the empty circuit, 1 of the whole model
    completeness   1 - mean over K of |F(C without K) - F(all without K)| / gap; K is C, and random
                   parts of it: nothing outside steps in when parts of the circuit fail (Wang et al.
                   2022, arXiv 2211.00593, section 4)
    minimality     of each unit F(C) - F(C without it), held against what a unit outside adds to C
                   (Shi et al. 2024, arXiv 2410.13032, whose random edges these are)
    independence   what is left without C, above nothing, says nothing of the model's answers: rank
                   correlation over aliases, by permutation (Shi et al. test this by HSIC)

A circuit is held against matched ones (`interp.circuits.matched`); each p has the + 1.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor

from interp.circuits.ablated import Ablatable
from interp.circuits.ranks import rank_p
from interp.circuits.selection import recovered, refuse_nothing_to_carry, share_recovered
from training.seeds import derive_seed

N_KNOCKED_OUT = 5
"""Draws of K for completeness, beside K = C."""
N_PERMUTATIONS = 999
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A number beside what it is held against."""

    value: float
    null: Float[np.ndarray, " null"]
    p_value: float
    """That it is no larger than the null's; of independence, that nothing depends."""


@dataclass(frozen=True, kw_only=True)
class Minimality:
    """What each unit of a circuit carries beside what units outside would."""

    lost: Float[np.ndarray, " member"]
    """F(C) - F(C without the unit), nats, in the order of the circuit's units."""
    null: Float[np.ndarray, " other"]
    """F(C and a unit outside) - F(C), nats."""
    p_values: Float[np.ndarray, " member"]
    """Share of the null as large, with the + 1."""
    p_corrected: Float[np.ndarray, " member"]
    """By Holm over the circuit."""


def faithfulness(
    ablated: Ablatable, circuit: Bool[Tensor, " unit"], nulls: Bool[Tensor, "null unit"]
) -> Criterion:
    """What the circuit alone recovers, beside matched circuits."""
    shares = share_recovered(ablated, torch.cat([circuit[None], nulls])).numpy()
    return against(shares)


def completeness(
    ablated: Ablatable,
    circuit: Bool[Tensor, " unit"],
    nulls: Bool[Tensor, "null unit"],
    *,
    n_draws: int = N_KNOCKED_OUT,
    seed: int = 0,
) -> Criterion:
    """Whether parts of the circuit are missed as they are in the whole model; see the module."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "completeness"))
    circuits = torch.cat([circuit[None], nulls])
    n, n_units = circuits.shape
    is_out = torch.rand(n, n_draws + 1, n_units, generator=generator) < 0.5
    is_out[:, 0] = True
    out = is_out & circuits[:, None]
    of_circuit = (circuits[:, None] & ~out).flatten(0, 1)
    of_model = (~out).flatten(0, 1)
    whole = torch.ones(1, n_units, dtype=torch.bool)
    said = recovered(ablated, torch.cat([of_circuit, of_model, whole])).mean(1)
    refuse_nothing_to_carry(float(said[-1]))
    off = (said[: n * (n_draws + 1)] - said[n * (n_draws + 1) : -1]).abs() / said[-1]
    return against(1 - off.view(n, -1).mean(1).numpy())


def minimality(ablated: Ablatable, circuit: Bool[Tensor, " unit"]) -> Minimality:
    """What each unit of the circuit carries; see the module's docstring."""
    members, others = circuit.nonzero()[:, 0], (~circuit).nonzero()[:, 0]
    changed = circuit.repeat(len(circuit), 1)
    changed[torch.arange(len(circuit)), torch.arange(len(circuit))] ^= True
    said = recovered(ablated, torch.cat([circuit[None], changed])).mean(1).numpy()
    moved = said[1:] - said[0]
    lost, null = -moved[members.numpy()], moved[others.numpy()]
    p_values = np.array([rank_p(abs(each), np.abs(null)) for each in lost])
    return Minimality(lost=lost, null=null, p_values=p_values, p_corrected=holm(p_values))


def independence(
    ablated: Ablatable,
    circuit: Bool[Tensor, " unit"],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
) -> Criterion:
    """Rank correlation, over aliases, of the model's answers with what units outside recover.

    Its null are permutations of the aliases. A complement that recovers the same of all aliases, as
    the empty one does, is independent: its correlation is 0.

    Args:
        ablated: The rows.
        circuit: Whose complement is looked at.
        groups: The alias of each row.
        seed: Of the permutations.
    """
    nothing = torch.ones_like(circuit)
    said = ablated.answers(torch.stack([~nothing, circuit, nothing]))[..., 1]
    model, rest = (alias_means(each, groups) for each in (said[0], said[1] - said[2]))
    one, other = (_standardized(rankdata(np.round(each, 9))) for each in (model, rest))
    rng = np.random.default_rng(derive_seed(seed, "independence"))
    null = np.array([one @ rng.permutation(other) for _ in range(N_PERMUTATIONS)])
    value = float(one @ other)
    return Criterion(value=value, null=null, p_value=rank_p(abs(value), np.abs(null)))


def alias_means(
    values: Float[Tensor, " row"], groups: Sequence[Hashable]
) -> Float[np.ndarray, " alias"]:
    """The mean over the rows of each alias, in the order in which they first come."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places = np.array([numbers[group] for group in groups])
    return np.bincount(places, values.numpy()) / np.bincount(places)


def holm(p_values: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """P values corrected by Holm's step-down rule, in their order.

    >>> holm(np.array([0.01, 0.04, 0.5])).round(2).tolist()
    [0.03, 0.08, 0.5]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def against(values: Float[np.ndarray, " circuit"]) -> Criterion:
    """The first value, held against the others."""
    value, null = float(values[0]), values[1:]
    return Criterion(value=value, null=null, p_value=rank_p(value, null))


def _standardized(values: Float[np.ndarray, " alias"]) -> Float[np.ndarray, " alias"]:
    centred = values - values.mean()
    norm = np.linalg.norm(centred)
    return centred / norm if norm > 0 else np.zeros(len(values))
