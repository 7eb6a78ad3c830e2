"""Optimizers, their learning rate at each step, and their state as named tensors."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate
from torch.optim import Optimizer as TorchOptimizer
from transformers import PreTrainedModel
from transformers.optimization import Adafactor

from training.config import Decay, Optimizer, StageConfig
from training.distributed import is_sharded, like


def make_optimizer(model: PreTrainedModel, config: StageConfig) -> TorchOptimizer:
    """A new optimizer over all weights of a model; weight decay is for each of them.

    Adafactor is as in the paper, whose code leaves it to Hugging Face's Trainer: the given rate
    rather than a relative one, no scaling by the size of a parameter, no momentum.
    """
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)
    optimizer = Adafactor(
        model.parameters(),
        lr=rate,
        weight_decay=decay,
        scale_parameter=False,
        relative_step=False,
    )
    if is_sharded(model):
        _begin_sharded(optimizer, model)
    return optimizer


def learning_rate(config: StageConfig, step: int, last_step: int) -> float:
    """The rate of the update that follows `step` updates, of `last_step` in the stage."""
    if config.decay is Decay.CONSTANT:
        return config.learning_rate
    return config.learning_rate * ((last_step - step) / last_step)


def optimizer_state(model: PreTrainedModel, optimizer: TorchOptimizer) -> dict[str, Tensor]:
    """The optimizer's state of each weight, as `quantity/weight`."""
    return {
        f"{key}/{name}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    model: PreTrainedModel, optimizer: TorchOptimizer, tensors: dict[str, Tensor]
) -> None:
    """Gives an optimizer the state that `optimizer_state` returned; other tensors are left out."""
    parameters = dict(model.named_parameters())
    for full_name, value in tensors.items():
        key, _, name = full_name.partition("/")
        if name in parameters:
            parameter = parameters[name]
            # Adafactor counts its steps in a Python int, AdamW in a tensor of floats.
            is_count = not value.is_floating_point()
            state = optimizer.state[parameter]
            state[key] = value.item() if is_count else like(value, state.get(key, parameter))


def _begin_sharded(optimizer: Adafactor, model: PreTrainedModel) -> None:
    """Adafactor's state before the first step; by itself it would make one that is not sharded."""
    for parameter in model.parameters():
        zeros = torch.zeros_like(parameter, requires_grad=False)
        state = optimizer.state[parameter]
        state["step"], state["RMS"] = 0, torch.zeros(())
        if zeros.ndim < 2:
            state["exp_avg_sq"] = zeros
            continue
        state["exp_avg_sq_row"] = zeros.mean(-1)
        columns = zeros.mean(-2)
        assert isinstance(columns, DTensor)
        # A column's mean needs every process's rows.
        state["exp_avg_sq_col"] = columns.redistribute(placements=[Replicate()])
