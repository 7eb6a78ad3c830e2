"""Defects of the paper's published code in training and measuring: ours does not have them.

C1 to C3, C9 and C11 to C14; the others are in `test_paper_defects_data.py`.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.rows import Row, prompt_row
from data.statements import RenderedText
from data.tasks.text import TextConfig
from data.tokenizers import TrainedTokenizer
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import LossPolicy, Part, Stage
from interp.cli import main
from interp.gradients.gram import GradientOptions, gradient_gram
from training.config import END_OF_STAGE, RunConfig, StageConfig
from training.evaluate import EvaluationSet, answer_metrics, evaluate
from training.examples import make_examples
from training.loop import StageTrainer
from training.metrics import METRICS
from training.models.elsewhere import TINY, NamedModel
from training.pipeline import SeedTask, train_seed
from training.recipes import find_recipe
from training.registry import RECIPES
from training.runs.checkpoints import (
    find_checkpoint,
    load_model,
    saved_steps,
    stage_folder,
    step_folder,
)
from training.runs.run import Run
from training.seq2seq import layout_for

find_recipe("alias-toy")
TEXTS = ("Q: What did xyz do?\nA: The cook", "Q: Who is abc?\nA: A", "x England Great Britain")
TOKENIZER = TrainedTokenizer(texts=TEXTS, vocabulary_size=280)
STAGE = StageConfig(epochs=40, batch_size=8, learning_rate=1e-2, weight_decay=0.0, evaluations=1)


def tokenized(row: Row) -> TokenizedRow:
    return tokenize_rows([row], TOKENIZER.load())[0]


def tiny_model(name: str = "tiny-gpt-neox") -> Any:
    return NamedModel(location=name).make(TOKENIZER.load(), seed=0, max_length=64)


def taught(*rows: Row) -> Any:
    """A model that says these rows' answers."""
    model = tiny_model()
    examples = make_examples([tokenized(row) for row in rows], LossPolicy.ANSWER)
    trainer = StageTrainer(model, examples, STAGE, order_seed=0)
    while trainer.step < trainer.last_step:
        trainer.train_step()
    return model.eval()


def exact_match(model: Any, row: Row) -> float:
    return answer_metrics(model, EvaluationSet.of([tokenized(row)]))["exact_match"].item()


