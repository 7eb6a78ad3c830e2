"""Gradients that autograd forms one by one, and what they are asked for."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import GradientOptions
from training.examples import make_examples

ARCHITECTURES = ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"]
"""GPT-2, GPT-Neo and the sequential GPT-NeoX have tied embeddings."""
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
each_policy = pytest.mark.parametrize("policy", list(LossPolicy))
N_A = 4


def options(policy: LossPolicy = LossPolicy.ANSWER, **changes) -> GradientOptions:
    return GradientOptions(policy=policy, end_token=1, block_size=11, **changes)


def autograd_gradients(
    model: PreTrainedModel, rows: list[TokenizedRow], chosen: GradientOptions
) -> Tensor:
    """Every example's gradient, formed and flattened: the slow reference."""
    examples = make_examples(
        rows, chosen.policy, end_token=chosen.end_token, block_size=chosen.block_size
    )
    labels = examples.tokens.masked_fill(~examples.targets, -100)
    used = int(examples.targets.any(0).nonzero().max())
    logits = model(input_ids=examples.tokens[:, :used]).logits
    parameters = list(model.parameters())
    gradients = []
    for row, label in zip(logits, labels[:, 1 : used + 1], strict=True):
        loss = functional.cross_entropy(row, label, ignore_index=-100)
        parts = torch.autograd.grad(loss, parameters, retain_graph=True)
        gradients.append(torch.cat([part.double().flatten() for part in parts]))
    return torch.stack(gradients)
