"""The paper's own measurement of gradient alignment, as a slow reference.

Krasheninnikov et al. (ICML 2024), section 4 and appendix: the gradient of a definition against the
gradient of each question about the same alias, one backward pass at a time; then a second pass over
all examples for the variance around the mean gradient and the cosine to it. Written from the
description of the published callback. Its L1 and Linf norms are left out.

`as_published=True` keeps two flaws of the published code: the running mean *is* the first
definition's gradient, so each further question of that definition is compared with a gradient that
the questions before were added to; and the last example's gradient is left in `.grad`, where the
next training step adds to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from training.examples import Examples, batch_loss


@dataclass(frozen=True, kw_only=True)
class PaperAlignment:
    """What the loop logs, in the model's precision."""

    dot: list[list[float]]
    """Of each definition with each of its questions."""
    cosine: list[list[float]]
    distance: list[list[float]]
    """Euclidean, not squared: the code takes the root that the paper's text leaves out."""
    norms: list[list[float]]
    """Of each definition's gradient, then its questions'."""
    variance: float
    """Mean squared distance to the mean gradient."""
    cosine_to_mean: list[float]
    """Of each definition followed by its questions."""


def measure_alignment(
    model: PreTrainedModel,
    definitions: Examples,
    questions: Sequence[Examples],
    *,
    as_published: bool = False,
) -> PaperAlignment:
    """Definition against its own questions, one backward pass at a time, all of them twice.

    Args:
        model: Its `.grad`s are used, and put back unless `as_published`.
        definitions: One for each alias.
        questions: Those of each definition's alias.
        as_published: Keep the two flaws.
    """
    before = [parameter.grad for parameter in model.parameters()]
    if not as_published:
        for parameter in model.parameters():
            parameter.grad = None
    result = _measure(model, definitions, questions, as_published=as_published)
    if not as_published:
        for parameter, gradient in zip(model.parameters(), before, strict=True):
            parameter.grad = gradient
    return result


def get_gradient(
    model: PreTrainedModel, examples: Examples, i: int, *, out: Tensor | None = None
) -> Float[Tensor, " parameter"]:
    """The gradient of one example's loss, by a forward and a backward pass of its own."""
    model.zero_grad()
    n = int(examples.targets[i].nonzero().max()) + 1
    one = Examples(tokens=examples.tokens[i : i + 1, :n], targets=examples.targets[i : i + 1, :n])
    batch_loss(model, one).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return torch.cat(
        [gradient.reshape(-1) for gradient in gradients if gradient is not None], out=out
    )


def _measure(
    model: PreTrainedModel,
    definitions: Examples,
    questions: Sequence[Examples],
    *,
    as_published: bool,
) -> PaperAlignment:
    mean: Tensor | None = None
    dots, cosines, distances, norms = [], [], [], []
    for i, own in enumerate(questions):
        definition = get_gradient(model, definitions, i)
        norms.append([torch.norm(definition).item()])
        if mean is None:
            mean = definition if as_published else definition.clone()
        else:
            mean += definition
        rows: list[list[float]] = [[], [], []]
        for j in range(len(own)):
            question = get_gradient(model, own, j)
            rows[0].append(torch.dot(definition, question).item())
            rows[1].append(torch.cosine_similarity(definition, question, dim=0).item())
            rows[2].append(torch.sqrt(torch.sum((definition - question) ** 2)).item())
            norms[-1].append(torch.norm(question).item())
            mean += question
        for column, row in zip((dots, cosines, distances), rows, strict=True):
            column.append(row)
    assert mean is not None
    mean /= sum(map(len, norms))
    squares, to_mean = [], []
    for i, own in enumerate(questions):
        for examples, j in [(definitions, i), *((own, j) for j in range(len(own)))]:
            gradient = get_gradient(model, examples, j)
            squares.append(torch.sum((gradient - mean) ** 2).item())
            to_mean.append(torch.cosine_similarity(gradient, mean, dim=0).item())
    return PaperAlignment(
        dot=dots,
        cosine=cosines,
        distance=distances,
        norms=norms,
        variance=sum(squares) / len(squares),
        cosine_to_mean=to_mean,
    )
