import copy

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from data.errors import InputError
from training.config import StageConfig
from training.examples import Examples, batch_loss
from training.gradient_surgery import SurgeryTrainer
from training.loop import StageTrainer

CONFIG = StageConfig(epochs=2, batch_size=4, learning_rate=1e-2, weight_decay=0.1, evaluations=1)
IS_DEFINITION = torch.tensor([True, False, True, False, False, True, False, False])


@pytest.fixture
def model() -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPTNeoXForCausalLM(config).double()


@pytest.fixture
def examples() -> Examples:
    tokens = torch.randint(1, 11, (8, 4), generator=torch.Generator().manual_seed(1))
    targets = torch.zeros(8, 4, dtype=torch.bool)
    targets[:, 3] = True
    targets[IS_DEFINITION, 2] = True  # definitions have two targets, questions one
    return Examples(tokens=tokens, targets=targets)


def surgery(
    model: GPTNeoXForCausalLM, examples: Examples, dose: float, *, along_random: bool = False
) -> SurgeryTrainer:
    return SurgeryTrainer(
        model,
        examples,
        CONFIG,
        order_seed=0,
        is_definition=IS_DEFINITION,
        dose=dose,
        along_random=along_random,
    )


def flat_gradient(model: GPTNeoXForCausalLM) -> torch.Tensor:
    parts = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(parts)


def gradient_of(model: GPTNeoXForCausalLM, examples: Examples, rows: torch.Tensor) -> torch.Tensor:
    """The slow reference: one backward pass for one part of the batch."""
    plain = copy.deepcopy(model)
    batch = Examples(tokens=examples.tokens[rows], targets=examples.targets[rows])
    batch_loss(plain, batch).backward()
    return flat_gradient(plain)


def parts_of(
    model: GPTNeoXForCausalLM, examples: Examples, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, float]:
    chosen = IS_DEFINITION[rows]
    g_def = gradient_of(model, examples, rows[chosen])
    g_qa = gradient_of(model, examples, rows[~chosen])
    n_def, n_qa = 2 * int(chosen.sum()), int((~chosen).sum())
    return g_def, g_qa, n_def / (n_def + n_qa)


ROWS = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("dose", [-1.0, 0.0, 0.5, 1.0])
def test_the_gradient_is_the_formula_of_the_two_parts(
    model: GPTNeoXForCausalLM, examples: Examples, dose: float
):
    g_def, g_qa, share = parts_of(model, examples, ROWS)
    turned = g_def - dose * (g_def @ g_qa) / (g_qa @ g_qa) * g_qa

    surgery(model, examples, dose).backward(ROWS)

    expected = share * turned + (1 - share) * g_qa
    assert flat_gradient(model).numpy() == pytest.approx(expected.numpy(), abs=1e-14)


def test_dose_1_leaves_no_alignment_and_dose_minus_1_doubles_it(
    model: GPTNeoXForCausalLM, examples: Examples
):
    g_def, g_qa, share = parts_of(model, examples, ROWS)
    before = g_def @ g_qa
    assert abs(before) > 1e-3
    for dose, factor in ((1.0, 0.0), (-1.0, 2.0)):
        model.zero_grad()
        surgery(model, examples, dose).backward(ROWS)
        turned = (flat_gradient(model) - (1 - share) * g_qa) / share
        assert (turned @ g_qa).item() == pytest.approx(factor * before.item(), abs=1e-12)


def test_the_control_moves_as_far_but_never_along_the_questions(
    model: GPTNeoXForCausalLM, examples: Examples
):
    g_def, g_qa, share = parts_of(model, examples, ROWS)
    surgery(model, examples, 1.0, along_random=True).backward(ROWS)
    moved = (flat_gradient(model) - (1 - share) * g_qa) / share - g_def

    assert moved.norm().item() == pytest.approx((abs(g_def @ g_qa) / g_qa.norm()).item(), rel=1e-10)
    assert (moved @ g_qa / g_qa.norm() / moved.norm()).item() == pytest.approx(0, abs=1e-12)


def test_the_control_draws_another_direction_at_each_step_and_the_same_in_each_run(
    model: GPTNeoXForCausalLM, examples: Examples
):
    def gradient(step: int) -> torch.Tensor:
        plain = copy.deepcopy(model)
        trainer = surgery(plain, examples, 1.0, along_random=True)
        trainer.step = step
        trainer.backward(ROWS)
        return flat_gradient(plain)

    assert torch.equal(gradient(1), gradient(1))
    assert not torch.allclose(gradient(1), gradient(2))


def test_dose_0_trains_as_the_plain_trainer(model: GPTNeoXForCausalLM, examples: Examples):
    plain, operated = copy.deepcopy(model), copy.deepcopy(model)
    losses = []
    for trainer in (
        StageTrainer(plain, examples, CONFIG, order_seed=0),
        surgery(operated, examples, 0.0),
    ):
        losses.append([trainer.train_step() for _ in range(trainer.last_step)])

    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    for one, other in zip(plain.parameters(), operated.parameters(), strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-9)


@pytest.mark.parametrize("rows", [[0, 2], [1, 3]])
def test_a_batch_of_one_kind_is_left_alone(
    model: GPTNeoXForCausalLM, examples: Examples, rows: list[int]
):
    expected = gradient_of(model, examples, torch.tensor(rows))
    surgery(model, examples, 1.0).backward(torch.tensor(rows))
    assert flat_gradient(model).numpy() == pytest.approx(expected.numpy(), abs=1e-15)


def test_a_stage_without_questions_is_refused(model: GPTNeoXForCausalLM, examples: Examples):
    with pytest.raises(InputError, match="use Stage 1"):
        SurgeryTrainer(
            model,
            examples,
            CONFIG,
            order_seed=0,
            is_definition=torch.ones(8, dtype=torch.bool),
            dose=1.0,
        )
