import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from data.errors import InputError
from data.vocabulary import LossPolicy
from training.config import Optimizer, StageConfig
from training.examples import make_examples
from training.loop import StageTrainer
from training.turned_updates import Turn, projected, turned_update, turned_updates

ROWS = torch.tensor([4, 5, 6, 7])
IS_CHOSEN = torch.tensor([True, False] * 4)


def rows_of(*numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_an_update_is_turned_out_of_a_direction_and_keeps_its_length():
    update = rows_of([3.0, 4.0, 0.0])
    out = torch.tensor([[[2.0, 0.0, 0.0]]]).double()
    assert turned_update(update, out, 1.0).tolist() == [[0.0, 5.0, 0.0]]
    half = turned_update(update, out, 0.5)[0]  # (1.5, 4), made 5 long
    length = math.hypot(1.5, 4.0)
    assert half.tolist() == pytest.approx([1.5 * 5 / length, 4 * 5 / length, 0.0])
    further = turned_update(update, out, -1.0)[0]  # (6, 4)
    assert (further / further.norm()).tolist() == pytest.approx([6 / 52**0.5, 4 / 52**0.5, 0.0])


def test_dose_0_changes_no_bit():
    update = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    out = torch.randn(50, 3, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(turned_update(update, out, 0.0), update)
    assert torch.equal(turned_update(update, out, 0.0, into=out[:, :1]), update)
    assert torch.equal(turned_update(update, out, 0.0, beside=out.flip(0)), update)


def test_what_lies_in_the_directions_alone_is_taken_out_whole():
    out = torch.tensor([[[1.0, 1.0]]]).double()
    assert turned_update(rows_of([2.0, 2.0], [0.0, 0.0]), out, 1.0).abs().max() == 0


def test_a_projection_needs_no_independent_directions():
    """Worked out by least squares, of directions of which one is the sum of two others."""
    directions = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0)).double()
    directions[:, 2] = directions[:, 0] + directions[:, 1]
    update = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)).double()
    for found, row, spanning in zip(projected(update, directions), update, directions, strict=True):
        weights = torch.linalg.lstsq(spanning[:2].T, row[:, None]).solution
        assert found.tolist() == pytest.approx((spanning[:2].T @ weights)[:, 0].tolist())
    assert projected(update, torch.zeros(1, 1, 6)).abs().max() == 0


@pytest.mark.parametrize("rank", [1, 3])
def test_the_control_turns_as_far_and_towards_nothing_of_the_directions(rank: int):
    draw = torch.Generator().manual_seed(rank)
    update = torch.randn(20, 40, generator=draw).double()
    out, beside = (torch.randn(20, rank, 40, generator=draw).double() for _ in range(2))
    for dose in (-1.0, 0.5, 1.0):
        real = turned_update(update, out, dose)
        control = turned_update(update, out, dose, beside=beside)
        for turned in (real, control):
            assert turned.norm(dim=-1).tolist() == pytest.approx(update.norm(dim=-1).tolist())
        lengths = [(turned - update).norm(dim=-1).tolist() for turned in (real, control)]
        assert lengths[0] == pytest.approx(lengths[1])
        # The control moves within the plane of the update and of its own directions' share of it.
        assert (control - real).norm(dim=-1).min() > 0.01
    left = projected(turned_update(update, out, 1.0), out)
    kept = projected(turned_update(update, out, 1.0, beside=beside), out)
    assert left.abs().max() < 1e-12
    assert kept.norm() > 0.5 * projected(update, out).norm()


def test_what_is_taken_out_is_written_where_it_is_told_with_its_sign():
    update = rows_of([-3.0, 4.0, 0.0], [3.0, 4.0, 0.0])
    out = torch.tensor([[[1.0, 0.0, 0.0]]]).double()
    into = torch.tensor([[[0.0, 0.0, 7.0]]]).double()
    turned = turned_update(update, out, 1.0, into=into)
    assert turned.tolist() == [[0.0, 4.0, -3.0], [0.0, 4.0, 3.0]]


