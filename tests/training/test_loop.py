import copy
import random
from collections.abc import Callable

import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.config import StageConfig
from training.examples import batch_loss, make_examples, target_logits
from training.loop import StageTrainer

MakeRow = Callable[..., TokenizedRow]
END = 1
STAGE = StageConfig(epochs=3, batch_size=4, learning_rate=3e-3, weight_decay=0.01, evaluations=1)


def random_rows(make_row: MakeRow, n: int, seed: int = 0) -> list[TokenizedRow]:
    rng = random.Random(seed)
    return [
        make_row([rng.randrange(3, 30) for _ in range(rng.randrange(4, 9))], rng.randrange(1, 4))
        for _ in range(n)
    ]


# Two rows: tokens 5 6 7 8 with the answer 7 8, and tokens 9 10 with the answer 10.
@pytest.mark.parametrize(
    ("policy", "tokens", "targets"),
    [
        ("answer", [[5, 6, 7, 8], [9, 10, 1, 1]], [[0, 0, 1, 1], [0, 1, 0, 0]]),
        ("text", [[5, 6, 7, 8, 1], [9, 10, 1, 1, 1]], [[0, 1, 1, 1, 1], [0, 1, 1, 0, 0]]),
        (
            "all",
            [[5, 6, 7, 8, 1, 1], [9, 10, 1, 1, 1, 1]],
            [[0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]],
        ),
    ],
)
def test_loss_policy_covers_its_tokens(policy: str, tokens, targets, make_row: MakeRow) -> None:
    examples = make_examples(
        [make_row([5, 6, 7, 8], 2), make_row([9, 10])],
        LossPolicy(policy),
        end_token=END,
        block_size=6,
    )
    assert examples.tokens.tolist() == tokens
    assert examples.targets.int().tolist() == targets


def test_block_too_short_for_a_row_and_its_end_is_refused(make_row: MakeRow) -> None:
    row = make_row([5, 6, 7, 8])
    assert make_examples([row], LossPolicy.ALL, block_size=5).tokens.shape == (1, 5)
    with pytest.raises(InputError, match="use block_size=5 or more"):
        make_examples([row], LossPolicy.ALL, block_size=4)


def test_row_counts_as_often_as_it_repeats_unless_asked_otherwise(make_row: MakeRow) -> None:
    rows = [make_row([5, 6], repeats=3), make_row([7, 8])]
    assert make_examples(rows, LossPolicy.ANSWER).tokens.tolist() == [[5, 6]] * 3 + [[7, 8]]
    assert len(make_examples(rows, LossPolicy.ANSWER, repeat=False)) == 2


@pytest.mark.parametrize("policy", LossPolicy)
def test_loss_equals_that_of_hugging_face(policy: LossPolicy, make_row, make_model) -> None:
    model = make_model(n_layers=2)
    examples = make_examples(random_rows(make_row, 40), policy, end_token=END, block_size=10)
    labels = torch.where(examples.targets, examples.tokens, -100)
    expected = model(input_ids=examples.tokens, labels=labels).loss
    assert batch_loss(model, examples).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("policy", LossPolicy)
def test_loss_and_gradient_equal_those_of_all_logits_in_double_precision(
    policy: LossPolicy, make_row, make_llama
) -> None:
    model = make_llama().double()
    examples = make_examples(random_rows(make_row, 12), policy, end_token=END, block_size=12)
    slow = torch.zeros((), dtype=torch.float64)
    for tokens, targets in zip(examples.tokens, examples.targets, strict=True):
        said = model(input_ids=tokens[None]).logits[0].log_softmax(-1)
        for place in targets.nonzero()[:, 0].tolist():
            slow = slow - said[place - 1, tokens[place]]
    slow = slow / examples.targets.sum()
    loss = batch_loss(model, examples)
    torch.testing.assert_close(loss, slow, atol=1e-12, rtol=0)
    parameters = list(model.parameters())
    for found, expected in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(slow, parameters), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_target_logits_are_those_before_each_target_in_row_major_order(
    make_row: MakeRow, make_model
) -> None:
    model = make_model()
    examples = make_examples(random_rows(make_row, 10), LossPolicy.ANSWER)
    full = model(input_ids=examples.tokens).logits
    expected = torch.stack([full[row, pos - 1] for row, pos in examples.targets.nonzero().tolist()])
    torch.testing.assert_close(
        target_logits(model, examples.tokens, examples.targets), expected, atol=1e-6, rtol=0
    )


