"""What using a model must leave as it was: weights, gradients, modes, hooks, chance."""

import numpy as np
import torch
from torch import Tensor

from interp.hooked.model import HookedModel


def n_attached_hooks(model: HookedModel) -> int:
    points = {id(point): point for point in model.bridge.hook_dict.values()}.values()
    ours = sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in points)
    return ours + sum(len(module._forward_hooks) + len(module._backward_hooks) for module in points)


def state_of(model: torch.nn.Module) -> list[object]:
    return [
        [(name, weight.clone()) for name, weight in model.state_dict().items()],
        [(name, p.requires_grad, p.grad) for name, p in model.named_parameters()],
        [(name, m.training, len(m._forward_hooks)) for name, m in model.named_modules()],
    ]


def random_state() -> list[object]:
    # Python's own is left out: the type checks of the tests draw from it.
    return [torch.get_rng_state(), np.random.get_state()]  # noqa: NPY002


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