@pytest.fixture
def make_trainer(make_model: Callable, make_row: Callable) -> Callable[..., StageTrainer]:
    def make(**changes: Any) -> StageTrainer:
        rows = [make_row([4 + i % 4, 9, 12 + i]) for i in range(8)]
        settings: dict[str, Any] = {"learning_rate": 0.01, "weight_decay": 0.1} | changes
        config = StageConfig(epochs=3, batch_size=4, evaluations=1, **settings)
        return StageTrainer(
            make_model().double(), make_examples(rows, LossPolicy.ANSWER), config, order_seed=0
        )

    return make


def embedding(trainer: StageTrainer) -> Tensor:
    weight = trainer.model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.detach().clone()


def train(trainer: StageTrainer, *turns: Turn) -> StageTrainer:
    for turn in turns:
        with turned_updates(trainer, turn):
            while trainer.step < trainer.last_step:
                trainer.train_step()
    while trainer.step < trainer.last_step:
        trainer.train_step()
    return trainer


def axis(*places: int) -> Callable[[Tensor], Tensor]:
    """Unit vectors of a space of 16."""
    return lambda weight: torch.eye(16, dtype=weight.dtype)[list(places)][None]


def test_dose_0_trains_bit_for_bit_as_without(make_trainer: Callable[..., StageTrainer]):
    plain, turned = make_trainer(), make_trainer()
    train(plain)
    train(turned, Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0), dose=0.0))
    for one, other in zip(plain.model.parameters(), turned.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_share_of_all_examples_is_the_whole_step(make_trainer: Callable[..., StageTrainer]):
    """Then nothing but weight decay moves the rows along what their updates are kept off."""
    trainer = make_trainer()
    everything = torch.ones(8, dtype=torch.bool)
    before = embedding(trainer)
    train(trainer, Turn(rows=ROWS, examples=everything, out_of=axis(0, 3)))
    after = embedding(trainer)
    shrunk = before * (1 - 0.01 * 0.1) ** trainer.last_step
    assert after[ROWS][:, [0, 3]].numpy() == pytest.approx(shrunk[ROWS][:, [0, 3]].numpy())
    assert (after[ROWS][:, 1] - shrunk[ROWS][:, 1]).abs().min() > 1e-3
    assert (after[8:, 0] - shrunk[8:, 0]).abs().max() > 1e-3


def test_the_share_of_some_examples_is_told_apart_in_each_step(
    make_trainer: Callable[..., StageTrainer],
):
    """A slow reference: AdamW by hand, with gradients of the chosen half of each batch alone."""
    trainer, rate = make_trainer(), 0.01
    examples, out = trainer.examples, axis(2)
    mean = share = squares = torch.zeros_like(embedding(trainer))
    with turned_updates(trainer, Turn(rows=ROWS, examples=IS_CHOSEN, out_of=out)):
        for step in range(1, 5):
            batch, before = trainer.next_rows(), embedding(trainer)
            gradients = []
            for part in (batch, batch[IS_CHOSEN[batch]]):
                model = copy.deepcopy(trainer.model)
                logits = model(input_ids=examples.tokens[part]).logits[:, 1].log_softmax(-1)
                loss = -logits.gather(1, examples.tokens[part, 2:]).sum() / len(batch)
                if len(part):
                    loss.backward()
                gradient = model.get_input_embeddings().weight.grad
                gradients.append(torch.zeros_like(mean) if gradient is None else gradient)
            mean, share = (0.9 * m + 0.1 * g for m, g in zip((mean, share), gradients, strict=True))
            squares = 0.999 * squares + 0.001 * gradients[0] ** 2
            scale = rate / (1 - 0.9**step) / ((squares / (1 - 0.999**step)).sqrt() + 1e-8)
            expected = before * (1 - rate * 0.1) - scale * mean
            own = -(scale * share)[ROWS]
            expected[ROWS] += turned_update(own, out(before), 1.0) - own

            trainer.train_step()
            assert embedding(trainer).numpy() == pytest.approx(expected.numpy(), abs=1e-12)


def test_partners_give_each_row_its_own_direction(make_trainer: Callable[..., StageTrainer]):
    """In the first step the running gradient is that of the batch: the update is kept off it."""
    trainer = make_trainer()
    partners = ~IS_CHOSEN
    batch = trainer.next_rows()
    model, taken = copy.deepcopy(trainer.model), trainer.examples.tokens[batch[partners[batch]]]
    logits = model(input_ids=taken).logits[:, 1].log_softmax(-1)
    (-logits.gather(1, taken[:, 2:]).sum() / len(batch)).backward()
    towards = model.get_input_embeddings().weight.grad
    plain = make_trainer()
    plain.train_step()
    with turned_updates(trainer, Turn(rows=ROWS, examples=IS_CHOSEN, partners=partners)):
        trainer.train_step()
    moved = (embedding(trainer) - embedding(plain))[ROWS]
    assert isinstance(towards, Tensor)
    assert moved.abs().max() > 1e-4
    # What the turn adds leads away from the gradient that the update had in common with it.
    cosines = torch.nn.functional.cosine_similarity(moved, towards[ROWS], dim=-1)
    assert cosines.abs().max() > 0.1


def test_the_control_of_a_turn_is_another_training(make_trainer: Callable[..., StageTrainer]):
    real = Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0))
    control = Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0), beside=axis(5))
    one, other = (embedding(train(make_trainer(), turn)) for turn in (real, control))
    assert not torch.allclose(one, other)


