"""Training speed: our loop against Hugging Face `Trainer` on the alias toy, Stage 1.

Same initial weights, same optimizer, same batches in the same order, one thread, one process. The
first 20 losses must agree to 1e-5 before anything is timed.

    python benchmarks/bench_training.py [--quick]
"""

import argparse
import copy
import logging
import tempfile

import torch
from machine import describe_machine, time_in_turn
from torch.utils.data import Dataset, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from data.vocabulary import Part, Split
from training.examples import Examples, make_examples
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.recipes.toys import alias_toy

GATE_STEPS = 20
ORDER_SEED = 0


class OrderedRows(Dataset):
    """The examples in the order in which our loop shows them, as `Trainer` wants them."""

    def __init__(self, trainer: StageTrainer, n_steps: int) -> None:
        self.tokens: list[torch.Tensor] = []
        self.labels: list[torch.Tensor] = []
        for step in range(n_steps):
            trainer.step = step
            batch = trainer.next_batch()
            self.tokens += batch.tokens
            self.labels += batch.tokens.masked_fill(~batch.targets, -100)
        trainer.step = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


class InOrder(Trainer):
    """`Trainer` without shuffling."""

    def _get_train_sampler(self, *arguments: object, **options: object) -> SequentialSampler:
        assert isinstance(self.train_dataset, OrderedRows)
        return SequentialSampler(self.train_dataset)


class Losses(TrainerCallback):
    """Keeps what `Trainer` logs."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            self.values.append(logs["loss"])


def our_trainer(model: PreTrainedModel, examples: Examples) -> StageTrainer:
    """Our loop over a copy of the model."""
    return StageTrainer(copy.deepcopy(model), examples, alias_toy().stage1, order_seed=ORDER_SEED)


def hugging_face_trainer(
    model: PreTrainedModel, rows: OrderedRows, folder: str, *, log_every_step: bool
) -> tuple[Trainer, Losses]:
    """`Trainer` over a copy of the model, with the optimizer that our loop uses."""
    model = copy.deepcopy(model)
    stage = alias_toy().stage1
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=stage.learning_rate, weight_decay=stage.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    losses = Losses()
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=stage.batch_size,
        num_train_epochs=1,
        max_grad_norm=0.0,
        logging_strategy="steps" if log_every_step else "no",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = InOrder(
        model, arguments, train_dataset=rows, optimizers=(optimizer, schedule), callbacks=[losses]
    )
    return trainer, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n_steps, rounds = (60, 2) if parser.parse_args().quick else (300, 5)
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)

    config = alias_toy()
    material = SeedMaterial.build(config, seed=0)
    model = config.model.make(material.tokenizer, seed=0, max_length=8)
    rows = [r for r in material.rows if r.row.split is Split.TRAIN and r.row.subset.part is Part.X1]
    # Whole batches only: Trainer would weigh a smaller last batch of an epoch as we do, but would
    # begin its epochs elsewhere.
    examples = make_examples(rows, config.loss_policy)
    whole = len(examples) // config.stage1.batch_size * config.stage1.batch_size
    examples = Examples(tokens=examples.tokens[:whole], targets=examples.targets[:whole])

    with tempfile.TemporaryDirectory() as folder:
        ours = our_trainer(model, examples)
        gate_rows = OrderedRows(ours, GATE_STEPS)
        our_losses = [ours.train_step() for _ in range(GATE_STEPS)]
        trainer, losses = hugging_face_trainer(model, gate_rows, folder, log_every_step=True)
        trainer.train()
        worst = max(abs(a - b) for a, b in zip(our_losses, losses.values, strict=True))
        assert worst <= 1e-5, f"losses differ by {worst}"

        timed_rows = OrderedRows(our_trainer(model, examples), n_steps)

        def run_ours() -> None:
            loop = our_trainer(model, examples)
            for _ in range(n_steps):
                loop.train_step()

        def run_hugging_face() -> None:
            hugging_face_trainer(model, timed_rows, folder, log_every_step=False)[0].train()

        timings = time_in_turn({"Trainer": run_hugging_face, "ours": run_ours}, rounds=rounds)

    print(describe_machine("torch", "transformers"))
    print(f"largest difference of the first {GATE_STEPS} losses: {worst:.1e}")
    for name, timing in timings.items():
        per_step = 1000 * timing.wall / n_steps
        print(f"{name:<8} {per_step:6.2f} ms a step wall, {n_steps / timing.wall:6.1f} steps/s")
    ratio = timings["Trainer"].wall / timings["ours"].wall
    cpu_ratio = timings["Trainer"].cpu / timings["ours"].cpu
    print(f"ours is {ratio:.2f} times as fast (wall), {cpu_ratio:.2f} (CPU seconds)")


if __name__ == "__main__":
    main()
