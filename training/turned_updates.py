"""What some examples write into rows of the embedding, turned out of directions of each row.

Turning a gradient does not do it: AdamW divides it by its size, entry by entry, and so turns it
back. Here the optimizer's *step* is turned. Given its running mean of squares, AdamW's step is
linear in its running mean of gradients; so the share that some examples have in a step is known
exactly if their own running mean is kept beside the optimizer's. That share u of each row becomes

    u - dose * p    made as long as u,

where p is the projection of u on the row's directions: dose 1 keeps u off them, 0 leaves it, -1
moves it further along them. Gradients, the optimizer's state and all other weights are as they are
without a turn.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError
from training.examples import batch_loss
from training.loop import StageTrainer

Directions: TypeAlias = Callable[
    [Float[Tensor, "token feature"]], Float[Tensor, "#row rank feature"]
]
"""From the embedding as it is to what each turned row is turned out of; need not be orthogonal."""
MEMORY = 0.99
"""What the running gradient of a partner keeps at each step, about two epochs of a toy's alias."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whose share of the updates is turned, in which rows, out of what."""

    rows: Int[Tensor, " row"]
    """Tokens whose rows of the input embedding are turned, each once."""
    examples: Bool[Tensor, " example"]
    """The examples of the stage whose share is turned, as they repeat in an epoch."""
    out_of: Directions | None = None
    partners: Bool[Tensor, " example"] | None = None
    """In place of directions: examples whose running gradient of each row is its direction."""
    into: Directions | None = None
    """Where what is taken out is written instead; for one direction a row. Else it is lost."""
    beside: Directions | None = None
    """The control: the share is turned by the same angle, out of these directions instead."""
    dose: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a turn that is out of nothing, or of two things."""
        if (self.out_of is None) == (self.partners is None):
            raise InputError("a turn is out of directions or of partners' gradients; give one")
        if self.into is not None and self.beside is not None:
            raise InputError("the control of a turn into directions is one into others; give one")


@contextmanager
def turned_updates(trainer: StageTrainer, turn: Turn) -> Iterator[None]:
    """Turns each step of a trainer, as long as one is inside.

    Args:
        trainer: Of a whole model, with AdamW and gradients that are not clipped.
        turn: What is turned.

    Raises:
        InputError: the share of examples in a step of this trainer is not known.
    """
    if not isinstance(trainer.optimizer, torch.optim.AdamW) or trainer.config.clip_norm:
        raise InputError(
            "the share of some examples in a step is known of adamw without clipping alone; "
            "use a run with optimizer=adamw and clip_norm=0"
        )
    weight = _embedding(trainer)
    share = _Running(trainer, turn.rows, turn.examples, trainer.optimizer.defaults["betas"][0])
    partner = None
    if turn.partners is not None:
        partner = _Running(trainer, turn.rows, turn.partners, MEMORY)

    def before(*_: object) -> None:
        share.update()
        if partner is not None:
            partner.update()

    def after(*_: object) -> None:
        with torch.no_grad():
            update = _step_of(trainer.optimizer, weight, turn.rows, share.mean)
            if partner is not None:
                away = partner.mean[:, None]
            else:
                assert turn.out_of is not None
                away = turn.out_of(weight)
            others = [each and each(weight) for each in (turn.into, turn.beside)]
            turned = turned_update(update, away, turn.dose, into=others[0], beside=others[1])
            weight[turn.rows] += turned - update

    handles = [
        trainer.optimizer.register_step_pre_hook(before),
        trainer.optimizer.register_step_post_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def turned_update(
    update: Float[Tensor, "row feature"],
    away: Float[Tensor, "#row rank feature"],
    dose: float,
    *,
    into: Float[Tensor, "#row 1 feature"] | None = None,
    beside: Float[Tensor, "#row other feature"] | None = None,
) -> Float[Tensor, "row feature"]:
    """Updates turned row by row, as long as they were; one that is all taken out is 0.

    Args:
        update: What is turned.
        away: The directions of each row that it is turned out of.
        dose: How much of the projection on them is taken out.
        into: Where as much is written instead, with the same sign.
        beside: Directions that it is turned out of in place of `away`, by the same angle.
    """
    removed = projected(update, away)
    if beside is not None:
        removed = _as_far(update, removed, projected(update, beside))
    rest = update - dose * removed
    if into is not None:
        signed = (removed * away[:, 0]).sum(-1, keepdim=True).sign()
        length = removed.norm(dim=-1, keepdim=True) * signed
        rest = rest + dose * length * _unit(into[:, 0])
    length, left = (each.norm(dim=-1, keepdim=True) for each in (update, rest))
    # A rest of rounding alone has no direction of its own.
    return torch.where(left > 1e-5 * length, rest * (length / left), 0.0)


def projected(
    update: Float[Tensor, "row feature"], directions: Float[Tensor, "#row rank feature"]
) -> Float[Tensor, "row feature"]:
    """The projection of each row on the span of its directions, whatever their rank."""
    spanning = directions.double()
    inverse = torch.linalg.pinv(spanning @ spanning.mT, hermitian=True, rtol=1e-10)
    along = inverse @ (spanning @ update.double()[..., None])
    return (spanning.mT @ along)[..., 0].to(update.dtype)


def _as_far(
    update: Float[Tensor, "row feature"],
    removed: Float[Tensor, "row feature"],
    toward: Float[Tensor, "row feature"],
) -> Float[Tensor, "row feature"]:
    """What is taken out of an update by a projection on one direction, as long as `removed` is.

    The direction lies between the update and what it has in common with the control's directions.
    """
    along = _unit(update)
    length = removed.norm(dim=-1, keepdim=True)
    cosine = (length / update.norm(dim=-1, keepdim=True).clamp_min(1e-30)).clamp(max=1.0)
    across = _unit(toward - (toward * along).sum(-1, keepdim=True) * along)
    return length * (cosine * along + (1 - cosine**2).sqrt() * across)


def _unit(vectors: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-30)


class _Running:
    """The running mean of what some examples add to the gradient of rows of the embedding."""

    def __init__(
        self,
        trainer: StageTrainer,
        rows: Int[Tensor, " row"],
        examples: Bool[Tensor, " example"],
        memory: float,
    ) -> None:
        if len(examples) != len(trainer.examples):
            raise InputError(
                f"{len(examples)} examples are told of, the stage has {len(trainer.examples)}; "
                "count each as often as it repeats"
            )
        self.trainer, self.rows, self.examples, self.memory = trainer, rows, examples, memory
        self.mean = torch.zeros_like(_embedding(trainer)[rows])

    def update(self) -> None:
        """Takes up the next batch; the gradients on the model stay as they are."""
        batch = self.trainer.next_rows()
        chosen = batch[self.examples[batch]]
        self.mean *= self.memory
        if not len(chosen):
            return
        targets = self.trainer.examples.targets
        share = int(targets[chosen].sum()) / max(int(targets[batch].sum()), 1)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            loss = batch_loss(self.trainer.model, self.trainer.batch(chosen))
            (gradient,) = torch.autograd.grad(loss, _embedding(self.trainer))
        self.mean += (1 - self.memory) * share * gradient[self.rows]


def _step_of(
    optimizer: torch.optim.Optimizer,
    weight: Tensor,
    rows: Int[Tensor, " row"],
    mean: Float[Tensor, "row feature"],
) -> Float[Tensor, "row feature"]:
    """The part of AdamW's last step that a part of its running mean of gradients gives."""
    (group,) = optimizer.param_groups
    state, (keep, keep_squares) = optimizer.state[weight], group["betas"]
    count = float(state["step"])
    squares = state["exp_avg_sq"][rows] / (1 - keep_squares**count)
    return -group["lr"] / (1 - keep**count) * mean / (squares.sqrt() + group["eps"])


def _embedding(trainer: StageTrainer) -> Tensor:
    return trainer.model.get_input_embeddings().weight  # pyright: ignore[reportReturnType]
