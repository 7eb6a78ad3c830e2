import copy
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import log_softmax

from data.tokens import TokenizedRow
from data.vocabulary import Kind, LossPolicy
from training.config import StageConfig
from training.evaluate import (
    AskedTexts,
    EvaluationSet,
    answer_metrics,
    evaluate,
    score_answers,
)
from training.examples import make_examples
from training.loop import StageTrainer
from training.metrics import ANSWER_LOG_PROB, EXACT_MATCH

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
    from training.models.scratch import ModelConfig, build_model

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


@pytest.mark.parametrize("stop_token", [None, 2])
def test_exact_match_follows_argmax_also_where_logits_tie(
    make_row: Callable[..., TokenizedRow], stop_token: int | None
) -> None:
    """Whole logits tie in most rows; those a rounding apart are one log-probability, but no tie."""
    generator = torch.Generator().manual_seed(0)
    rows = [make_row([7, 3 + i % 6], 1) for i in range(400)]
    asked = AskedTexts.of(rows, make_examples, stop_token)
    targets = asked.examples.tokens[asked.examples.targets]
    logits = torch.randint(3, (len(targets), 9), generator=generator).float()
    few_ulps = torch.randint(3, logits.shape, generator=generator) * 2e-9
    logits[::2] = (0.02 + few_ulps)[::2]
    before = logits.clone()

    found = score_answers(logits, asked, stops=[1], metrics=[EXACT_MATCH, ANSWER_LOG_PROB])

    best = logits.argmax(1)
    hits = best == targets
    tied = (logits == logits.amax(1, keepdim=True)).sum(1) > 1
    assert (hits & tied).any()
    assert (~hits & tied & (logits.gather(1, targets[:, None])[:, 0] == logits.amax(1))).any()
    if stop_token is not None:
        hits |= (targets == stop_token) & torch.isin(best, torch.tensor([stop_token, 1]))
    each = 1 if stop_token is None else 2
    assert found[:, 0].tolist() == hits.view(-1, each).all(1).double().tolist()
    exact = log_softmax(logits.double(), 1).gather(1, targets[:, None])[::each, 0]
    torch.testing.assert_close(found[:, 1], exact, rtol=0, atol=1e-6)
    assert torch.equal(logits, before)


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


CENTURY, BC, STOP, OTHER_STOP = 20, 21, 1, 2
PREFIX_ANSWERS = {3: [10, CENTURY], 4: [10, CENTURY, BC], 5: [11, CENTURY], 6: [12]}
"""What each question (its one token) is answered with: "1 century", "1 century BC" ..."""


@pytest.fixture(scope="module")
def prefix_rows(make_row: Callable[..., TokenizedRow]) -> list[TokenizedRow]:
    """Questions whose answers begin with one another."""
    return [make_row([7, q, *a], len(a), subset="D5_CONS") for q, a in PREFIX_ANSWERS.items()]


@pytest.fixture(scope="module")
def stopping(prefix_rows: list[TokenizedRow]):
    """A tiny model that says the answers by heart and stops behind each."""
    from training.models.scratch import ModelConfig, build_model

    config = ModelConfig(
        n_layers=1, d_model=24, n_heads=2, d_mlp=48, tied_embeddings=False, rotary_pct=0.5
    )
    model = build_model(config, vocabulary_size=30, max_length=16, end_token=STOP, seed=0)
    stage = StageConfig(
        epochs=80, batch_size=4, learning_rate=1e-2, weight_decay=0.0, evaluations=1
    )
    examples = make_examples(prefix_rows, LossPolicy.TEXT, end_token=STOP)
    trainer = StageTrainer(model, examples, stage, order_seed=0)
    for _ in range(trainer.last_step):
        trainer.train_step()
    return trainer.model.eval()


def said_by_generate(model, prompt: Sequence[int]) -> list[int]:
    """What greedy generation says behind a prompt before it stops."""
    ids = torch.tensor([prompt])
    said = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0
    )[0, len(prompt) :].tolist()
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    return next((said[:i] for i, token in enumerate(said) if token in stops), said)


