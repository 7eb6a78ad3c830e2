"""Exact match by one teacher-forced pass, against generation: the same verdict, how much sooner?

Both the Hugging Face text-generation pipeline (what the paper's code used) and batched `generate`
answer the same 2,000 prompts with answers of one to four tokens; each must agree with the
teacher-forced pass on every example before anything is timed.

    python benchmarks/bench_evaluation.py [--quick]
"""

import argparse
import logging
import random

import torch
from machine import describe_machine, time_in_turn
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TextGenerationPipeline

from data.rows import prompt_row
from data.tokens import PAD, TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import LossPolicy
from training.config import StageConfig
from training.evaluate import EvaluationSet, answer_metrics
from training.examples import make_examples
from training.loop import StageTrainer
from training.models.scratch import ModelConfig, build_model

LONGEST_ANSWER = 4
NEW_TOKENS = 8
"""Generation goes on for as many tokens as the paper's evaluation of CVDB (it knows no answer)."""
BATCH_SIZE = 256


def make_rows(n: int) -> tuple[list[TokenizedRow], PreTrainedTokenizerFast]:
    """Prompts of 8 to 12 words and answers of 1 to 4, at random."""
    rng = random.Random(0)
    words = [f"w{i}" for i in range(300)]
    tokenizer = word_tokenizer(words)
    rows = []
    for i in range(n):
        prompt = " ".join(rng.choices(words, k=rng.randint(8, 12)))
        answer = " ".join(rng.choices(words, k=rng.randint(1, LONGEST_ANSWER)))
        text = f"{prompt} {answer}"
        rows.append(prompt_row(f"{i}", text, answer))
    return tokenize_rows(rows, tokenizer), tokenizer


def half_trained_model(
    rows: list[TokenizedRow], tokenizer: PreTrainedTokenizerFast, steps: int
) -> PreTrainedModel:
    """A model that knows some of the answers, so that both verdicts occur."""
    sizes = ModelConfig(
        n_layers=2, d_model=64, n_heads=4, d_mlp=256, tied_embeddings=False, rotary_pct=0.25
    )
    model = build_model(sizes, vocabulary_size=len(tokenizer), max_length=32, end_token=1, seed=0)
    settings = StageConfig(
        epochs=1000, batch_size=128, learning_rate=3e-3, weight_decay=0.0, evaluations=1
    )
    examples = make_examples(rows[: len(rows) // 2], LossPolicy.ANSWER)
    trainer = StageTrainer(model, examples, settings, order_seed=0)
    for _ in range(steps):
        trainer.train_step()
    return model.eval()


@torch.no_grad()
def generated_match(model: PreTrainedModel, rows: list[TokenizedRow], pad_token: int) -> list[bool]:
    """Whether greedy decoding gives the answer's tokens, batch by batch with left padding."""
    verdicts: list[bool] = []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = rows[start : start + BATCH_SIZE]
        prompts = [row.input_ids[: row.answer_positions[0]] for row in batch]
        longest = max(map(len, prompts))
        tokens = torch.full((len(batch), longest), pad_token)
        for i, prompt in enumerate(prompts):
            tokens[i, longest - len(prompt) :] = torch.tensor(prompt)
        output = model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=tokens,
            attention_mask=(tokens != pad_token).long(),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            use_cache=True,
            pad_token_id=pad_token,
            eos_token_id=None,
        )
        for row, generated in zip(batch, output[:, longest:].tolist(), strict=True):
            answer = list(row.input_ids[row.answer_positions[0] :])
            verdicts.append(generated[: len(answer)] == answer)
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n, rounds = (400, 1) if parser.parse_args().quick else (2000, 3)
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    rows, tokenizer = make_rows(n)
    model = half_trained_model(rows, tokenizer, steps=n // 8)
    evaluation = EvaluationSet.of(rows)
    rows = evaluation.rows
    tokenizer.padding_side = "left"
    pipeline = TextGenerationPipeline(model=model, tokenizer=tokenizer)
    pad_token = tokenizer.convert_tokens_to_ids(PAD)
    assert isinstance(pad_token, int)
    prompts = [row.row.rendered.prompt for row in rows]

    def teacher_forced() -> list[bool]:
        return [bool(hit) for hit in answer_metrics(model, evaluation)["exact_match"]]

    def piped() -> list[bool]:
        outputs = pipeline(
            prompts,
            batch_size=BATCH_SIZE,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            return_full_text=False,
            pad_token_id=pad_token,
            eos_token_id=None,
        )
        texts = [output[0]["generated_text"].split() for output in outputs]
        answers = [row.row.rendered.answer.split() for row in rows]
        return [text[: len(answer)] == answer for text, answer in zip(texts, answers, strict=True)]

    verdicts = teacher_forced()
    assert 0.05 < sum(verdicts) / n < 0.95, "the model knows nothing or everything"
    assert verdicts == generated_match(model, rows, pad_token), "generate disagrees"
    assert verdicts == piped(), "the pipeline disagrees"
    timings = time_in_turn(
        {
            "pipeline": piped,
            "generate": lambda: generated_match(model, rows, pad_token),
            "ours": teacher_forced,
        },
        rounds=rounds,
    )
    print(describe_machine("torch", "transformers"))
    print(f"{n} prompts, exact match {sum(verdicts) / n:.3f}, no disagreement")
    for name, timing in timings.items():
        ratio = timing.wall / timings["ours"].wall
        print(f"{name:<9} {timing.wall:7.3f} s wall, {timing.cpu:7.3f} s CPU, {ratio:5.1f} x ours")


if __name__ == "__main__":
    main()