def test_gradients_optimizer_and_random_state_are_left_alone_also_after_an_error(
    make_trainer: Callable[..., StageTrainer],
):
    trainer = make_trainer()
    state = torch.get_rng_state()

    def break_inside() -> None:
        with turned_updates(trainer, Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0))):
            trainer.train_step()
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="broke"):
        break_inside()
    assert torch.equal(state, torch.get_rng_state())
    plain = make_trainer()
    plain.train_step()
    for one, other in zip(plain.model.parameters(), trainer.model.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
        for name in ("exp_avg", "exp_avg_sq"):
            states = plain.optimizer.state[one][name], trainer.optimizer.state[other][name]
            assert torch.equal(*states)
    before = embedding(trainer)
    with torch.no_grad():
        trainer.optimizer.zero_grad()
        trainer.optimizer.step()
    assert torch.equal(before, embedding(trainer))  # no hook is left that moves a row


@pytest.mark.parametrize("changes", [{"optimizer": Optimizer.ADAFACTOR}, {"clip_norm": 1.0}])
def test_a_step_whose_shares_are_not_known_is_refused(
    make_trainer: Callable[..., StageTrainer], changes: dict[str, Any]
):
    turn = Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0))
    with (
        pytest.raises(InputError, match="use a run with optimizer=adamw and clip_norm=0"),
        turned_updates(make_trainer(**changes), turn),
    ):
        pass


def test_a_turn_of_nothing_or_two_things_and_one_of_another_stage_are_refused(
    make_trainer: Callable[..., StageTrainer],
):
    with pytest.raises(InputError, match="give one"):
        Turn(rows=ROWS, examples=IS_CHOSEN)
    with pytest.raises(InputError, match="give one"):
        Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0), partners=IS_CHOSEN)
    with pytest.raises(InputError, match="one into others"):
        Turn(rows=ROWS, examples=IS_CHOSEN, out_of=axis(0), into=axis(1), beside=axis(2))
    with (
        pytest.raises(InputError, match="3 examples are told of, the stage has 8"),
        turned_updates(make_trainer(), Turn(rows=ROWS, examples=IS_CHOSEN[:3], out_of=axis(0))),
    ):
        pass
