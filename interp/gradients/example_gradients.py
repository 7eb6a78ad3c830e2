"""Examples whose gradients are wanted, captured in batches that fit into memory."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.gradients.captured_factors import (
    FactorsByModule,
    check_capture,
    factors_of,
    with_crossed_products,
)
from interp.gradients.factors import Factors
from interp.gradients.modules import Coverage, cover
from interp.gradients.options import GradientOptions
from interp.gradients.split import split_factors
from training.examples import Examples, make_examples

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1 << 11, 1 << 12
PASS_SHARE = 4
"""A pass may record this fraction of the memory: its graph takes about twice its records."""

NamedFactors = list[tuple[str, Factors]]
"""Factors, each with the name of the component that it counts for; names may repeat."""


@dataclass(frozen=True, kw_only=True)
class ExampleGradients:
    """The gradients of examples: a model, and the examples that they are taken of."""

    model: PreTrainedModel
    coverage: Coverage
    examples: Examples
    options: GradientOptions
    example_bytes: int
    """Memory that the factors of the longest example take."""

    @classmethod
    def open(
        cls, model: PreTrainedModel, rows: Sequence[TokenizedRow], options: GradientOptions
    ) -> "ExampleGradients":
        """Lays the rows out, and checks on the longest of them that the model is understood.

        Raises:
            InputError: there are no rows, or the exact form does not hold for the model.
        """
        if not rows:
            raise InputError("there are no examples to take gradients of; choose another subset")
        examples = make_examples(
            rows,
            options.policy,
            end_token=options.end_token,
            block_size=options.block_size,
            repeat=False,
        )
        _check_tokens(model, examples)
        _check_dropout(model)
        coverage = cover(model, allow_materialise=options.allow_materialise)
        longest = examples_at(examples, torch.tensor([int(last_targets(examples).argmax())]))
        check_capture(model, longest, coverage)
        factors, _, _ = factors_of(model, longest, coverage, half=options.precision == "bf16")
        return cls(
            model=model,
            coverage=coverage,
            examples=examples,
            options=options,
            example_bytes=sum(factor.nbytes() for factor in factors.values()),
        )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.examples)

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return next(self.model.parameters()).device

    @property
    def batch_size(self) -> int:
        """Examples of a forward pass, were all as long as the longest."""
        default = GPU_BATCH_TOKENS if self.device.type == "cuda" else CPU_BATCH_TOKENS
        tokens = self.options.batch_tokens or default
        by_memory = self.options.memory // PASS_SHARE // self.example_bytes
        return max(1, min(tokens // self.examples.tokens.shape[1], by_memory))

    def batch(
        self, chosen: Int[Tensor, " example"], *, keep_rows: bool = False
    ) -> tuple[FactorsByModule, Float[Tensor, " example"], int]:
        """Factors of the chosen examples' gradients, their losses, the number of positions."""
        factors, losses, n_positions = factors_of(
            self.model,
            examples_at(self.examples, chosen),
            self.coverage,
            half=self.options.precision == "bf16",
            keep_rows=keep_rows,
        )
        return with_crossed_products(factors, self.coverage), losses, n_positions

    def many(
        self, chosen: Int[Tensor, " example"]
    ) -> tuple[FactorsByModule, Float[Tensor, " example"]]:
        """Factors and losses, captured in several passes and joined."""
        half = self.options.precision == "bf16"
        losses: list[Tensor] = []
        by_module: dict[str, list[Factors]] = defaultdict(list)
        for part in chosen.split(self.batch_size):
            examples = examples_at(self.examples, part)
            factors, part_losses, _ = factors_of(self.model, examples, self.coverage, half=half)
            losses.append(part_losses)
            for name, factor in factors.items():
                by_module[name].append(factor)
        names = list(by_module)
        joined = {name: type(by_module[name][0]).join(by_module.pop(name)) for name in names}
        return with_crossed_products(joined, self.coverage), torch.cat(losses)

    def components(self, factors: FactorsByModule) -> NamedFactors:
        """Factors with the component that each counts for; see `GradientOptions.granularity`."""
        return list(split_factors(self.model, factors, self.options.granularity))


def examples_at(examples: Examples, chosen: Int[Tensor, " example"]) -> Examples:
    """The tokens and targets of chosen examples."""
    return Examples(tokens=examples.tokens[chosen], targets=examples.targets[chosen])


def last_targets(examples: Examples) -> Int[Tensor, " example"]:
    """Position of each example's last target: how far a forward pass has to go."""
    positions = torch.arange(examples.targets.shape[1])
    return (examples.targets * positions).amax(1)


def _check_tokens(model: PreTrainedModel, examples: Examples) -> None:
    n_tokens = len(model.get_input_embeddings().get_parameter("weight"))
    if int(examples.tokens.max()) >= n_tokens:
        raise InputError(
            f"an example has token {int(examples.tokens.max())}, the model knows {n_tokens};"
            " use the tokenizer that was saved with the model"
        )
    longest = getattr(model.config, "max_position_embeddings", None)
    used = int(last_targets(examples).max())
    if longest is not None and used > longest:
        raise InputError(f"an example has {used} tokens, the model takes {longest}; leave it out")


def _check_dropout(model: PreTrainedModel) -> None:
    """Refuses a model whose gradients in training are those of a random draw.

    Raises:
        InputError: dropout is on.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and module.training and module.p > 0:
            raise InputError(
                f"dropout is on ({name}, p = {module.p:g}): each pass would have another gradient; "
                "call model.eval(), or set its dropout to 0"
            )
