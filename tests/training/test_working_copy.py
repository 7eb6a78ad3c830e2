"""Training in bfloat16 with float32 masters, against autocast and against float32."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import GPT2Config, GPT2LMHeadModel

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.config import Precision, StageConfig
from training.examples import Examples, batch_loss, make_examples
from training.frozen_weights import frozen_weights
from training.loop import StageTrainer
from training.working_copy import WorkingCopy

FLOAT = StageConfig(epochs=9, batch_size=6, learning_rate=1e-3, weight_decay=0.01, evaluations=1)
HALF = replace(FLOAT, precision=Precision.BF16)
pytestmark = pytest.mark.usefixtures("bfloat16")


@pytest.fixture
def examples(make_row: Callable[..., TokenizedRow]) -> Examples:
    rng = random.Random(0)
    rows = [
        make_row([rng.randrange(3, 30) for _ in range(rng.randrange(4, 12))], 2) for _ in range(21)
    ]
    return make_examples(rows, LossPolicy.TEXT, end_token=1)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 30}
    return GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_three_steps_are_autocasts_bit_for_bit(name: str, examples: Examples, make_llama) -> None:
    model = make_llama() if name == "llama" else gpt2()
    trainer = StageTrainer(model, examples, HALF, order_seed=0)
    other = StageTrainer(copy.deepcopy(model), examples, FLOAT, order_seed=0)
    for _ in range(3):
        other.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            loss = batch_loss(other.model, other.next_batch())
        loss.backward()
        other.optimizer.step()
        other.step += 1
        assert trainer.train_step() == loss.item()
        expected = gradients(other.model)
        for weight, gradient in gradients(trainer.model).items():
            assert torch.equal(gradient, expected[weight]), weight
    for weight, value in other.model.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[weight], value), weight


def test_copy_that_is_not_refreshed_trains_on_old_weights(
    examples: Examples, make_llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    stale = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    assert stale.train_step() == trainer.train_step()
    after = trainer.train_step()
    monkeypatch.setattr(WorkingCopy, "refresh", lambda self: None)
    assert stale.train_step() != after


def test_each_multiplied_matrix_has_one_copy_and_all_else_stays_float32(
    examples: Examples, make_llama
) -> None:
    trainer = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    model, seen = trainer.model, {}
    for name in ("embed_tokens", "norm", "layers.0.input_layernorm", "layers.0.mlp.up_proj"):
        model.base_model.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: seen.update({name: output.dtype})
        )
    names = set(model.state_dict())
    trainer.train_step()
    trainer.train_step()
    assert seen.pop("layers.0.mlp.up_proj") == torch.bfloat16
    assert set(seen.values()) == {torch.float32}
    assert trainer.working_copy is not None
    # Seven matrices a layer and the tied embedding, which is copied for the logits, once.
    assert len(trainer.working_copy.copies) == 2 * 7 + 1
    assert {c.dtype for c in trainer.working_copy.copies.values()} == {torch.bfloat16}
    assert set(model.state_dict()) == names
    kept = [*model.state_dict().values(), *gradients(model).values()]
    kept += [v for state in trainer.optimizer.state.values() for v in state.values()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_gradients_of_micro_batches_are_summed_in_float32(examples: Examples, make_llama) -> None:
    config = replace(HALF, micro_batch_size=1)
    trainer = StageTrainer(make_llama(), examples, config, order_seed=0)
    rows = trainer.next_rows()
    rows = rows[trainer.examples.take(rows).lengths.argsort(stable=True)]
    n_targets = examples.take(rows).targets.sum()
    name = "model.layers.0.mlp.up_proj.weight"
    expected, coarse = torch.zeros(()), torch.zeros((), dtype=torch.bfloat16)
    for row in rows:
        other = make_llama()
        one = examples.take(row[None])
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            loss = batch_loss(other, one)
        (loss * (int(one.targets.sum()) / int(n_targets))).backward()
        gradient = gradients(other)[name]
        assert torch.equal(gradient, gradient.bfloat16().float())  # each is of bfloat16 products
        expected, coarse = expected + gradient, coarse + gradient.bfloat16()
    trainer.backward(rows)
    assert torch.equal(gradients(trainer.model)[name], expected)
    assert not torch.equal(expected, coarse.float())


def test_losses_of_fifty_steps_are_within_two_hundredths_of_float32(
    examples: Examples, make_llama
) -> None:
    apart = []
    both = [StageTrainer(make_llama(), examples, each, order_seed=0) for each in (HALF, FLOAT)]
    for _ in range(50):
        half, exact = (trainer.train_step() for trainer in both)
        apart.append(abs(half - exact))
    assert 0 < max(apart) < 0.02


@pytest.mark.parametrize(("capabilities", "is_used"), [({}, False), ({"bf16": True}, True)])
def test_processor_without_bfloat16_computes_in_float32(
    capabilities: dict, is_used: bool, examples: Examples, make_llama, monkeypatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    trainer = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    exact = StageTrainer(make_llama(), examples, FLOAT, order_seed=0)
    assert (trainer.working_copy is not None) == is_used
    assert exact.working_copy is None
    assert (trainer.train_step() == exact.train_step()) == (not is_used)


def test_without_copies_losses_are_the_same(examples: Examples, make_llama) -> None:
    trainer = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    sharded = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    sharded.working_copy = WorkingCopy(is_kept=False)
    assert [sharded.train_step() for _ in range(2)] == [trainer.train_step() for _ in range(2)]
    assert not sharded.working_copy.copies


def test_double_precision_is_not_rounded(examples: Examples, make_llama) -> None:
    trainer = StageTrainer(make_llama().double(), examples, HALF, order_seed=0)
    exact = StageTrainer(make_llama().double(), examples, FLOAT, order_seed=0)
    loss, expected = trainer.train_step(), exact.train_step()
    assert trainer.working_copy is not None
    assert not trainer.working_copy.copies
    assert loss == pytest.approx(expected, abs=1e-12)


def test_frozen_weights_stay_and_others_move(examples: Examples, make_llama) -> None:
    trainer = StageTrainer(make_llama(), examples, HALF, order_seed=0)
    name = "model.layers.0.mlp.up_proj.weight"
    before = copy.deepcopy(trainer.model.state_dict())
    frozen = torch.zeros(before[name].shape, dtype=torch.bool)
    frozen[:5] = True
    with frozen_weights(trainer, {name: frozen}):
        trainer.train_step()
        trainer.train_step()
    moved = trainer.model.state_dict()[name] != before[name]
    assert not moved[:5].any()
    assert moved[5:].float().mean() > 0.9
