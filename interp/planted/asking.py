"""Held-out questions of a planted model, answered for any rows of its aliases.

The calibration and the gate ask thousands of times, of a model whose aliases are not written yet.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from data.vocabulary import Role

Component = tuple[int, int | None]
"""A layer, and one of its heads or None for its MLP."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Questions about aliases, all of the same length, and what is right."""

    model: PreTrainedModel
    tokens: Int[Tensor, "question pos"]
    answers: Int[Tensor, " question"]
    place: int
    """Where the alias stands."""
    aliases: Int[Tensor, " question"]
    """The number of each question's alias."""
    subsets: Sequence[str]
    """The subset of each."""

    @classmethod
    def of(
        cls, model: PreTrainedModel, rows: Sequence[TokenizedRow], tokens: Sequence[int]
    ) -> "Questions":
        """Those rows that the run's metrics are measured on.

        Args:
            model: What is asked.
            rows: All rows of a seed.
            tokens: The aliases' tokens, by their number.
        """
        asked = [row for row in rows if row.row.is_evaluated and row.row.alias is not None]
        number = {token: i for i, token in enumerate(tokens)}
        place = asked[0].spans[Role.ALIAS][0]
        return cls(
            model=model,
            tokens=torch.tensor([row.input_ids[:-1] for row in asked]),
            answers=torch.tensor([row.input_ids[-1] for row in asked]),
            place=place,
            aliases=torch.tensor([number[row.input_ids[place]] for row in asked]),
            subsets=[row.row.subset.name for row in asked],
        )

    def of_subsets(self, names: Sequence[str]) -> "Questions":
        """Only the questions of these subsets."""
        kept = torch.tensor([subset in names for subset in self.subsets])
        return Questions(
            model=self.model,
            tokens=self.tokens[kept],
            answers=self.answers[kept],
            place=self.place,
            aliases=self.aliases[kept],
            subsets=[subset for subset in self.subsets if subset in names],
        )

    def is_of(self, name: str) -> Bool[Tensor, " question"]:
        """Which questions are of a subset."""
        return torch.tensor([subset == name for subset in self.subsets])

    @torch.no_grad()
    def logits(
        self,
        rows: Float[Tensor, "alias d_model"],
        replaced: Mapping[Component, Float[Tensor, "question pos feature"]] | None = None,
    ) -> Float[Tensor, "question word"]:
        """What the model says after each question.

        Args:
            rows: The embedding row of every alias.
            replaced: What components put out, in place of their own; see `outputs`.
        """
        embedded = self.model.get_input_embeddings()(self.tokens)
        embedded[:, self.place] = rows[self.aliases]
        with ExitStack() as stack:
            for component, value in (replaced or {}).items():
                stack.enter_context(_replacing(self.model, component, value))
            return self.model(inputs_embeds=embedded, use_cache=False).logits[:, -1]

    def outputs(
        self, rows: Float[Tensor, "alias d_model"], components: Sequence[Component]
    ) -> dict[Component, Float[Tensor, "question pos feature"]]:
        """What components put out: of a head its part of what all heads join, of an MLP all."""
        found: dict[Component, Tensor] = {}
        with ExitStack() as stack:
            for component in components:
                keep = _keeper(found, component)
                stack.enter_context(_hooked(self.model, component, keep))
            self.logits(rows)
        return found

    def says(self, rows: Float[Tensor, "alias d_model"]) -> Int[Tensor, " question"]:
        """The most likely word after each question."""
        return self.logits(rows).argmax(1)

    def is_right(self, rows: Float[Tensor, "alias d_model"]) -> Bool[Tensor, " question"]:
        """Whether each is answered right."""
        return self.says(rows) == self.answers

    def nats(self, rows: Float[Tensor, "alias d_model"]) -> Float[Tensor, " question"]:
        """The log-probability of each right answer."""
        logits = self.logits(rows)
        return logits.log_softmax(1).gather(1, self.answers[:, None]).squeeze(1)


Change = Callable[[Tensor], Tensor]


@contextmanager
def _hooked(model: PreTrainedModel, component: Component, change: Change) -> Iterator[None]:
    """Passes what a component puts out through a function while the block runs."""
    layer, head = component
    block = model.get_submodule(f"gpt_neox.layers.{layer}")
    if head is None:
        mlp = block.get_submodule("mlp")

        def change_mlp(_module: object, _given: object, output: Tensor) -> Tensor:
            return change(output)

        hook = mlp.register_forward_hook(change_mlp)  # pyright: ignore[reportArgumentType]
    else:
        size = model.config.hidden_size // model.config.num_attention_heads
        part = slice(head * size, (head + 1) * size)

        def change_head(_module: object, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            joined = given[0].clone()
            joined[..., part] = change(joined[..., part])
            return (joined, *given[1:])

        dense = block.get_submodule("attention.dense")
        hook = dense.register_forward_pre_hook(change_head)
    try:
        yield
    finally:
        hook.remove()


def _replacing(
    model: PreTrainedModel, component: Component, value: Tensor
) -> AbstractContextManager[None]:
    return _hooked(model, component, lambda _own: value)


def _keeper(found: dict[Component, Tensor], component: Component) -> Change:
    def keep(value: Tensor) -> Tensor:
        found[component] = value.clone()
        return value

    return keep
