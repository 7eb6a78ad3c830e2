"""A code's directions projected out of what the last stage changed in the weights themselves.

Every matrix that writes into the stream (the input embedding, the output projections of attention
and MLP with their biases) keeps its change but for what it writes in the directions of the code at
the place behind it:

    W = W2 - P (W2 - W1)          on the output side; W1 and W2 before and after the last stage

P spans the main directions of the code (see `interp.codes.directions`): whatever lies in them goes,
of any entity. Nulls remove a change of the same norm from each group of matrices.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.codes.answers import METRICS
from interp.codes.directions import Directions
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.models.architectures import stop_tokens

EMBEDDING = -1
"""The group of the input embedding among the layers, whose matrices are a group each."""
WRITERS = ("attention.dense", "mlp.dense_4h_to_h", "attn.c_proj", "mlp.c_proj",
           "attn.attention.out_proj", "self_attn.o_proj", "mlp.down_proj")  # fmt: skip
"""How GPT-NeoX, GPT-2, GPT-Neo and Llama call what writes into the stream, within a block."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A parameter that writes into the stream."""

    name: str
    group: int
    """Its layer, or `EMBEDDING`."""
    axis: int
    """Along which its output lies."""


def writers_of(model: PreTrainedModel) -> list[Writer]:
    """The parameters that write into the stream, layer by layer.

    Raises:
        InputError: the architecture's matrices are not known by name.
    """
    embedding = model.get_input_embeddings()
    found = []
    for name, module in model.named_modules():
        if module is embedding:
            found.append(Writer(name=f"{name}.weight", group=EMBEDDING, axis=1))
        elif name.endswith(WRITERS):
            layer = next(int(part) for part in name.split(".") if part.isdigit())
            axis = 1 if isinstance(module, Conv1D) else 0
            found.append(Writer(name=f"{name}.weight", group=layer, axis=axis))
            if getattr(module, "bias", None) is not None:
                found.append(Writer(name=f"{name}.bias", group=layer, axis=0))
    if {w.group for w in found} != {EMBEDDING, *range(model.config.num_hidden_layers)}:
        raise InputError(
            "it is not known which weights of this model write into the stream; "
            "leave out --site weights"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class ChangedWeights:
    """The weights of two checkpoints, and the questions that edited ones are asked."""

    before: PreTrainedModel
    after: PreTrainedModel
    rows: list[TokenizedRow]
    owner: list[int]
    """Which alias each question is about."""
    stop_token: int | None

    @cached_property
    def working(self) -> PreTrainedModel:
        """A copy to edit, whose input embedding is a matrix of its own, if it was tied."""
        copied = copy.deepcopy(self.after)
        embedding = copied.get_input_embeddings()
        assert isinstance(embedding.weight, Tensor)
        embedding.weight = nn.Parameter(embedding.weight.detach().clone())
        return copied.eval()

    @cached_property
    def changes(self) -> list[tuple[Writer, Float[Tensor, "..."]]]:
        """What the last stage changed in each matrix that writes into the stream."""
        return [
            (writer, _value(self.after, writer) - _value(self.before, writer))
            for writer in writers_of(self.after)
        ]

    def without(
        self, own: Mapping[int, Directions], tried: Mapping[int, Directions]
    ) -> Float[np.ndarray, "alias metric"]:
        """Answers with directions projected out of the change of each group that is named.

        Args:
            own: By group the directions of the code, whose removal says how much is removed.
            tried: By group those that are projected out.
        """
        removed = list(self._removed(own, tried))
        with torch.no_grad():
            for writer, part in removed:
                _value(self.working, writer).sub_(part)
            try:
                return self._answers()
            finally:
                for writer, _ in removed:
                    _value(self.working, writer).copy_(_value(self.after, writer))

    def _removed(
        self, own: Mapping[int, Directions], tried: Mapping[int, Directions]
    ) -> Iterator[tuple[Writer, Tensor]]:
        for group, directions in tried.items():
            changes = [(w, change) for w, change in self.changes if w.group == group]
            due = _norm([within(change, own[group], w.axis) for w, change in changes])
            parts = [within(change, directions, w.axis) for w, change in changes]
            scale = due / (_norm(parts) or 1.0)
            yield from ((w, scale * part) for (w, _), part in zip(changes, parts, strict=True))

    def _answers(self) -> Float[np.ndarray, "alias metric"]:
        asked = AskedTexts.of(self.rows, make_examples, self.stop_token)
        logits = asked.examples.to(self.working.device).logits(self.working)
        stops = stop_tokens(self.working)
        scores = score_answers(logits, asked, stops=stops, metrics=METRICS).numpy()
        sums = np.zeros((max(self.owner) + 1, len(METRICS)))
        np.add.at(sums, self.owner, scores)
        return sums / np.bincount(self.owner)[:, None]


def within(change: Tensor, directions: Directions, axis: int) -> Tensor:
    """The part of a matrix's change whose output lies in some directions."""
    basis = torch.from_numpy(directions).to(change)
    moved = change.movedim(axis, -1)
    return (moved @ basis.T @ basis).movedim(-1, axis)


def _value(model: PreTrainedModel, writer: Writer) -> Tensor:
    return model.get_parameter(writer.name).detach()


def _norm(parts: list[Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())
