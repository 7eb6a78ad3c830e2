"""Weights that training leaves alone, single entries of a matrix among them.

A frozen weight gets no gradient, so it counts nowhere, not in the norm that gradients are clipped
by either; and after each step it is what it was, bit for bit, whatever the optimizer's momentum or
weight decay made of it. Where an optimizer keeps statistics of whole rows and columns (Adafactor),
a frozen weight counts there as one without a gradient.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Bool
from torch import Tensor

from training.loop import StageTrainer


@contextmanager
def frozen_weights(
    trainer: StageTrainer, frozen: Mapping[str, Bool[Tensor, "..."]]
) -> Iterator[None]:
    """Keeps weights of a trainer's model as they are now, as long as one is inside.

    Args:
        trainer: Of a whole model, not of a share of one.
        frozen: By the name of each parameter that has frozen weights, True where they are;
            broadcast.
    """
    parameters = dict(trainer.model.named_parameters())
    kept = {
        name: (mask.to(parameters[name].device), parameters[name].detach().clone())
        for name, mask in frozen.items()
    }

    def put_back(*_: object) -> None:
        with torch.no_grad():
            for name, (mask, start) in kept.items():
                parameters[name].copy_(torch.where(mask, start, parameters[name]))

    def silence(parameter: Tensor, mask: Bool[Tensor, "..."]) -> None:
        if parameter.grad is not None:
            parameter.grad.masked_fill_(mask, 0.0)

    handles = [
        parameters[name].register_post_accumulate_grad_hook(
            lambda parameter, mask=mask: silence(parameter, mask)
        )
        for name, (mask, _) in kept.items()
    ]
    handles.append(trainer.optimizer.register_step_post_hook(put_back))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
