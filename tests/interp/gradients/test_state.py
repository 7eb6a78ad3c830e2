"""Measuring gradients changes nothing, and bad input is one line."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import LossPolicy
from interp.gradients.gram import (
    GradientOptions,
    gradient_gram,
    gradient_pairs,
    gradient_statistics,
    token_gram,
)
from training.config import StageConfig
from training.examples import make_examples
from training.loop import StageTrainer

MakeModel = Callable[[str], PreTrainedModel]
OPTIONS = GradientOptions(policy=LossPolicy.ANSWER)
PAIRS = torch.tensor([[0, 0], [1, 2]])

MEASUREMENTS = {
    "all pairs": lambda m, rows: gradient_gram(m, rows, rows, options=OPTIONS),
    "pairs": lambda m, rows: gradient_pairs(m, rows, rows, pairs=PAIRS, options=OPTIONS),
    "tokens": lambda m, rows: token_gram(m, rows, rows, pairs=PAIRS, options=OPTIONS),
    "formed": lambda m, rows: gradient_statistics(
        m, rows, options=GradientOptions(policy=LossPolicy.ANSWER, allow_materialise=True)
    ),
}
each_measurement = pytest.mark.parametrize("measure", MEASUREMENTS.values(), ids=MEASUREMENTS)


def state_of(model: PreTrainedModel) -> tuple[object, ...]:
    return (
        [(name, p.detach().numpy().tobytes()) for name, p in model.named_parameters()],
        [(name, b.numpy().tobytes()) for name, b in model.named_buffers()],
        [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        [m.training for m in model.modules()],
        torch.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )


@pytest.fixture
def touched_model(random_model: MakeModel) -> PreTrainedModel:
    """Partly in training, partly frozen, with gradients on some weights and a hook of its own."""
    model = random_model("gpt2").train()
    model.get_submodule("transformer.h.0").eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # it would be refused
    model.get_parameter("transformer.h.1.mlp.c_fc.weight").requires_grad_(False)
    weight = model.get_parameter("transformer.ln_f.weight")
    weight.grad = torch.arange(16.0)
    model.get_submodule("transformer.h.1").register_forward_hook(lambda *_: None)
    return model


@each_measurement
@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad])
def test_nothing_is_changed(measure, context, touched_model: PreTrainedModel, word_prompts) -> None:
    before = state_of(touched_model)
    with context():
        measure(touched_model, word_prompts)
    assert state_of(touched_model) == before


@each_measurement
def test_nothing_is_changed_when_a_pass_is_interrupted(
    measure, touched_model: PreTrainedModel, word_prompts
) -> None:
    calls: list[int] = []

    def interrupt(*_: object) -> None:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt

    touched_model.get_submodule("transformer.h.1.mlp").register_forward_hook(interrupt)
    before = state_of(touched_model)
    with pytest.raises(KeyboardInterrupt):
        measure(touched_model, word_prompts)
    assert state_of(touched_model) == before


def test_training_with_and_without_measurement_gives_identical_bytes(
    random_model: MakeModel, word_prompts
) -> None:
    stage = StageConfig(
        epochs=3, batch_size=4, learning_rate=3e-3, weight_decay=0.01, evaluations=1
    )
    examples = make_examples(word_prompts, LossPolicy.ANSWER)
    start = random_model("neox")
    states = []
    for measures in (False, True):
        trainer = StageTrainer(copy.deepcopy(start), examples, stage, order_seed=0)
        trainer.model.train()
        while trainer.step < trainer.last_step:
            trainer.train_step()
            if measures:
                gradient_gram(trainer.model, word_prompts, word_prompts, options=OPTIONS)
        tensors = {**trainer.model.state_dict(), **trainer.state_tensors()}
        states.append({name: value.numpy().tobytes() for name, value in tensors.items()})
    assert states[0] == states[1]
    assert states[0]["lm_head.weight"] != start.state_dict()["lm_head.weight"].numpy().tobytes()


def test_dropout_that_is_on_is_refused(random_model: MakeModel, word_prompts) -> None:
    model = random_model("gpt2")
    expected = gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    with pytest.raises(InputError, match=r"dropout is on \(.+, p = 0.5\)"):
        gradient_gram(model.train(), word_prompts, word_prompts, options=OPTIONS)
    assert model.training
    evaluating = gradient_gram(model.eval(), word_prompts, word_prompts, options=OPTIONS)
    assert torch.equal(evaluating.dot, expected.dot)


def test_frozen_weights_count_like_others(random_model: MakeModel, word_prompts) -> None:
    model = random_model("llama")
    expected = gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    frozen = gradient_gram(model.requires_grad_(False), word_prompts, word_prompts, options=OPTIONS)
    assert torch.equal(frozen.dot, expected.dot)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_empty_side_is_refused(random_model: MakeModel, word_prompts) -> None:
    for a, b in ((word_prompts, []), ([], word_prompts)):
        with pytest.raises(InputError, match="no examples to take gradients of"):
            gradient_gram(random_model("neox"), a, b, options=OPTIONS)


def test_pairs_that_do_not_exist_are_refused(random_model: MakeModel, word_prompts) -> None:
    model, n = random_model("neox"), len(word_prompts)
    for pairs in ([[0, n]], [[n, 0]], [[-1, 0]]):
        with pytest.raises(InputError, match="a pair lies outside"):
            gradient_pairs(
                model, word_prompts, word_prompts, pairs=torch.tensor(pairs), options=OPTIONS
            )
    none = torch.zeros(0, 2, dtype=torch.long)
    with pytest.raises(InputError, match="no pairs to measure"):
        gradient_pairs(model, word_prompts, word_prompts, pairs=none, options=OPTIONS)


def test_model_with_gradients_that_are_not_finite_is_refused(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    with torch.no_grad():
        model.get_parameter("gpt_neox.layers.1.mlp.dense_4h_to_h.bias")[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)


def test_row_whose_gradient_is_not_finite_is_named(random_model: MakeModel, word_prompts) -> None:
    model = random_model("neox")
    longest = max(word_prompts, key=lambda row: row.answer_positions)
    bad = next(row for row in word_prompts if row.input_ids[0] not in longest.input_ids)
    with torch.no_grad():
        model.get_input_embeddings().get_parameter("weight")[bad.input_ids[0]] = float("inf")
    with pytest.raises(InputError, match=rf"gradient of row {bad.row.row_id} is not finite"):
        gradient_pairs(model, [longest], [bad], pairs=PAIRS[:1], options=OPTIONS)


def test_tokens_that_the_model_does_not_know_are_refused(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    model.resize_token_embeddings(20)
    with pytest.raises(InputError, match=r"has token \d+, the model knows 20"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
