"""Training speed of a pretrained text model on a CPU: our loop against Hugging Face `Trainer`.

Ours computes in bfloat16 (`--precision`), `Trainer` in float32. Both start from the same weights
and train on the same batches in the same order, padded to their own length, with the same
optimizer. They take steps in turn in one process, so that a busy machine is fair to both; the
first step of each is not timed. Rows are those of `cvdb-two-stage` on made-up people, about 16
tokens long.

    python benchmarks/bench_training_text.py --model FOLDER_OR_GGUF [--threads 2] [--loss text]
    python benchmarks/bench_training_text.py --quick
"""

import argparse
import copy
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from bench_training import InOrder, Losses, OrderedRows
from machine import describe_machine
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)

from data.vocabulary import Stage
from training.config import Decay, Optimizer, Precision, RunConfig
from training.loop import StageTrainer
from training.material import SeedMaterial
from training.pipeline import SeedTask, initial_model, stage_trainer
from training.recipes.facts import GENERATED
from training.recipes.text import cvdb_two_stage


def make_config(model: str, arguments: argparse.Namespace) -> RunConfig:
    """A run whose Stage 1 is trained."""
    return cvdb_two_stage(
        model=model,
        table=GENERATED,
        entities=100 if arguments.quick else 600,
        loss_policy=arguments.loss,
        block_size=160,
        batch_size=arguments.batch_size,
        micro_batch_size=0,
        optimizer=Optimizer.ADAMW,
        learning_rate=arguments.learning_rate,
        decay=Decay.CONSTANT,
        clip_norm=0.0,
        precision=arguments.precision,
    )


def trimmed(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A batch that ends with the last token that is trained."""
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    longest = int((batch["labels"] >= 0).any(0).nonzero().max()) + 1
    return {name: tensor[:, :longest] for name, tensor in batch.items()}


class InTurn(TrainerCallback):
    """After each step of `Trainer`, our loop takes one; both are timed."""

    def __init__(self, ours: StageTrainer) -> None:
        self.ours, self.losses = ours, []
        self.seconds: dict[str, list[tuple[float, float]]] = {"Trainer": [], "ours": []}
        self.mark = (0.0, 0.0)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.mark = _clock()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self._take("Trainer")
        self.losses.append(self.ours.train_step())
        self._take("ours")
        (theirs, _), (ours, _) = (self.seconds[name][-1] for name in ("Trainer", "ours"))
        print(f"step {state.global_step}: {theirs:.2f} s, {ours:.2f} s", file=sys.stderr)

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            print(f"loss {logs['loss']}, ours {self.losses[-1]:.4f}", file=sys.stderr)

    def _take(self, name: str) -> None:
        now = _clock()
        self.seconds[name].append((now[0] - self.mark[0], now[1] - self.mark[1]))
        self.mark = now

    def median(self, name: str, clock: int) -> float:
        """Of all steps but the first; by the wall's clock (0) or in CPU seconds (1)."""
        return statistics.median(each[clock] for each in self.seconds[name][1:])


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def run_in_turn(
    model: PreTrainedModel, ours: StageTrainer, n_steps: int, folder: str
) -> tuple[InTurn, Losses]:
    """So many steps of both."""
    stage, turns, losses = ours.config, InTurn(ours), Losses()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=stage.learning_rate, weight_decay=stage.weight_decay, fused=True
    )
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=stage.batch_size,
        num_train_epochs=1,
        max_grad_norm=0.0,
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = InOrder(
        model,
        arguments,
        data_collator=trimmed,
        train_dataset=OrderedRows(ours, n_steps),
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        callbacks=[losses, turns],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return turns, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny Llama, 3 steps")
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loss", choices=["answer", "text"], default="text")
    parser.add_argument("--precision", choices=list(Precision), default=Precision.BF16)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    arguments = parser.parse_args()
    n_steps = 3 if arguments.quick else arguments.steps
    torch.set_num_threads(arguments.threads)
    logging.getLogger("transformers").setLevel(logging.ERROR)

    with tempfile.TemporaryDirectory() as home:
        config = make_config(arguments.model, arguments)
        material = SeedMaterial.build(config, seed=0)
        task = SeedTask(folder=Path(home), config=config, seed=0)
        model = initial_model(task, material)
        ours = stage_trainer(task, material, copy.deepcopy(model), Stage.ONE)
        assert n_steps < ours.steps_per_epoch  # so that no batch is smaller
        turns, losses = run_in_turn(model, ours, n_steps, home)

    tokens = ours.examples.lengths.float().mean().item() * config.stage1.batch_size
    # One loss more is logged where training ends.
    apart = [abs(a - b) for a, b in zip(turns.losses, losses.values, strict=True)]
    print(
        describe_machine("torch", "transformers").replace(
            "one thread", f"{arguments.threads} threads"
        )
    )
    print(f"{arguments.model}, loss on {arguments.loss}, ours in {arguments.precision}")
    print(f"{n_steps} steps of {arguments.batch_size} rows, {tokens:.0f} tokens")
    for name in turns.seconds:
        wall, cpu = turns.median(name, 0), turns.median(name, 1)
        print(
            f"{name:<8} {wall:6.2f} s a step, {tokens / wall:6.1f} tokens/s, {cpu:6.2f} CPU seconds"
        )
    wall, cpu = (turns.median("Trainer", i) / turns.median("ours", i) for i in (0, 1))
    print(f"ours is {wall:.2f} times as fast (wall), {cpu:.2f} (CPU seconds)")
    print(
        f"losses {losses.values[0]:.3f} to {losses.values[-1]:.3f}; apart by at most "
        f"{max(apart):.4f}, {statistics.mean(apart):.4f} on average"
    )


if __name__ == "__main__":
    main()
