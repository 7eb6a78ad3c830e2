"""The paper's own measurement, and that ours lacks the two flaws of its published code."""

import copy
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.vocabulary import LossPolicy
from interp.gradients.gram import GradientGram, GradientOptions, gradient_pairs
from training.examples import Examples, batch_loss, make_examples

MakeModel = Callable[[str], PreTrainedModel]
OPTIONS = GradientOptions(policy=LossPolicy.TEXT, end_token=1)
N_DEFINITIONS, N_QUESTIONS = 3, 2


@pytest.fixture(scope="module")
def paper() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "paper_alignment.py"
    spec = importlib.util.spec_from_file_location("paper_alignment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def examples_of(rows: list) -> Examples:
    return make_examples(rows, OPTIONS.policy, end_token=OPTIONS.end_token)


def run_paper(paper: ModuleType, model: PreTrainedModel, rows: list, **options: bool):
    questions = rows[N_DEFINITIONS:]
    return paper.measure_alignment(
        model,
        examples_of(rows[:N_DEFINITIONS]),
        [examples_of(questions[i : i + 2]) for i in range(0, len(questions), 2)],
        **options,
    )


def run_ours(model: PreTrainedModel, rows: list) -> GradientGram:
    question = torch.arange(N_DEFINITIONS * N_QUESTIONS)
    pairs = torch.stack([question // N_QUESTIONS, question], dim=1)
    return gradient_pairs(
        model, rows[:N_DEFINITIONS], rows[N_DEFINITIONS:], pairs=pairs, options=OPTIONS
    )


def by_definition(values: Tensor) -> Tensor:
    return values.view(N_DEFINITIONS, N_QUESTIONS)


def test_our_metrics_are_the_paper_s(
    paper: ModuleType, random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox").double()
    slow, ours = run_paper(paper, model, word_prompts), run_ours(model, word_prompts)
    norms = torch.cat([ours.norms_a[:, None], by_definition(ours.norms_b)], dim=1)
    for found, expected in (
        (by_definition(ours.dot), slow.dot),
        (by_definition(ours.cosine), slow.cosine),
        (by_definition(ours.sqdist).sqrt(), slow.distance),
        (norms, slow.norms),
    ):
        exact = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
    assert ours.statistics is not None
    assert ours.statistics.variance == pytest.approx(slow.variance, rel=1e-9)
    expected = sum(slow.cosine_to_mean) / len(slow.cosine_to_mean)
    assert ours.statistics.mean_cosine_to_mean == pytest.approx(expected, rel=1e-9)


def test_published_code_adds_questions_to_the_first_definition_and_ours_does_not(
    paper: ModuleType, random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox").double()
    right = torch.tensor(run_paper(paper, model, word_prompts).cosine)
    flawed = torch.tensor(run_paper(paper, model, word_prompts, as_published=True).cosine)
    differs = (flawed - right).abs() > 1e-3
    assert differs.tolist() == [[False, True], [False, False], [False, False]]
    # The second question of the first definition meets the sum with the first question.
    definition, first, second = (
        paper.get_gradient(model, examples_of([row]), 0)
        for row in (word_prompts[0], word_prompts[3], word_prompts[4])
    )
    summed = torch.cosine_similarity(definition + first, second, dim=0).item()
    assert flawed[0, 1].item() == pytest.approx(summed, abs=1e-6)
    ours = by_definition(run_ours(model, word_prompts).cosine)
    torch.testing.assert_close(ours, right.double(), rtol=0, atol=1e-6)


def train_as_the_paper_does(
    model: PreTrainedModel, examples: Examples, measure: Callable[[PreTrainedModel], object]
) -> bytes:
    """Gradients are cleared after a step, not before; measured between two steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        batch_loss(model, examples).backward()
        optimizer.step()
        optimizer.zero_grad()
        measure(model)
    return b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())


def test_published_code_leaves_a_gradient_in_training_and_ours_does_not(
    paper: ModuleType, random_model: MakeModel, word_prompts
) -> None:
    start, examples = random_model("neox"), examples_of(word_prompts)
    trained = {
        name: train_as_the_paper_does(copy.deepcopy(start), examples, measure)
        for name, measure in {
            "unmeasured": lambda model: None,
            "published": lambda m: run_paper(paper, m, word_prompts, as_published=True),
            "corrected": lambda m: run_paper(paper, m, word_prompts),
            "ours": lambda m: run_ours(m, word_prompts),
        }.items()
    }
    assert trained["published"] != trained["unmeasured"]
    assert trained["corrected"] == trained["unmeasured"]
    assert trained["ours"] == trained["unmeasured"]
