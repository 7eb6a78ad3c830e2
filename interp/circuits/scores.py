"""How much does each unit matter for the answers? Three ways to say so, with one sign.

A score is the answer log-probability (nats) that a row loses when the unit is ablated: positive
where the unit helps. `exact` ablates it; the others estimate that from gradients in the share of
the unit that is taken away:

    exact     log p(model) - log p(model without the unit)
    eap       - slope at the model as it is: attribution patching (Syed et al. 2023, arXiv
              2310.10348), first order
    eap_ig    - slopes averaged over the way from the model to the one without any unit: integrated
              gradients (Hanna et al. 2024, arXiv 2403.17806), whose baseline is the ablation; over
              all units they sum to what the whole way costs
"""

from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor

from interp.circuits.ablated import Ablatable

IG_STEPS = 10


class ScoreMethod(StrEnum):
    """How a unit is scored."""

    EXACT = "exact"
    EAP = "eap"
    EAP_IG = "eap_ig"


def unit_scores(
    ablated: Ablatable, method: ScoreMethod, *, ig_steps: int = IG_STEPS
) -> Float[Tensor, "row unit"]:
    """What each row's answer loses without each unit, in nats; see the module's docstring.

    Args:
        ablated: Rows of a model, and what takes the place of a unit.
        method: Exact, or by gradients.
        ig_steps: Points of `eap_ig`, in the middles of as many equal parts of the way.
    """
    n = len(ablated.units)
    if method is ScoreMethod.EXACT:
        alone = torch.eye(n, dtype=torch.bool)
        found = ablated.answers(torch.cat([torch.zeros(1, n, dtype=torch.bool), alone]))[..., 1]
        return (found[0] - found[1:]).T
    shares = [0.0] if method is ScoreMethod.EAP else [(k + 0.5) / ig_steps for k in range(ig_steps)]
    slopes = [ablated.slopes(torch.full((n,), share)) for share in shares]
    return -torch.stack(slopes).mean(0)
