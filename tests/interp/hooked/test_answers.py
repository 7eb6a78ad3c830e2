"""What an exact match of a hooked model includes: the end of the text, where a run trains it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from interp.interventions.ablation import ablate
from interp.interventions.ablation_analysis import AblationAnalysis
from interp.interventions.base import answer_table
from interp.transplants.activations import patched_answers
from interp.transplants.analysis import asked_rows, transplant_weights
from training.evaluate import EvaluationSet, answer_metrics
from training.recipes import find_recipe
from training.runs.checkpoints import load_model
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds

WORDS = [f"w{i}" for i in range(37)]
PROMPTS = [(4, 5, 6), (7, 8), (9, 10, 11, 12), (5, 9)]


def said(model: PreTrainedModel, prompt: Sequence[int], n: int) -> list[int]:
    """Greedy decoding, token by token."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def row_of(prompt: Sequence[int], answer: Sequence[int]) -> TokenizedRow:
    """A row with exactly these tokens; its words only stand for them."""
    text = " ".join(WORDS[i] for i in range(len(prompt) + len(answer)))
    words = " ".join(WORDS[i] for i in range(len(prompt), len(prompt) + len(answer)))
    (row,) = tokenize_rows([prompt_row("p", text, words)], word_tokenizer(WORDS))
    return replace(row, input_ids=(*prompt, *answer))


@pytest.fixture(scope="module")
def plain(random_model: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return random_model("neox")


@pytest.fixture(scope="module")
def asked(plain: PreTrainedModel) -> tuple[list[TokenizedRow], int]:
    """Rows answered with what the model says, and the token that it says next in the first."""
    rows = [row_of(prompt, said(plain, prompt, 2)) for prompt in PROMPTS]
    return rows, said(plain, PROMPTS[0], 3)[2]


def hits_of(model: HookedModel, rows: Sequence[TokenizedRow]) -> list[float]:
    return answer_table(model, rows)["exact_match"].tolist()


def test_an_exact_match_is_what_greedy_generation_says_up_to_the_stop_token(
    plain: PreTrainedModel, asked: tuple[list[TokenizedRow], int]
):
    rows, stop = asked
    expected = [float(said(plain, prompt, 3)[2] == stop) for prompt in PROMPTS]
    assert 0 < sum(expected) < len(expected)
    model = HookedModel.from_hf(plain)
    whole = answer_table(model, rows)

    model.stop_token = stop
    stopped = answer_table(model, rows)

    assert whole["exact_match"].tolist() == [1, 1, 1, 1]
    assert stopped["exact_match"].tolist() == expected
    assert stopped["answer_log_prob"].to_numpy() == pytest.approx(
        whole["answer_log_prob"].to_numpy(), abs=1e-5
    )


def test_patched_and_ablated_answers_stop_as_well(
    plain: PreTrainedModel, asked: tuple[list[TokenizedRow], int]
):
    rows, stop = asked
    model = HookedModel.from_hf(plain)
    model.stop_token = stop
    site, role = Site("resid_pre", 0), TokenRole.PROMPT_LAST
    own = plain.get_input_embeddings()(torch.tensor([prompt[-1] for prompt in PROMPTS]))

    patched = patched_answers(model, rows, site, role, own.detach())
    # Position 3 of the first row is the last token of its answer, from which the stop is predicted.
    nothing = answer_table(model, rows, [ablate(model, Site("mlp_out", 0), "mean", reference=rows)])

    assert patched["exact_match"].tolist() == hits_of(model, rows)
    assert patched["exact_match"].tolist() != [1, 1, 1, 1]
    assert len(nothing) == len(rows)


def test_any_answer_that_counts_as_right_is_an_exact_match(
    plain: PreTrainedModel, asked: tuple[list[TokenizedRow], int]
):
    rows, _ = asked
    answer = rows[1].input_ids[-2:]
    wrong = row_of(PROMPTS[1], [(answer[0] + 1) % 37, answer[1]])
    model = HookedModel.from_hf(plain)
    assert hits_of(model, [wrong, rows[0]]) == [0, 1]

    either = replace(wrong, others=(rows[1],))

    assert hits_of(model, [either, rows[0]]) == [1, 1]
    evaluation = EvaluationSet.of([either])
    assert answer_metrics(plain, evaluation)["exact_match"].tolist() == [1]


@pytest.fixture(scope="module")
def text_toy(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A toy that learns to end its texts, and to answer some questions."""
    recipe = find_recipe("alias-toy")
    changes = {"loss_policy": "text", "tied_embeddings": False, "epochs_stage1": 12}
    config = recipe(**{**recipe.smoke, **changes})
    folder = tmp_path_factory.mktemp("text") / "run"
    (run,) = run_seeds([RunRequest(config=config, folder=folder, seeds=(1000,))], workers=1)
    return run


def of_d1(table: pd.DataFrame, value: str, **where: object) -> float:
    """Exact match of D1: the one value of a table at some coordinates."""
    for column, wanted in {"subset": "D1_CONS_QA1", **where}.items():
        table = table.loc[table[column] == wanted]
    (found,) = table[value].unique().tolist()
    return found


def test_checkpoints_of_a_run_count_as_the_run_does(text_toy: Run):
    """The tables of analyses, where nothing is changed, against `metrics.parquet`."""
    model, rows = load_hooked(text_toy, 1000, 1), text_toy.tokenized_rows(1000)
    assert model.tokenizer is not None
    assert model.stop_token == model.tokenizer.eos_token_id
    stage1 = text_toy.metrics.loc[text_toy.metrics["stage"] == 1]
    last = stage1.loc[stage1["step"] == stage1["step"].max()]
    expected = of_d1(last, "value", metric="exact_match", question="all")
    questions = [row for row in rows if row.row.is_evaluated]
    here = load_model(text_toy.checkpoint(1000, 1))

    answers = answer_table(model, questions)
    moved = transplant_weights(
        here, here, asked_rows(rows), parts=["blocks"], seed=0, stop_token=model.stop_token
    )
    ablated = AblationAnalysis().measure(model, rows, [Site("mlp_out", 0)], seed=1000).table

    assert expected > 0
    hits = answers["exact_match"].to_numpy()[answers["subset"].to_numpy() == "D1_CONS_QA1"]
    assert hits.mean() == pytest.approx(expected, abs=1e-9)
    assert of_d1(moved, "exact_match", part="none") == pytest.approx(expected, abs=1e-9)
    baseline = of_d1(ablated, "baseline", metric="exact_match", kind="question", route="")
    assert baseline == pytest.approx(expected, abs=1e-9)


def test_runs_of_the_first_format_count_as_they_did(text_toy: Run):
    old = replace(text_toy, info={**text_toy.info, "format_version": 1})
    assert text_toy.stops_answers
    assert not old.stops_answers
    assert load_hooked(old, 1000, 1).stop_token is None
