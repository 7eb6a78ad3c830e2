"""What is lost when a circuit is taken away, where, and is that beyond matched circuits?

Measured are the right answers: the log-probability of each (nats) and exact matches. The *effect*
on a behaviour is its mean without intervention minus that without the circuit, positive where
something is lost; the effect on the gap is that on the higher compared subset minus that on the
lower. *Specificity* sets the effect on the behaviour that the circuit is for, T, against the mean
size of the effects on what circuits are matched on (trained subsets, recitation), O:

    T / (|T| + O), from -1 to 1; 1 where nothing else is lost, 0.5 where as much is
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.design import Contrast
from interp.circuits.ablated import Answerable
from interp.circuits.evaluation import Criterion, against
from interp.circuits.summary import Record, record

GAP = "gap"
"""The measured behaviour that is the difference of the compared subsets."""


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What is lost of every behaviour, in nats and in exact matches, without each circuit."""

    nats: Mapping[str, Float[np.ndarray, " circuit"]]
    exact: Mapping[str, Float[np.ndarray, " circuit"]]

    def records(self, n_rows: Mapping[str, int]) -> list[Record]:
        """Of every behaviour, the first circuit held against the others.

        Args:
            n_rows: Of each behaviour.
        """
        both = {"disruption": self.nats, "disruption_exact": self.exact}
        return [
            record(quantity, against(values), n_rows.get(name, min(n_rows.values())), subset=name)
            for quantity, effects in both.items()
            for name, values in effects.items()
        ]

    def specificity(self, target: str, others: list[str]) -> Criterion:
        """Of the first circuit, held against the others; see the module's docstring."""
        on_target = self.nats[target]
        elsewhere = np.mean([np.abs(self.nats[name]) for name in others], axis=0)
        total = np.abs(on_target) + elsewhere
        return against(on_target / np.where(total > 0, total, 1.0))


def circuit_effects(
    behaviours: Mapping[str, Answerable],
    circuits: Bool[Tensor, "circuit unit"],
    compared: Contrast,
) -> Effects:
    """Takes each circuit away and asks every behaviour.

    Args:
        behaviours: Their held-out rows with the right answers, by name; see
            `interp.circuits.behaviours.Behaviour.measured`.
        circuits: The one that is tested, then those that it is held against.
        compared: Gives the gap, where both subsets are among the behaviours.
    """
    nothing = torch.zeros(1, circuits.shape[1], dtype=torch.bool)
    nats, exact = {}, {}
    for name, ablated in behaviours.items():
        said = ablated.answers(torch.cat([nothing, circuits])).mean(1).numpy()
        exact[name], nats[name] = (said[0] - said[1:]).T
    higher, lower = compared.names
    if higher in nats and lower in nats:
        nats[GAP] = nats[higher] - nats[lower]
        exact[GAP] = exact[higher] - exact[lower]
    return Effects(nats=nats, exact=exact)


def solo_effects(
    behaviours: Mapping[str, Answerable],
) -> dict[str, Float[np.ndarray, " unit"]]:
    """What each unit, ablated alone, costs each behaviour, in nats."""
    n = len(next(iter(behaviours.values())).units)
    alone = torch.cat([torch.zeros(1, n, dtype=torch.bool), torch.eye(n, dtype=torch.bool)])
    found = {}
    for name, ablated in behaviours.items():
        said = ablated.answers(alone)[..., 1].mean(1).numpy()
        found[name] = said[0] - said[1:]
    return found
