import copy
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from transformers import get_linear_schedule_with_warmup
from transformers.optimization import Adafactor

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.config import Decay, Optimizer, Precision, StageConfig
from training.examples import make_examples
from training.loop import StageTrainer
from training.optimizers import learning_rate, make_optimizer

STAGE = StageConfig(epochs=3, batch_size=6, learning_rate=3e-3, weight_decay=0.01, evaluations=1)
PAPER = replace(STAGE, optimizer=Optimizer.ADAFACTOR, decay=Decay.LINEAR, clip_norm=1.0)
HALF = replace(STAGE, precision=Precision.BF16)
pytestmark = pytest.mark.usefixtures("bfloat16")


@pytest.fixture
def make_trainer(make_row: Callable[..., TokenizedRow], make_model) -> Callable[..., StageTrainer]:
    """Makes a trainer on 21 random rows: 4 steps an epoch, the last of 3 rows."""

    def make(config: StageConfig, policy: LossPolicy = LossPolicy.TEXT) -> StageTrainer:
        rng = random.Random(0)
        rows = [
            make_row([rng.randrange(3, 30) for _ in range(rng.randrange(4, 12))], 2)
            for _ in range(21)
        ]
        examples = make_examples(rows, policy, end_token=1, block_size=14)
        return StageTrainer(make_model(), examples, config, order_seed=0)

    return make


def gradients(trainer: StageTrainer) -> dict[str, torch.Tensor]:
    found = {}
    for name, weight in trainer.model.named_parameters():
        assert weight.grad is not None
        found[name] = weight.grad.clone()
    return found


def test_adafactor_has_the_settings_of_hugging_faces_trainer(make_model) -> None:
    optimizer = make_optimizer(make_model(), PAPER)
    assert isinstance(optimizer, Adafactor)
    assert {key: value for key, value in optimizer.param_groups[0].items() if key != "params"} == {
        "lr": 3e-3,
        "eps": (1e-30, 1e-3),
        "clip_threshold": 1.0,
        "decay_rate": -0.8,
        "beta1": None,
        "weight_decay": 0.01,
        "scale_parameter": False,
        "relative_step": False,
        "warmup_init": False,
    }


def test_linear_rate_is_that_of_transformers_at_every_step() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PAPER.learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 12)
    rates = []
    for _ in range(12):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert [learning_rate(PAPER, step, 12) for step in range(12)] == pytest.approx(rates)
    assert learning_rate(PAPER, 9, 12) == pytest.approx(3e-3 / 4)
    assert [learning_rate(STAGE, step, 12) for step in (0, 11)] == [3e-3, 3e-3]


def test_rate_of_each_update_falls_with_the_step(make_trainer) -> None:
    trainer = make_trainer(PAPER)
    rates = []
    for _ in range(trainer.last_step):
        trainer.train_step()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([3e-3 * (12 - step) / 12 for step in range(12)])


@pytest.mark.parametrize(("clip_norm", "expected"), [(0.0, 1.0), (1e3, 1.0), (0.01, None)])
def test_gradients_longer_than_the_norm_are_shortened(
    clip_norm: float, expected: float | None, make_trainer
) -> None:
    trainer, plain = make_trainer(replace(STAGE, clip_norm=clip_norm)), make_trainer(STAGE)
    trainer.train_step()
    plain.train_step()
    length = sum((g.double() ** 2).sum() for g in gradients(plain).values()) ** 0.5
    share = expected if expected is not None else 0.01 / float(length)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(gradients(trainer)[name], gradient * share, msg=name)


@pytest.mark.parametrize("config", [STAGE, PAPER, HALF], ids=["adamw", "adafactor", "bf16"])
@pytest.mark.parametrize("stop", [0, 1, 6])
def test_resumed_from_a_file_goes_on_bit_for_bit(
    config: StageConfig, stop: int, make_trainer
) -> None:
    trainer, resumed = make_trainer(config), make_trainer(config)
    for _ in range(stop):
        trainer.train_step()
    resumed.model.load_state_dict(copy.deepcopy(trainer.model.state_dict()))
    resumed.restore(stop, load(save(trainer.state_tensors())))
    for weight, own in zip(trainer.model.parameters(), resumed.model.parameters(), strict=True):
        state, again = trainer.optimizer.state[weight], resumed.optimizer.state[own]
        assert {key: type(value) for key, value in state.items()} == {
            key: type(value) for key, value in again.items()
        }
    assert [resumed.train_step() for _ in range(6)] == [trainer.train_step() for _ in range(6)]
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight), name


