"""A two-stage run on text: how much of its wall time is evaluation, and how fast does it train?

`cvdb-two-stage` on made-up people with a GPT-NeoX of Pythia's sizes and random weights (speed does
not depend on the weights). Steps and one whole evaluation are timed; the share follows from how
many of each the recipe has. On a GPU it also prints model FLOPs utilization, 6 FLOPs a parameter
and token against the peak given with --peak-tflops.

    python benchmarks/bench_text_run.py [--quick] [--shape 14m] [--entities 400]
    python benchmarks/bench_text_run.py --shape 2.8b --entities 4000 --peak-tflops 989   (H100)
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import describe_machine
from transformers import GPTNeoXConfig

from data.vocabulary import Stage
from training.evaluate import answer_metrics
from training.material import SeedMaterial
from training.pipeline import SeedTask, initial_model, stage_trainer
from training.recipes.text import GENERATED, cvdb_two_stage

SHAPES = {
    "14m": (6, 128, 4),
    "70m": (6, 512, 8),
    "410m": (24, 1024, 16),
    "1b": (16, 2048, 8),
    "2.8b": (32, 2560, 32),
}
"""Layers, d_model and heads of Pythia's sizes."""
VOCABULARY, QUICK_VOCABULARY = 50_304, 2_000


def make_folder(shape: str, vocabulary: int, folder: Path) -> Path:
    """A config of one of Pythia's sizes."""
    layers, d_model, heads = SHAPES[shape]
    GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=d_model,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * d_model,
        attention_dropout=0.0,
        hidden_dropout=0.0,
    ).save_pretrained(folder)
    return folder


def seconds(function: Callable[[], object], times: int) -> float:
    """Mean wall time of a call, after one that is not counted."""
    function()
    start = 0.0
    for i in range(times + 1):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if i == 0:
            start = time.perf_counter()
        if i < times:
            function()
    return (time.perf_counter() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--shape", choices=SHAPES, default="14m")
    parser.add_argument("--entities", type=int, default=400)
    parser.add_argument("--peak-tflops", type=float)
    arguments = parser.parse_args()
    entities, steps = (100, 1) if arguments.quick else (arguments.entities, 5)
    vocabulary = QUICK_VOCABULARY if arguments.quick else VOCABULARY
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as home:
        tokenizer = Path(home) / "tokenizer"
        small = cvdb_two_stage(model="tiny-gpt-neox", table=GENERATED, entities=entities)
        SeedMaterial.build(small, seed=0).tokenizer.save_pretrained(tokenizer)
        config = cvdb_two_stage(
            model=str(make_folder(arguments.shape, vocabulary, Path(home) / "model")),
            random_weights=True,
            tokenizer=str(tokenizer),
            table=GENERATED,
            entities=entities,
            precision="bf16" if torch.cuda.is_available() else "fp32",
        )
        material = SeedMaterial.build(config, seed=0)
        task = SeedTask(folder=Path(home), config=config, seed=0)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = initial_model(task, material).to(device)  # pyright: ignore[reportArgumentType]
        trainer = stage_trainer(task, material, model, Stage.ONE)
        step = seconds(trainer.train_step, steps)
        evaluation = seconds(lambda: answer_metrics(model, material.evaluation), 1)
        last = trainer.last_step + stage_trainer(task, material, model, Stage.TWO).last_step

    n_evaluations = 2 * (config.stage1.evaluations + 1)
    share = n_evaluations * evaluation / (n_evaluations * evaluation + last * step)
    batch = min(config.stage1.batch_size, len(trainer.examples))
    tokens = batch * config.block_size / step
    print(describe_machine())
    print(f"shape {arguments.shape}, {entities} people, {device}, {config.stage1.precision}")
    print(f"step of {batch} rows: {step:.3f} s, {tokens:,.0f} tokens a second")
    print(f"evaluation of {len(material.evaluation.rows):,} rows: {evaluation:.2f} s")
    print(f"{last} steps, {n_evaluations} evaluations: {share:.1%} of the wall time is evaluation")
    if arguments.peak_tflops:
        n_parameters = sum(p.numel() for p in model.parameters())
        utilization = 6 * n_parameters * tokens / (arguments.peak_tflops * 1e12)
        print(f"model FLOPs utilization {utilization:.1%} of {arguments.peak_tflops:g} TFLOPS")


if __name__ == "__main__":
    main()
