import copy
import random
from collections import defaultdict
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import log_softmax

from data.tokens import TokenizedRow
from data.vocabulary import Kind, LossPolicy
from training.config import StageConfig
from training.evaluate import EvaluationSet, answer_metrics, evaluate
from training.examples import make_examples
from training.loop import StageTrainer

N_PROMPTS = 2000


@pytest.fixture(scope="module")
def rows(make_row: Callable[..., TokenizedRow]) -> list[TokenizedRow]:
    """Prompts of 2 to 5 tokens; answers of 1 to 4 tokens that follow a noisy rule."""
    rng = random.Random(0)
    made = []
    for _ in range(N_PROMPTS):
        prompt = [rng.randrange(3, 30) for _ in range(rng.randrange(2, 6))]
        n_answer = rng.randrange(1, 5)
        rule = [3 + (prompt[-1] + 1 + i) % 27 for i in range(n_answer)]
        answer = [token if rng.random() < 0.85 else rng.randrange(3, 30) for token in rule]
        made.append(make_row(prompt + answer, n_answer))
    return made


@pytest.fixture(scope="module")
def trained(rows: list[TokenizedRow]):
    """A tiny model that has half learned the rule."""
    from training.config import ModelConfig
    from training.models import build_model

    config = ModelConfig(
        n_layers=1, d_model=24, n_heads=2, d_mlp=48, tied_embeddings=False, rotary_pct=0.5
    )
    model = build_model(config, vocabulary_size=30, max_length=16, end_token=1, seed=0)
    stage = StageConfig(
        epochs=4, batch_size=64, learning_rate=3e-3, weight_decay=0.0, evaluations=1
    )
    trainer = StageTrainer(model, make_examples(rows, LossPolicy.ANSWER), stage, order_seed=0)
    for _ in range(trainer.last_step):
        trainer.train_step()
    return trainer.model.eval()


def greedy_matches(model, rows: list[TokenizedRow]) -> list[bool]:
    """Whether `generate` says each row's answer, token by token."""
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        groups[len(row.input_ids), len(row.answer_positions)].append(index)
    matches = [False] * len(rows)
    for (length, n_answer), indices in groups.items():
        prompts = torch.tensor([rows[i].input_ids[: length - n_answer] for i in indices])
        said = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=n_answer,
            do_sample=False,
            pad_token_id=0,
        )
        for index, tokens in zip(indices, said[:, length - n_answer :].tolist(), strict=True):
            matches[index] = tuple(tokens) == rows[index].input_ids[-n_answer:]
    return matches


def test_exact_match_is_what_greedy_generation_says_for_each_of_2000_prompts(
    trained, rows: list[TokenizedRow]
) -> None:
    evaluation = EvaluationSet.of(rows)
    measured = answer_metrics(trained, evaluation)["exact_match"].astype(bool).tolist()
    expected = greedy_matches(trained, evaluation.rows)
    assert measured == expected
    by_length = defaultdict(list)
    for row, hit in zip(evaluation.rows, expected, strict=True):
        by_length[len(row.answer_positions)].append(hit)
    # Answers of every length are now right, now wrong: no length is decided trivially.
    assert len(by_length) == 4
    assert all(0.05 < sum(hits) / len(hits) < 0.97 for hits in by_length.values())


def test_numbers_equal_a_slow_reference_in_double_precision(
    trained, rows: list[TokenizedRow]
) -> None:
    evaluation = EvaluationSet.of(rows[:300])
    measured = answer_metrics(trained, evaluation).to_dict("records")
    reference = copy.deepcopy(trained).double()
    for found, row in zip(measured, evaluation.rows, strict=True):
        with torch.no_grad():
            logits = reference(torch.tensor([row.input_ids])).logits[0]
        log_probs = log_softmax(logits, dim=1)
        per_token, ranks = [], []
        for position in row.answer_positions:
            before = log_probs[position - 1]
            per_token.append(before[row.input_ids[position]].item())
            ranks.append(1 + int((before > per_token[-1]).sum()))
        assert found["answer_log_prob"] == pytest.approx(sum(per_token), abs=2e-5)
        assert found["loss"] == pytest.approx(-sum(per_token) / len(per_token), abs=2e-5)
        assert found["answer_rank"] == max(ranks)
        assert found["exact_match"] == (max(ranks) == 1)


def test_table_holds_means_by_subset_and_question(make_row, make_model) -> None:
    rows = [
        make_row([4, 5, 6], question="attr0"),
        make_row([5, 6, 7, 8], question="attr1"),
        make_row([5, 9, 7], question="attr1"),
        make_row([5, 9], question=None, kind=Kind.DEFINITION),
        make_row([5, 9], subset="D6_CONS"),
    ]
    evaluation = EvaluationSet.of(rows)
    model = make_model()
    each = answer_metrics(model, evaluation)
    table = evaluate(model, evaluation).set_index(["subset", "question", "metric"])
    assert list(table.columns) == ["value", "n"]
    assert table.index.is_unique
    assert len(table) == 4 * (4 + 2)  # D5: two questions, all, definition; D6: one question, all
    places = [i for i, row in enumerate(evaluation.rows) if row.row.question == "attr1"]
    assert len(places) == 2
    for metric in each.columns:
        value, n = table.loc[("D5_CONS", "attr1", metric)]
        assert (value, n) == (pytest.approx(each[metric].iloc[places].mean()), 2)
        assert table.loc[("D5_CONS", "all", metric), "n"] == 3
        assert table.loc[("D5_CONS", "definition", metric), "n"] == 1


def test_evaluation_leaves_mode_weights_and_random_state_alone(make_row, make_model) -> None:
    model = make_model().train()
    weights, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    answer_metrics(model, EvaluationSet.of([make_row([4, 5, 6])]))
    assert model.training
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_set_of_a_run_asks_held_out_questions_and_recites_definitions(make_row) -> None:
    question = make_row([4, 5])
    definition = make_row([6, 7], kind=Kind.DEFINITION, question=None)
    assert EvaluationSet.of_run([question, definition]).rows == [question, definition]
