"""Several processes that train one model, started by the usual `accelerate launch`.

Each holds the whole model, or with FSDP (`accelerate launch --use_fsdp`) a share of its weights,
gradients and optimizer state; each runs its share of the rows of every batch. The update is the one
that a single process would make.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from data.errors import InputError
from training.progress import launched_processes

if TYPE_CHECKING:
    from accelerate import PartialState


def is_sharded(model: PreTrainedModel) -> bool:
    """Whether each process holds but a share of the model's weights."""
    return isinstance(model, FSDPModule)


def like(value: Tensor, sharded: Tensor) -> Tensor:
    """A whole tensor cut as another of its shape is, on the other's device."""
    if isinstance(sharded, DTensor) and sharded.shape == value.shape:
        return distribute_tensor(value.to(sharded.device), sharded.device_mesh, sharded.placements)
    return value.to(sharded.device, copy=True)


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes that train one model together, seen from one of them."""

    processes: "PartialState | None"
    """The processes as `accelerate` knows them; None in a process that is alone."""
    shards: bool
    """Whether weights are shared out among the processes, too."""

    @classmethod
    def alone(cls) -> "Team":
        """The team of this process and no other."""
        return cls(processes=None, shards=False)

    @classmethod
    def of_launch(cls) -> "Team":
        """The team that `accelerate launch` or `torchrun` started, or this process alone.

        Of the launcher's settings, the processes, their devices and whether to use FSDP count;
        FSDP (its second version) shards every layer fully. What is computed in is the stage's
        `Precision`.

        Raises:
            InputError: DeepSpeed or Megatron-LM was asked for, there is no device for each process,
                or `WORLD_SIZE` is no number of processes.
        """
        size = launched_processes()
        if size == 1:
            return cls.alone()
        for tool in ("DEEPSPEED", "MEGATRON_LM"):
            if _is_on(f"ACCELERATE_USE_{tool}"):
                raise InputError(
                    f"accelerate launch asks for {tool}, which training knows nothing of; "
                    "use --multi_gpu or --use_fsdp"
                )
        from accelerate import PartialState

        processes = PartialState(cpu=_is_on("ACCELERATE_USE_CPU"))
        if processes.num_processes != size:
            raise InputError(
                f"{size} processes were launched, but no accelerator was found for them; "
                "set ACCELERATE_USE_CPU=true to train on the CPU"
            )
        return cls(processes=processes, shards=_is_on("ACCELERATE_USE_FSDP"))

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.processes.num_processes if self.processes else 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.processes is None or self.processes.is_main_process

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.processes:
            self.processes.wait_for_everyone()

    def share(self, rows: Int[Tensor, " row"]) -> Int[Tensor, " mine"]:
        """The rows that fall to this process; none where there are fewer than processes."""
        return rows[self.processes.process_index :: self.size] if self.processes else rows

    def prepare(self, model: PreTrainedModel) -> None:
        """Puts a model, or this process's share of it, on the process's device.

        An optimizer must be made afterwards: sharding gives the model new parameters.
        """
        if self.processes is None:
            return
        device = self.processes.device
        assert device is not None
        if not self.shards:
            model.to(device)  # pyright: ignore[reportArgumentType]
            return
        mesh = init_device_mesh(device.type, (self.size,))
        for module in model.modules():
            if type(module).__name__ in (model._no_split_modules or ()):
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)

    def average_gradients(self, model: PreTrainedModel) -> None:
        """Gives every process the mean of all processes' gradients."""
        # FSDP has averaged them in the backward pass.
        if self.processes and not self.shards:
            for weight in model.parameters():
                if weight.grad is not None:
                    weight.grad = self._reduced(weight.grad, "mean")

    def sum(self, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Sum of a number over the processes."""
        return self._reduced(value, "sum") if self.processes else value

    def _reduced(self, value: Tensor, how: str) -> Tensor:
        from accelerate.utils import reduce

        reduced = reduce(value, how)
        assert isinstance(reduced, Tensor)
        return reduced

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors put together from the processes' shares; every process must call.

        Returns:
            What was given where nothing is sharded, else the whole tensors in the memory of the
            main process, and nothing in the others.
        """
        if not self.shards:
            return dict(tensors)
        found = {}
        for name, tensor in tensors.items():
            gathered = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.is_main:
                found[name] = gathered.detach().cpu()
        return found

    def load(self, model: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
        """Gives a prepared model the whole weights of a checkpoint; every process must call."""
        own = model.state_dict()
        model.load_state_dict({name: like(value, own[name]) for name, value in weights.items()})


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"
