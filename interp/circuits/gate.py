"""Does a circuit do what the model does? The tests of equivalence that a circuit must pass.

Published tests of equivalence ask whether circuit and model differ, and so refuse a circuit that is
the model wherever rounding differs, and accept any circuit where there are few aliases. Here the
burden of proof is the circuit's: its answers must be shown to lie within a margin of the model's.
Two circuits that are one do not differ at all and pass; the empty circuit lies a whole gap off.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.errors import InputError
from interp.circuits.ablated import Ablatable
from interp.circuits.evaluation import LEVEL, Criterion, alias_means, independence
from interp.circuits.selection import refuse_nothing_to_carry
from training.seeds import derive_seed

MARGIN = 0.2
"""Share of the gap by which two circuits may differ and still be called equivalent."""
N_BOOTSTRAP = 2000


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """How far the answers of two circuits lie apart, in shares of the gap, over aliases."""

    difference: float
    low: float
    high: float
    """A 90% interval, from draws of aliases with replacement."""
    p_value: float
    """That the difference is as large as the margin: the larger of two one-sided, each + 1."""

    @property
    def is_equivalent(self) -> bool:
        """Whether the difference was shown to be smaller than the margin."""
        return self.p_value <= LEVEL


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether a circuit stands for the model, and why."""

    faithful: Equivalence
    """The circuit alone against the whole model."""
    necessary: Equivalence
    """The model without the circuit against the model without anything."""
    independent: Criterion

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the circuit; nothing does if it is accepted."""
        found = []
        if not self.faithful.is_equivalent:
            found.append(
                f"alone it is not shown to be within {MARGIN:.0%} of the model "
                f"({_interval(self.faithful)})"
            )
        if not self.necessary.is_equivalent:
            found.append(
                f"what is left without it still answers, or was not shown not to "
                f"({_interval(self.necessary)})"
            )
        if self.independent.p_value <= LEVEL and self.independent.value > 0:
            found.append(
                f"what is left without it goes with the model's answers over aliases (rank "
                f"correlation {self.independent.value:.2f}, p {self.independent.p_value:.2g})"
            )
        return tuple(found)

    @property
    def is_accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def equivalence(
    ablated: Ablatable,
    one: Bool[Tensor, " unit"],
    other: Bool[Tensor, " unit"],
    groups: Sequence[Hashable],
    *,
    margin: float = MARGIN,
    seed: int = 0,
) -> Equivalence:
    """Holds two circuits, each alone in the model, against one another.

    Args:
        ablated: Rows of aliases that neither was chosen on.
        one: A circuit.
        other: Another, or the same.
        groups: The alias of each row.
        margin: See `MARGIN`.
        seed: Of the draws of aliases.

    Raises:
        NoCircuitError: there is nothing to carry.
    """
    whole = torch.ones_like(one)
    kept = torch.stack([one, other, whole, torch.zeros_like(one)])
    said = ablated.answers(~kept)[..., 1]
    gap = float((said[2] - said[3]).mean())
    refuse_nothing_to_carry(gap)
    apart = alias_means((said[0] - said[1]) / gap, groups)
    rng = np.random.default_rng(derive_seed(seed, "equivalence"))
    draws = apart[rng.integers(len(apart), size=(N_BOOTSTRAP, len(apart)))].mean(1)
    low, high = np.quantile(draws, [LEVEL, 1 - LEVEL])
    return Equivalence(
        difference=float(apart.mean()),
        low=float(low),
        high=float(high),
        p_value=max(_p_beyond(draws, margin), _p_beyond(-draws, margin)),
    )


def gate(
    ablated: Ablatable,
    circuit: Bool[Tensor, " unit"],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
) -> Gate:
    """Tests a circuit: it stands for the model, the rest does not.

    Accepts the whole model and refuses the empty circuit.
    """
    whole, empty = torch.ones_like(circuit), torch.zeros_like(circuit)
    return Gate(
        faithful=equivalence(ablated, circuit, whole, groups, seed=seed),
        necessary=equivalence(ablated, ~circuit, empty, groups, seed=seed),
        independent=independence(ablated, circuit, groups, seed=seed),
    )


def refuse_no_circuit(circuit: Bool[Tensor, " unit"]) -> None:
    """Refuses what a person may not call a circuit: nothing, and everything.

    Raises:
        InputError: it is empty, or the whole model.
    """
    if not circuit.any():
        raise InputError("the circuit is empty; name at least one unit, such as a1.h0@question")
    if circuit.all():
        raise InputError(
            f"the circuit has all {len(circuit)} units: it is the model, and no other circuit "
            "could be held against it; leave some out"
        )


def _p_beyond(draws: Float[np.ndarray, " draw"], margin: float) -> float:
    return float((1 + (draws >= margin).sum()) / (1 + len(draws)))


def _interval(found: Equivalence) -> str:
    return f"{found.difference:+.0%} of the gap, 90% interval {found.low:+.0%} to {found.high:+.0%}"
