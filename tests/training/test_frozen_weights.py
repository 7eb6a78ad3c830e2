from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.vocabulary import LossPolicy
from training.config import Optimizer, StageConfig
from training.examples import make_examples
from training.frozen_weights import frozen_weights
from training.loop import StageTrainer
from training.retraining import Retraining
from training.runs.run import Run

QKV = "gpt_neox.layers.0.attention.query_key_value.weight"


@pytest.fixture(scope="module")
def retraining(tiny_run: Run) -> Retraining:
    return Retraining(run=tiny_run, seed=tiny_run.seeds[0])


def state(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def is_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def everything(model: PreTrainedModel) -> dict[str, Tensor]:
    return dict.fromkeys(state(model), torch.ones((), dtype=torch.bool))


def test_all_frozen_is_stage_1_bit_for_bit_and_nothing_frozen_the_run_s_stage_2(
    retraining: Retraining,
):
    start = retraining.model_at(1)
    before = state(start)
    all_frozen = retraining.stage_two(start, frozen=everything(start))
    assert is_same(state(all_frozen), before)
    assert is_same(state(retraining.stage_two(start, frozen={})), state(retraining.model_at(2)))
    assert is_same(state(start), before)


def test_frozen_entries_stay_and_all_others_move(retraining: Retraining):
    start = retraining.model_at(1)
    before = state(start)
    rows = torch.zeros(len(before[QKV]), 1, dtype=torch.bool)
    rows[:6] = True
    after = state(retraining.stage_two(start, frozen={QKV: rows}))
    assert torch.equal(after[QKV][:6], before[QKV][:6])
    assert (after[QKV][6:] != before[QKV][6:]).float().mean() > 0.99
    others = [name for name in after if name != QKV]
    assert all((after[name] != before[name]).float().mean() > 0.9 for name in others)


def trainer_of(make_model: Callable, make_row: Callable, **changes: Any) -> StageTrainer:
    rows = [make_row([4 + i, 5, 6 + i]) for i in range(8)]
    config = StageConfig(
        epochs=2, batch_size=4, learning_rate=0.1, weight_decay=0.5, evaluations=1, **changes
    )
    examples = make_examples(rows, LossPolicy.ANSWER)
    return StageTrainer(make_model(), examples, config, order_seed=0)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_no_optimizer_moves_a_frozen_weight_not_by_decay_either(
    optimizer: Optimizer, make_model: Callable, make_row: Callable
):
    trainer = trainer_of(make_model, make_row, optimizer=optimizer)
    trainer.train_step()  # so that there is momentum
    before = state(trainer.model)
    half = {name: torch.arange(weight.shape[-1]) % 2 == 0 for name, weight in before.items()}
    with frozen_weights(trainer, half):
        for _ in range(3):
            trainer.train_step()
            after = state(trainer.model)
            for name, mask in half.items():
                assert torch.equal(after[name][..., mask], before[name][..., mask]), name
    ended = state(trainer.model)
    assert all(not torch.equal(ended[name], weight) for name, weight in before.items())


def test_a_frozen_weight_is_not_in_the_norm_that_gradients_are_clipped_by(
    make_model: Callable, make_row: Callable
):
    trainer = trainer_of(make_model, make_row)
    embedding = "gpt_neox.embed_in.weight"
    with frozen_weights(trainer, {embedding: torch.ones((), dtype=torch.bool)}):
        trainer.backward(trainer.next_rows())
        gradients = {
            name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None
        }
    assert not gradients[embedding].any()
    assert any(each.any() for name, each in gradients.items() if name != embedding)


def test_nothing_is_frozen_any_more_outside_also_after_an_error(
    make_model: Callable, make_row: Callable
):
    trainer = trainer_of(make_model, make_row)

    def freeze_and_break() -> None:
        with frozen_weights(trainer, everything(trainer.model)):
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="broke"):
        freeze_and_break()
    before = state(trainer.model)
    trainer.train_step()
    after = state(trainer.model)
    assert all(not torch.equal(after[name], weight) for name, weight in before.items())
