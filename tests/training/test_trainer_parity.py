"""The paper trained with Hugging Face's Trainer; the same rows in the same order must give the same
losses, step for step, as ours."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, Trainer, TrainingArguments

from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.config import Decay, Optimizer, StageConfig
from training.examples import Examples, batch_loss, make_examples
from training.loop import StageTrainer

N_ROWS, EPOCHS, BATCH = 78, 5, 8  # 10 steps an epoch, the last of 6 rows; 50 in all
N_STEPS = 50


def paper_stage(learning_rate: float, micro_batch_size: int = 0) -> StageConfig:
    return StageConfig(
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=learning_rate,
        weight_decay=0.0,
        evaluations=1,
        optimizer=Optimizer.ADAFACTOR,
        decay=Decay.LINEAR,
        clip_norm=1.0,
        micro_batch_size=micro_batch_size,
    )


@pytest.fixture
def rows(make_row: Callable[..., TokenizedRow]) -> list[TokenizedRow]:
    rng = random.Random(0)
    return [
        make_row([rng.randrange(3, 30) for _ in range(rng.randrange(4, 12))], rng.randrange(1, 4))
        for _ in range(N_ROWS)
    ]


class GivenOrder(torch.utils.data.Sampler[int]):
    """The rows of one epoch after the other, an epoch each time that it is gone through."""

    def __init__(self, epochs: list[list[int]]) -> None:
        self.epochs = iter(epochs)

    def __iter__(self) -> Iterator[int]:
        return iter(next(self.epochs))

    def __len__(self) -> int:
        return N_ROWS


class RecordingTrainer(Trainer):
    """Takes its rows in a given order and keeps the loss of every optimizer step."""

    def __init__(self, order: list[list[int]], **arguments) -> None:
        self.order, self.losses = order, []
        super().__init__(**arguments)

    def _get_train_sampler(self, train_dataset=None):
        return GivenOrder(self.order)

    def log(self, logs, *args, **kwargs) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def labelled(examples: Examples) -> list[dict[str, torch.Tensor]]:
    labels = torch.where(examples.targets, examples.tokens, -100)
    return [
        {"input_ids": tokens, "labels": label}
        for tokens, label in zip(examples.tokens, labels, strict=True)
    ]


def hugging_face_losses(
    model: PreTrainedModel, ours: StageTrainer, folder: Path, *, accumulation: int
) -> list[float]:
    """Trains `model` as the paper's code does, on the batches of a trainer of ours."""
    order = []
    for epoch in range(EPOCHS):
        order.append([])
        for place in range(ours.steps_per_epoch):
            ours.step = epoch * ours.steps_per_epoch + place
            order[-1] += ours.next_rows().tolist()
    ours.step = 0
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH // accumulation,
        gradient_accumulation_steps=accumulation,
        learning_rate=ours.config.learning_rate,
        optim="adafactor",
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_grad_norm=1.0,
        weight_decay=0.0,
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = RecordingTrainer(
        order, model=model, args=arguments, train_dataset=labelled(ours.examples)
    )
    trainer.train()
    return trainer.losses


IN_FLOAT32 = (5e-5, torch.float32)
# A rate that learns more takes float64: gradients of uniform attention are little but rounding
# errors, which Adafactor scales to full steps.
IN_FLOAT64 = (1e-3, torch.float64)


@pytest.mark.parametrize("policy", LossPolicy)
@pytest.mark.parametrize(
    ("accumulation", "learning_rate", "dtype"),
    [
        (1, *IN_FLOAT32),
        pytest.param(2, *IN_FLOAT32, marks=pytest.mark.slow),
        pytest.param(1, *IN_FLOAT64, marks=pytest.mark.slow),
        pytest.param(2, *IN_FLOAT64, marks=pytest.mark.slow),
    ],
)
def test_fifty_steps_equal_those_of_hugging_faces_trainer(
    policy: LossPolicy,
    accumulation: int,
    learning_rate: float,
    dtype: torch.dtype,
    rows: list[TokenizedRow],
    make_model,
    tmp_path: Path,
) -> None:
    examples = make_examples(rows, policy, end_token=1, block_size=14)
    theirs = make_model(n_layers=2).to(dtype)
    start = copy.deepcopy(theirs)
    micro = 0 if accumulation == 1 else BATCH // accumulation
    trainer = StageTrainer(
        copy.deepcopy(theirs), examples, paper_stage(learning_rate, micro), order_seed=0
    )
    expected = hugging_face_losses(theirs, trainer, tmp_path, accumulation=accumulation)
    losses = [trainer.train_step() for _ in range(N_STEPS)]
    assert trainer.step == trainer.last_step
    assert losses == pytest.approx(expected, abs=1e-5, rel=0)
    change = batch_loss(start, examples) - batch_loss(trainer.model, examples)
    assert change > 10 * learning_rate  # the losses are not those of a model that stands still
    for (name, ours), weight in zip(
        trainer.model.named_parameters(), theirs.parameters(), strict=True
    ):
        # A key's bias has no gradient but rounding errors, which Adafactor scales to full steps.
        if not name.endswith("query_key_value.bias"):
            torch.testing.assert_close(ours, weight, atol=learning_rate / 100, rtol=0, msg=name)
