"""A causal test of gradient alignment: Stage 1 with the definitions' gradient turned.

In each batch let g_def and g_qa be the mean gradients over its definition and its question rows,
before the optimizer. `SurgeryTrainer` replaces g_def by

    g_def - dose * (g_def . g_qa / |g_qa|^2) * g_qa

so that dose 1 takes all alignment out of the update, 0 leaves it, -1 doubles it. The control moves
g_def by the same length along a random direction orthogonal to g_qa: as large a change, none of it
along the questions' gradient.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from training.config import StageConfig
from training.examples import Examples
from training.loop import StageTrainer
from training.seeds import derive_seed


class SurgeryTrainer(StageTrainer):
    """Trains a stage on turned gradients; everything else is as in `StageTrainer`."""

    def __init__(
        self,
        model: PreTrainedModel,
        examples: Examples,
        config: StageConfig,
        *,
        order_seed: int,
        is_definition: Bool[Tensor, " example"],
        dose: float,
        along_random: bool = False,
    ) -> None:
        """Starts the stage.

        Args:
            model: Trained in place.
            examples: The examples of the stage, as they repeat in an epoch.
            config: How the stage is trained.
            order_seed: As in `StageTrainer`: the same batches in the same order.
            is_definition: Which examples are definitions; the others are questions.
            dose: How much of the projection is taken out; see the module's docstring.
            along_random: Whether to turn it along a random direction instead: the control.

        Raises:
            InputError: the stage has no definitions or no questions to align.
        """
        super().__init__(model, examples, config, order_seed=order_seed)
        if is_definition.all() or not is_definition.any():
            raise InputError("surgery needs definitions and questions in one stage; use Stage 1")
        self.is_definition, self.dose, self.along_random = is_definition, dose, along_random

    def backward(self, rows: Int[Tensor, " row"]) -> float:
        """Leaves the turned gradient of the batch's mean loss; returns that loss."""
        chosen = self.is_definition[rows]
        parts = [part for part in (rows[chosen], rows[~chosen]) if len(part)]
        n_targets = [int(self.examples.targets[part].sum()) for part in parts]
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        losses, gradients = [], []
        for part in parts:
            self.optimizer.zero_grad()
            losses.append(super().backward(part))
            gradients.append(tuple(p.grad for p in parameters if p.grad is not None))
        weights = [n / sum(n_targets) for n in n_targets]
        if len(gradients) == 2:
            gradients[0] = self._turned(gradients[0], gradients[1])
        for i, parameter in enumerate(parameters):
            mixed = sum(w * g[i] for w, g in zip(weights, gradients, strict=True))
            assert isinstance(mixed, Tensor)
            parameter.grad = mixed
        return sum(w * loss for w, loss in zip(weights, losses, strict=True))

    def _turned(
        self, definitions: tuple[Tensor, ...], questions: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        squared = _dot(questions, questions)
        if self.dose == 0 or squared == 0:
            return definitions
        share = self.dose * _dot(definitions, questions) / squared
        direction = questions
        if self.along_random:
            direction = self._orthogonal(questions, squared)
        return tuple(d - share * along for d, along in zip(definitions, direction, strict=True))

    def _orthogonal(
        self, questions: tuple[Tensor, ...], squared: float
    ) -> tuple[Float[Tensor, "..."], ...]:
        """A random direction orthogonal to the questions' gradient, and as long."""
        seed = derive_seed(self.order_seed, f"surgery at step {self.step}")
        generator = torch.Generator().manual_seed(seed)
        random = tuple(torch.randn(q.shape, generator=generator).to(q) for q in questions)
        share = _dot(random, questions) / squared
        rest = tuple(r - share * q for r, q in zip(random, questions, strict=True))
        scale = (squared / _dot(rest, rest)) ** 0.5
        return tuple(scale * each for each in rest)


def _dot(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    """Inner product over all parameters, summed in float64."""
    products = [(a * b).sum(dtype=torch.float64) for a, b in zip(one, other, strict=True)]
    return float(torch.stack(products).sum())