@pytest.mark.parametrize("micro_batch_size", [1, 4, 5, 6, 7])
@pytest.mark.parametrize("policy", LossPolicy)
def test_micro_batches_give_loss_and_gradient_of_the_whole_batch(
    micro_batch_size: int, policy: LossPolicy, make_trainer
) -> None:
    whole = make_trainer(STAGE, policy)
    parts = make_trainer(replace(STAGE, micro_batch_size=micro_batch_size), policy)
    for trainer in (whole, parts):
        trainer.model.double()
    rows = whole.next_rows()
    assert parts.backward(rows) == pytest.approx(whole.backward(rows), abs=1e-6)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(parts)[name], gradient, atol=1e-12, rtol=0, msg=name)


def test_forward_passes_hold_so_many_rows_and_no_more_padding_than_their_longest(
    make_trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(replace(STAGE, micro_batch_size=4))
    shapes = []
    forward = trainer.model.base_model.forward

    def recorded(input_ids: torch.Tensor, **options):
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(trainer.model.base_model, "forward", recorded)
    lengths = sorted(trainer.next_batch().lengths.tolist())
    trainer.train_step()
    # The last target is predicted from the token before it and is not run itself.
    assert shapes == [(4, lengths[3] - 1), (2, lengths[5] - 1)]
    assert lengths[3] < lengths[5]


def test_batch_without_targets_has_no_gradient(make_trainer) -> None:
    trainer = make_trainer(replace(STAGE, micro_batch_size=2))
    trainer.examples = replace(trainer.examples, targets=torch.zeros_like(trainer.examples.targets))
    assert trainer.backward(trainer.next_rows()) == 0
    assert not any(gradient.any() for gradient in gradients(trainer).values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_narrower_than_float32_are_refused(dtype: torch.dtype, make_trainer) -> None:
    trainer = make_trainer(STAGE)
    with pytest.raises(InputError, match="float32 masters are needed; load the model with dtype"):
        StageTrainer(trainer.model.to(dtype), trainer.examples, STAGE, order_seed=0)


def test_masters_keep_updates_that_bfloat16_weights_lose(make_trainer) -> None:
    config = replace(PAPER, precision=Precision.BF16, learning_rate=1e-6)
    trainer = make_trainer(config)
    before = copy.deepcopy(trainer.model)
    trainer.train_step()
    tensors = [*trainer.model.parameters(), *gradients(trainer).values()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}

    rounded = copy.deepcopy(before).bfloat16()
    optimizer = make_optimizer(rounded, config)
    for weight, gradient in zip(rounded.parameters(), gradients(trainer).values(), strict=True):
        weight.grad = gradient.bfloat16()
    start = copy.deepcopy(rounded)
    optimizer.step()

    def share_moved(after, model) -> float:
        moved = [
            (a != b)[gradient != 0].float()
            for a, b, gradient in zip(
                after.parameters(), model.parameters(), gradients(trainer).values(), strict=True
            )
            if a.ndim == 2
        ]
        return float(torch.cat(moved).mean())

    assert share_moved(trainer.model, before) > 0.99
    assert share_moved(rounded, start) < 0.2


def test_bfloat16_is_what_the_forward_pass_computes_in(make_trainer) -> None:
    trainer, plain = make_trainer(replace(STAGE, precision=Precision.BF16)), make_trainer(STAGE)
    kinds = set()
    layer = trainer.model.base_model.layers[0].mlp.dense_h_to_4h
    layer.register_forward_hook(lambda module, args, output: kinds.add(output.dtype))
    loss, exact = trainer.train_step(), plain.train_step()
    assert kinds == {torch.bfloat16}
    assert loss != exact
    assert loss == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("clip_norm", -1.0), ("clip_norm", float("nan")), ("micro_batch_size", -1)],
)
def test_settings_that_cannot_be_are_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{setting} is .*; use "):
        replace(STAGE, **{setting: value})