def test_answer_that_goes_on_is_no_exact_match_where_a_stop_is_trained(
    stopping, make_row: Callable[..., TokenizedRow]
) -> None:
    questions = [(q, a) for q in PREFIX_ANSWERS for a in PREFIX_ANSWERS.values()]
    questions += [(q, [*a, BC]) for q, a in PREFIX_ANSWERS.items()]
    rows = [make_row([7, q, *a], len(a)) for q, a in questions]
    expected: dict[tuple[int, ...], bool] = {
        (q, *a): said_by_generate(stopping, [7, q]) == a for q, a in questions
    }
    assert sum(expected.values()) == 4

    def hits(stop_token: int | None) -> dict[tuple[int, ...], bool]:
        evaluation = EvaluationSet.of(rows, stop_token=stop_token)
        found = answer_metrics(stopping, evaluation)["exact_match"]
        asked = [row.input_ids[1:] for row in evaluation.rows]
        return {ids: bool(hit) for ids, hit in zip(asked, found, strict=True)}

    assert hits(STOP) == expected
    # Without a stop token, the answer's tokens alone count: "1 century" begins "1 century BC".
    beginnings = {k for k, hit in hits(None).items() if hit and not expected[k]}
    assert beginnings == {(4, 10, CENTURY)}


def test_stop_token_changes_nothing_but_exact_match(
    stopping, prefix_rows: list[TokenizedRow]
) -> None:
    with_stop, without = (
        answer_metrics(stopping, EvaluationSet.of(prefix_rows, stop_token=stop))
        for stop in (STOP, None)
    )
    rest = ["answer_log_prob", "answer_rank", "loss"]
    assert with_stop[rest].to_numpy() == pytest.approx(without[rest].to_numpy(), abs=1e-5)


def test_further_answers_have_to_stop_as_well(
    stopping, make_row: Callable[..., TokenizedRow]
) -> None:
    def asked(other: list[int]) -> float:
        wrong = make_row([7, 4, 13], 1)
        further = make_row([7, 4, *other], len(other))
        row = replace(wrong, others=(further,))
        evaluation = EvaluationSet.of([row], stop_token=STOP)
        return answer_metrics(stopping, evaluation)["exact_match"].item()

    assert asked([10, CENTURY]) == 0
    assert asked([10, CENTURY, BC]) == 1


def test_any_token_that_generation_stops_at_ends_an_answer(
    stopping, make_row: Callable[..., TokenizedRow]
) -> None:
    """Phi-3, say, stops at three tokens, one of which training ends its texts with."""
    model = copy.deepcopy(stopping)
    head = model.get_output_embeddings().weight.data
    head[[STOP, OTHER_STOP]] = head[[OTHER_STOP, STOP]].clone()  # it now says the other one
    row = make_row([7, 3, 10, CENTURY], 2)
    evaluation = EvaluationSet.of([row], stop_token=STOP)
    for stops, expected in ((STOP, 0), ([STOP, OTHER_STOP], 1)):
        model.generation_config.eos_token_id = stops
        assert (said_by_generate(model, [7, 3]) == [10, CENTURY]) is bool(expected)
        assert answer_metrics(model, evaluation)["exact_match"].item() == expected


def test_what_a_text_says_behind_its_answer_counts_where_it_is_trained(
    stopping, make_row: Callable[..., TokenizedRow]
) -> None:
    """The published code ends a text with a newline before the end token."""
    row = make_row([7, 4, 10, CENTURY, BC], 3)
    then_more = replace(row, answer_positions=(2, 3))
    evaluation = EvaluationSet.of([then_more], stop_token=STOP)
    assert answer_metrics(stopping, evaluation)["exact_match"].item() == 1
    cut = replace(make_row([7, 4, 10, CENTURY, 22], 3), answer_positions=(2, 3))
    evaluation = EvaluationSet.of([cut], stop_token=STOP)
    assert answer_metrics(stopping, evaluation)["exact_match"].item() == 0
