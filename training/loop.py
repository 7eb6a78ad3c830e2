"""Trains one stage, a step at a time; knows nothing of definitions and questions.

The order of examples is a function of (seed, epoch), so no position in a shuffled stream has to be
saved: a trainer restored at a step goes on exactly as if it had never stopped.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from training.config import Precision, StageConfig
from training.distributed import Team
from training.examples import Examples, batch_loss
from training.optimizers import learning_rate, make_optimizer, optimizer_state, restore_optimizer
from training.seeds import derive_seed
from training.working_copy import WorkingCopy, multiplies_bfloat16


class StageTrainer:
    """A model, its optimizer, and how many steps of its stage are done."""

    def __init__(
        self,
        model: PreTrainedModel,
        examples: Examples,
        config: StageConfig,
        *,
        order_seed: int,
        team: Team | None = None,
    ) -> None:
        """Starts a stage at step 0 with a new optimizer state.

        Args:
            model: Trained in place.
            examples: The examples of the stage, as they repeat in an epoch; batches of them go to
                the model's device.
            config: How the stage is trained.
            order_seed: What the order of the examples is drawn from.
            team: The processes that train together; this one alone unless given.

        Raises:
            InputError: the model's weights are narrower than float32.
        """
        _require_masters(model)
        self.team = team or Team.alone()
        self.team.prepare(model)
        self.model = model.train()
        self.examples = examples
        self.config = config
        self.order_seed = order_seed
        self.step = 0
        self.working_copy = self._working_copy()
        self.optimizer = make_optimizer(model, config)
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.long))

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch, whose last batch may be smaller."""
        return -(-len(self.examples) // self.config.batch_size)

    @property
    def last_step(self) -> int:
        """Number of steps of the whole stage."""
        return self.steps_per_epoch * self.config.epochs

    def train_step(self) -> float:
        """One optimizer step on the next batch; returns its loss before the step.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        self.optimizer.zero_grad()
        value = self.backward(self.next_rows())
        if not value < float("inf"):
            raise FloatingPointError(
                f"the loss is {value} at step {self.step}; lower the learning rate"
            )
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step, self.last_step)
        self.optimizer.step()
        assert all(
            _is_master(p) and _is_master(p.grad)
            for p in self.model.parameters()
            if p.grad is not None
        )
        self.step += 1
        return value

    def backward(self, rows: Int[Tensor, " row"]) -> float:
        """Leaves the gradient of these examples' mean loss on the model; returns the loss.

        The mean is over all their target tokens, however they are split into micro-batches and
        among processes.
        """
        n_targets = max(int(self.examples.targets[rows].sum()), 1)
        total = torch.zeros((), dtype=self.model.dtype, device=self.model.device)
        if self.working_copy:
            self.working_copy.refresh()
        for part in self._micro_batches(rows):
            batch = self._share(part)
            share = int(batch.targets.sum()) / n_targets
            with self._precision():
                loss = batch_loss(self.model, batch)
            # The team takes the mean of its gradients, the batch wants their sum.
            (loss * (share * self.team.size)).backward()
            total += loss.detach() * share
        self.team.average_gradients(self.model)
        return self.team.sum(total).item()

    def _micro_batches(self, rows: Int[Tensor, " row"]) -> Sequence[Int[Tensor, " part"]]:
        """Rows cut up for one forward pass of the team each, short rows with short ones."""
        size = self.config.micro_batch_size * self.team.size
        if not 0 < size < len(rows):
            return [rows]
        return rows[self.examples.take(rows).lengths.argsort(stable=True)].split(size)

    def _share(self, part: Int[Tensor, " row"]) -> Examples:
        """This process's examples of a micro-batch; without any, one that has no targets.

        A sharded model needs every process in every forward and backward pass.
        """
        mine = self.team.share(part)
        if len(mine):
            return self.batch(mine)
        silent = self.batch(part[:1])
        return replace(silent, targets=torch.zeros_like(silent.targets))

    def _working_copy(self) -> WorkingCopy | None:
        """What computes in bfloat16, where that is asked for and not slower."""
        if self.config.precision is Precision.FP32 or not multiplies_bfloat16(self.model.device):
            return None
        return WorkingCopy(is_kept=not self.team.shards)

    def _precision(self) -> AbstractContextManager[None]:
        """What the forward pass computes in."""
        return self.working_copy.in_use(self.model.device) if self.working_copy else nullcontext()

    def batch(self, rows: Int[Tensor, " row"]) -> Examples:
        """The examples in these places, on the model's device."""
        return self.examples.take(rows).to(self.model.device)

    def next_batch(self) -> Examples:
        """The batch that the next step trains on."""
        return self.batch(self.next_rows())

    def next_rows(self) -> Int[Tensor, " row"]:
        """Which examples the next step trains on."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(
                derive_seed(self.order_seed, f"epoch {epoch}")
            )
            self._order = (epoch, torch.randperm(len(self.examples), generator=generator))
        size = self.config.batch_size
        return self._order[1][place * size : (place + 1) * size]

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything but the weights that the next step depends on, and the random state.

        Every process of a team must call; see `Team.whole`.
        """
        tensors = {"torch_random_state": torch.get_rng_state()}
        if self.model.device.type == "cuda":
            tensors["cuda_random_state"] = torch.cuda.get_rng_state(self.model.device)
        return tensors | self.team.whole(optimizer_state(self.model, self.optimizer))

    def restore(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Takes up a saved state; the model must hold the weights of the same step."""
        self.step = step
        torch.set_rng_state(tensors["torch_random_state"])
        if self.model.device.type == "cuda" and "cuda_random_state" in tensors:
            torch.cuda.set_rng_state(tensors["cuda_random_state"], self.model.device)
        restore_optimizer(self.model, self.optimizer, tensors)


def _is_master(tensor: Tensor) -> bool:
    """Whether updates of a small rate are not rounded away."""
    return tensor.dtype in (torch.float32, torch.float64)


def _require_masters(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if not _is_master(weight):
            dtype = str(weight.dtype).removeprefix("torch.")
            raise InputError(
                f"{name} has {dtype} weights where float32 masters are needed; load the model "
                "with dtype=float32"
            )