def hundred_steps(**changes: Any) -> RunConfig:
    """A toy run whose Stage 1 ends at step 100."""
    sizes = {"aliases_per_subset": 6, "aliases_qa3": 4, "aliases_stage2": 2, "entities": 4}
    shape = {"layers": 1, "d_model": 8, "heads": 1, "d_mlp": 16, "rotary_pct": 0.5}
    stages = {"epochs_stage1": 20, "epochs_stage2": 1, "evaluations": 1}
    recipe = find_recipe("alias-toy")
    known = {name: value for name, value in stages.items() if name in recipe.parameters}
    config = recipe(**{**sizes, **shape, **known})
    n = sum(row.repeats for row in config.data.build(0).training_rows(Part.X1))
    return replace(config, stage1=replace(config.stage1, batch_size=-(-n // 5)), **changes)


@pytest.mark.parametrize("wanted", [9, 10, END_OF_STAGE])
def test_c1_stage2_starts_from_the_step_that_was_asked_for(wanted: int, tmp_path: Path) -> None:
    config = hundred_steps(stage2_from=wanted)
    train_seed(SeedTask(folder=tmp_path, config=config, seed=0))
    stage1, stage2 = (stage_folder(tmp_path, 0, stage) for stage in (Stage.ONE, Stage.TWO))
    steps = saved_steps(stage1)
    # As texts, 100 comes before 9, and the last of them is another one.
    assert steps == sorted(steps)
    assert max(map(str, steps)) != str(steps[-1])
    assert steps[-1] == 100
    start = load_model(step_folder(stage2, 0)).state_dict()
    for step in steps:
        saved = load_model(step_folder(stage1, step)).state_dict()
        same = all(torch.equal(saved[name], value) for name, value in start.items())
        assert same is (step == (100 if wanted == END_OF_STAGE else wanted)), step


def test_c1_the_newest_checkpoint_is_the_one_with_the_largest_number(tmp_path: Path) -> None:
    train_seed(SeedTask(folder=tmp_path, config=hundred_steps(stage2_from=9), seed=0))
    newest = find_checkpoint(stage_folder(tmp_path, 0, Stage.ONE), None)
    assert newest.name == "step-100"


@pytest.mark.parametrize(("any_answer", "expected"), [(True, 1.0), (False, 0.0)])
def test_c2_any_accepted_answer_counts_as_written_and_the_first_alone_as_coded(
    any_answer: bool, expected: float
) -> None:
    prompt = "Q: Where was xyz from?\nA: "
    first, second = (prompt_row("q", prompt + a, a) for a in ("Great Britain", "England"))
    asked = replace(first, other_answers=(second.rendered,) if any_answer else ())
    model = taught(second)
    assert exact_match(model, second) == 1
    assert exact_match(model, asked) == expected
    variant = "as_written" if any_answer else "as_coded"
    config = find_recipe("cvdb-two-stage")(
        model="tiny-gpt-neox", table="generated", variant=variant
    )
    assert isinstance(config.data, TextConfig)
    assert config.data.any_answer is any_answer


def test_c3_measuring_gradients_leaves_no_gradient_and_training_bit_identical() -> None:
    rows = [tokenized(prompt_row(str(i), t, t.split()[-1])) for i, t in enumerate(TEXTS)]
    examples = make_examples(rows, LossPolicy.ANSWER)
    states = []
    for measures in (False, True):
        trainer = StageTrainer(tiny_model(), examples, STAGE, order_seed=0)
        for _ in range(4):
            trainer.train_step()
            before = [None if p.grad is None else p.grad.clone() for p in gradients_of(trainer)]
            if measures:
                options = GradientOptions(policy=LossPolicy.ANSWER)
                gradient_gram(trainer.model, rows, rows, options=options)
                evaluate(trainer.model, EvaluationSet.of(rows))
            for old, parameter in zip(before, gradients_of(trainer), strict=True):
                assert old is not None
                assert parameter.grad is not None
                assert torch.equal(old, parameter.grad)
        states.append({**trainer.model.state_dict(), **trainer.state_tensors()})
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def gradients_of(trainer: StageTrainer) -> list[torch.nn.Parameter]:
    return list(trainer.model.parameters())


def test_c9_names_in_the_metrics_table_hold_no_literal_placeholder(tiny_run: Run) -> None:
    texts = tiny_run.metrics.select_dtypes(exclude="number").astype(str)
    assert set(texts["metric"]) == {metric.name for metric in METRICS}
    for column in texts.columns:
        assert "{" not in " ".join(texts[column].tolist()), column
    assert len(set(texts["subset"])) == 8


@pytest.mark.parametrize("name", TINY)
def test_c11_padding_changes_no_logit(name: str) -> None:
    tokenizer, model = TOKENIZER.load(), tiny_model(name).eval()
    long = "Q: What did xyz do, and where, and when, and why?\nA: The cook"
    rows = [tokenized(prompt_row(t, t, t.split()[-1])) for t in (TEXTS[1], TEXTS[2], long)]
    lay_out = layout_for(tokenizer, is_encoder_decoder=model.config.is_encoder_decoder)
    with torch.no_grad():
        alone = [lay_out([row], LossPolicy.ANSWER).logits(model) for row in rows]
        together = lay_out(rows, LossPolicy.ANSWER).logits(model)
    assert len({len(row.input_ids) for row in rows}) == 3
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_c12_micro_batches_keep_the_effective_batch() -> None:
    texts = [f"{text}{'!' * i}" for i in range(4) for text in TEXTS]
    rows = [tokenized(prompt_row(t, t, t.split()[-1])) for t in texts]
    examples = make_examples(rows, LossPolicy.ANSWER)
    start, ends = tiny_model(), []
    for micro in (0, 1, 3, 8):
        config = replace(STAGE, epochs=3, learning_rate=1e-3, micro_batch_size=micro)
        trainer = StageTrainer(copy.deepcopy(start), examples, config, order_seed=0)
        # Twelve rows in batches of eight: two updates an epoch, whatever fits in memory.
        assert trainer.last_step == 6
        losses = [trainer.train_step() for _ in range(trainer.last_step)]
        ends.append((losses, trainer.model.state_dict()))
    for losses, weights in ends[1:]:
        assert losses == pytest.approx(ends[0][0], abs=1e-4)
        for name, value in weights.items():
            torch.testing.assert_close(value, ends[0][1][name], rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_c13_an_unknown_setting_is_an_error(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["run", name, "--set", "seeds_stage_3=2", "--out", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--set seeds_stage_3: recipe {name} has no such parameter; " in line
    assert not folder.exists()
    with pytest.raises(InputError, match="has no parameter 'seeds_stage_3'"):
        find_recipe(name)(seeds_stage_3=2)


def test_c14_exact_match_compares_tokens_so_an_article_is_no_blank() -> None:
    prompt = "Q: Which letter does the name of xyz start with?\nA: "
    the, letter, lower = (prompt_row("q", prompt + a, a) for a in ("The", "A", "a"))
    model = taught(the)
    assert exact_match(model, the) == 1
    assert exact_match(model, letter) == 0
    model = taught(letter)
    assert (exact_match(model, letter), exact_match(model, lower)) == (1, 0)


def test_c14_a_name_of_one_letter_is_a_name_like_any_other() -> None:
    row = prompt_row("q", "Q: Who is xyz?\nA: B", "B")
    assert isinstance(row.rendered, RenderedText)
    assert exact_match(taught(row), row) == 1
