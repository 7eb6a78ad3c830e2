"""Trains one stage, a step at a time; knows nothing of definitions and questions.

The order of examples is a function of (seed, epoch), so no position in a shuffled stream has to be
saved: a trainer restored at a step goes on exactly as if it had never stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.config import StageConfig
from training.models import derive_seed


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Right-padded token ids, and which of them the loss predicts."""

    tokens: Int[Tensor, "example pos"]
    targets: Bool[Tensor, "example pos"]
    """True where the token is predicted from those before it."""

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.tokens)


def make_examples(
    rows: Sequence[TokenizedRow],
    policy: LossPolicy,
    *,
    end_token: int = 0,
    block_size: int = 0,
    repeat: bool = True,
) -> Examples:
    """Lays rows out for training or evaluation under a loss policy.

    Args:
        rows: What to lay out.
        policy: Which tokens are targets.
        end_token: Ends a text and pads it, as in the paper's code, so that `all` can train on it;
            under `answer` it is only padding, which nothing reads.
        block_size: Length that `all` pads to; the other policies pad to the longest row.
        repeat: Whether rows count as often as they repeat in an epoch.

    Raises:
        InputError: under `all`, a row and its end token are longer than the block.
    """
    repeated = [row for row in rows for _ in range(row.row.repeats if repeat else 1)]
    with_end = policy is not LossPolicy.ANSWER
    longest = max(len(row.input_ids) for row in repeated) + with_end
    if policy is LossPolicy.ALL:
        if longest > block_size:
            raise InputError(
                f"a row has {longest} tokens with its end token, block_size is {block_size}; "
                f"use block_size={longest} or more"
            )
        longest = block_size
    tokens = torch.full((len(repeated), longest), end_token)
    targets = torch.zeros(len(repeated), longest, dtype=torch.bool)
    for i, row in enumerate(repeated):
        n = len(row.input_ids)
        tokens[i, :n] = torch.tensor(row.input_ids)
        match policy:
            case LossPolicy.ANSWER:
                targets[i, list(row.answer_positions)] = True
            case LossPolicy.TEXT:
                targets[i, 1 : n + 1] = True
            case LossPolicy.ALL:
                targets[i, 1:] = True
    return Examples(tokens=tokens, targets=targets)


def target_logits(
    model: PreTrainedModel, tokens: Int[Tensor, "example pos"], targets: Bool[Tensor, "example pos"]
) -> Float[Tensor, "target d_vocab"]:
    """Logits from which the target tokens are predicted, in row-major order of the targets.

    Only those positions are unembedded, and columns behind the last of them are not run at all. No
    attention mask is needed: padding stands on the right, where causal attention never looks.
    """
    used = int(targets.any(0).nonzero().max())
    hidden = model.base_model(input_ids=tokens[:, :used], use_cache=False).last_hidden_state
    where = targets[:, 1 : used + 1].flatten().nonzero().squeeze(1)
    unembed = model.get_output_embeddings()
    assert unembed is not None
    return unembed(hidden.flatten(0, 1).index_select(0, where))


def batch_loss(model: PreTrainedModel, examples: Examples) -> Float[Tensor, ""]:
    """Mean cross-entropy over the target tokens of a batch, in nats a token."""
    logits = target_logits(model, examples.tokens, examples.targets)
    return functional.cross_entropy(logits, examples.tokens[examples.targets])


class StageTrainer:
    """A model, its optimizer, and how many steps of its stage are done."""

    def __init__(
        self, model: PreTrainedModel, examples: Examples, config: StageConfig, *, order_seed: int
    ) -> None:
        """Starts a stage at step 0 with a new optimizer state; the model is trained in place."""
        self.model = model.train()
        self.examples = examples
        self.config = config
        self.order_seed = order_seed
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._order: tuple[int, Tensor] = (-1, torch.empty(0, dtype=torch.long))

    @property
    def steps_per_epoch(self) -> int:
        """The last batch of an epoch may be smaller."""
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
        self.optimizer.step()
        self.step += 1
        return value

    def backward(self, rows: Int[Tensor, " row"]) -> float:
        """Leaves the gradient of these examples' mean loss on the model; returns the loss."""
        loss = batch_loss(self.model, self.batch(rows))
        loss.backward()
        return loss.item()

    def batch(self, rows: Int[Tensor, " row"]) -> Examples:
        """The examples in these places."""
        return Examples(tokens=self.examples.tokens[rows], targets=self.examples.targets[rows])

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
        """Everything but the weights that the next step depends on, and the random state."""
        tensors = {"torch_random_state": torch.get_rng_state()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        return tensors

    def restore(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Takes up a saved state; the model must hold the weights of the same step."""
        self.step = step
        torch.set_rng_state(tensors["torch_random_state"])
        for name, parameter in self.model.named_parameters():
            state = {
                key.partition("/")[0]: value.clone()
                for key, value in tensors.items()
                if key.partition("/")[2] == name
            }
            if state:
                self.optimizer.state[parameter] = state