def trainer_of(make_row: MakeRow, make_model, *, order_seed: int = 0, n: int = 18) -> StageTrainer:
    examples = make_examples(random_rows(make_row, n), LossPolicy.TEXT, end_token=END)
    return StageTrainer(make_model(), examples, STAGE, order_seed=order_seed)


def epoch_order(trainer: StageTrainer, epoch: int) -> list[list[int]]:
    """The rows of an epoch in order, each as its tokens."""
    rows = []
    for place in range(trainer.steps_per_epoch):
        trainer.step = epoch * trainer.steps_per_epoch + place
        rows += trainer.next_batch().tokens.tolist()
    return rows


def test_epoch_shows_every_example_once(make_row: MakeRow, make_model) -> None:
    trainer = trainer_of(make_row, make_model)
    assert (trainer.steps_per_epoch, trainer.last_step) == (5, 15)  # 18 examples by 4
    for epoch in range(3):
        assert sorted(epoch_order(trainer, epoch)) == sorted(trainer.examples.tokens.tolist())


def test_order_is_a_function_of_seed_and_epoch(make_row: MakeRow, make_model) -> None:
    trainer, again = (trainer_of(make_row, make_model) for _ in range(2))
    other = trainer_of(make_row, make_model, order_seed=1)
    torch.rand(3)  # whatever is drawn elsewhere
    orders = [epoch_order(trainer, epoch) for epoch in range(3)]
    assert [epoch_order(again, epoch) for epoch in (2, 1, 0)] == orders[::-1]
    assert orders[0] != orders[1]
    assert epoch_order(other, 0) != orders[0]


def test_training_equals_a_plain_loop(make_row: MakeRow, make_model) -> None:
    trainer = trainer_of(make_row, make_model)
    model = copy.deepcopy(trainer.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    for _ in range(8):
        batch = trainer.next_batch()
        labels = torch.where(batch.targets, batch.tokens, -100)
        loss = model(input_ids=batch.tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert trainer.train_step() == pytest.approx(loss.item(), abs=1e-5)


@pytest.mark.parametrize("stop", [0, 3, 5, 7])  # before, within, at the end of, after an epoch
def test_restored_trainer_goes_on_bit_for_bit(stop: int, make_row: MakeRow, make_model) -> None:
    trainer = trainer_of(make_row, make_model)
    for _ in range(stop):
        trainer.train_step()
    weights = copy.deepcopy(trainer.model.state_dict())
    state = {name: tensor.clone() for name, tensor in trainer.state_tensors().items()}
    losses = [trainer.train_step() for _ in range(6)]

    resumed = trainer_of(make_row, make_model)
    resumed.model.load_state_dict(weights)
    resumed.restore(stop, state)
    assert [resumed.train_step() for _ in range(6)] == losses
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name
    for name, tensor in trainer.state_tensors().items():
        assert torch.equal(resumed.state_tensors()[name], tensor), name


def test_going_on_without_the_optimizer_state_gives_other_weights(
    make_row: MakeRow, make_model
) -> None:
    trainer, resumed = (trainer_of(make_row, make_model) for _ in range(2))
    for _ in range(5):
        trainer.train_step()
    resumed.model.load_state_dict(trainer.model.state_dict())
    resumed.step = 5
    for _ in range(2):
        trainer.train_step()
        resumed.train_step()
    assert any(
        not torch.equal(resumed.model.state_dict()[name], tensor)
        for name, tensor in trainer.model.state_dict().items()
    )


def test_state_holds_moments_of_every_parameter_and_the_random_state(
    make_row: MakeRow, make_model
) -> None:
    trainer = trainer_of(make_row, make_model)
    assert list(trainer.state_tensors()) == ["torch_random_state"]
    trainer.train_step()
    names = {name for name, _ in trainer.model.named_parameters()}
    keys = ("exp_avg", "exp_avg_sq", "step")
    expected = {"torch_random_state"} | {f"{key}/{name}" for key in keys for name in names}
    assert set(trainer.state_tensors()) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_before_the_step(
    value: float, make_row: MakeRow, make_model
) -> None:
    trainer = trainer_of(make_row, make_model)
    with torch.no_grad():
        trainer.model.get_output_embeddings().weight[5] = value  # pyright: ignore[reportOptionalMemberAccess]
    before = copy.deepcopy(trainer.model.state_dict())
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        trainer.train_step()
    assert trainer.step == 0
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
