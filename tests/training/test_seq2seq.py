import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig

from data.errors import InputError
from data.rows import prompt_row
from data.tokenizers import TrainedTokenizer
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import LossPolicy
from training.evaluate import EvaluationSet, answer_metrics
from training.examples import Examples
from training.models.elsewhere import NamedModel
from training.models.scratch import draw_weights
from training.seq2seq import Seq2SeqExamples, layout_for, make_seq2seq_examples

MakeRow = Callable[..., TokenizedRow]
END, PAD = 1, 0


def lay_out(rows: Sequence[TokenizedRow], policy: LossPolicy, **changes: Any) -> Seq2SeqExamples:
    tokens = {"end_token": END, "pad_token": PAD}
    return make_seq2seq_examples(rows, policy, **{**tokens, **changes})


@pytest.fixture
def rows(make_row: MakeRow) -> list[TokenizedRow]:
    """Prompts and answers of several lengths."""
    return [make_row([10, 11, 12, 13]), make_row([20, 21, 22], 2), make_row([5, 6, 7, 8, 9], 3)]


@pytest.fixture(scope="module")
def model() -> Any:
    """A random T5 that reads 300 tokens."""
    texts = tuple(f"word{i} " * 3 for i in range(60))
    tokenizer = TrainedTokenizer(texts=texts, vocabulary_size=300).load()
    return NamedModel(location="tiny-t5").make(tokenizer, seed=0, max_length=16).eval()


def test_text_is_cut_where_its_answer_begins(rows: list[TokenizedRow]) -> None:
    examples = lay_out(rows[:2], LossPolicy.ANSWER)
    assert examples.prompts.tolist() == [[10, 11, 12, END], [20, END, PAD, PAD]]
    assert examples.prompt_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert examples.tokens.tolist() == [[PAD, 13, PAD], [PAD, 21, 22]]
    assert examples.targets.tolist() == [[False, True, False], [False, True, True]]


def test_text_policy_also_trains_what_follows_the_answer_and_one_end_token(
    make_row: MakeRow,
) -> None:
    row = make_row([10, 11, 12, 13])
    answer_then_newline = TokenizedRow(
        row=row.row, input_ids=row.input_ids, answer_positions=(2,), spans={}
    )
    examples = lay_out([answer_then_newline, make_row([20, 21])], LossPolicy.TEXT)
    assert examples.tokens.tolist() == [[PAD, 12, 13, END], [PAD, 21, END, PAD]]
    assert examples.targets.tolist() == [[False, True, True, True], [False, True, True, False]]
    answer_only = lay_out([answer_then_newline], LossPolicy.ANSWER)
    assert answer_only.tokens.tolist() == [[PAD, 12]]


def test_all_policy_trains_the_padding_of_the_block_too(rows: list[TokenizedRow]) -> None:
    examples = lay_out(rows[:1], LossPolicy.ALL, block_size=4)
    assert examples.tokens.tolist() == [[PAD, 13, END, PAD, PAD]]
    assert examples.targets.tolist() == [[False, True, True, True, True]]
    with pytest.raises(InputError, match="use block_size=4 or more"):
        lay_out(rows, LossPolicy.ALL, block_size=3)


def test_rows_count_as_often_as_they_repeat(make_row: MakeRow) -> None:
    row = make_row([10, 11], repeats=3)
    assert len(lay_out([row], LossPolicy.ANSWER)) == 3
    assert len(lay_out([row], LossPolicy.ANSWER, repeat=False)) == 1


@pytest.mark.parametrize(
    ("is_encoder_decoder", "kind"), [(True, Seq2SeqExamples), (False, Examples)]
)
def test_layout_is_the_architectures_own(
    is_encoder_decoder: bool, kind: type[Examples], rows: list[TokenizedRow]
) -> None:
    tokenizer = TrainedTokenizer(texts=("a",), vocabulary_size=257).load()
    lay_out_rows = layout_for(tokenizer, is_encoder_decoder=is_encoder_decoder)
    examples = lay_out_rows(rows, LossPolicy.ALL, block_size=8)
    assert type(examples) is kind
    end = tokenizer.eos_token_id
    last_row = [5, 6, 7, 8, 9, end, end, end]
    answer_of_last_row = [end, 7, 8, 9, end, end, end, end, end]
    expected = answer_of_last_row if is_encoder_decoder else last_row
    assert examples.tokens[-1].tolist() == expected


@pytest.mark.parametrize("policy", LossPolicy)
def test_loss_is_that_of_transformers_own_labels(
    policy: LossPolicy, rows: list[TokenizedRow], model: Any
) -> None:
    start = model.config.decoder_start_token_id
    examples = lay_out(rows, policy, pad_token=start, block_size=5)
    labels = examples.tokens[:, 1:].where(examples.targets[:, 1:], torch.tensor(-100))
    # The decoder of transformers reads pads where labels are -100, as ours does.
    reference = model(
        input_ids=examples.prompts, attention_mask=examples.prompt_mask.long(), labels=labels
    ).loss
    loss = functional.cross_entropy(examples.logits(model), examples.tokens[examples.targets])
    assert loss.item() == pytest.approx(reference.item(), abs=1e-6)


def test_padding_changes_no_logit(rows: list[TokenizedRow], model: Any) -> None:
    together = lay_out(rows, LossPolicy.ANSWER).logits(model)
    apart = torch.cat([lay_out([row], LossPolicy.ANSWER).logits(model) for row in rows])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    # Of a pad token that the mask did not hide, it would.
    shown = lay_out(rows, LossPolicy.ANSWER, pad_token=7).logits(model)
    torch.testing.assert_close(together, shown, atol=1e-5, rtol=0)


def test_taken_examples_are_those_rows_and_nothing_else(
    rows: list[TokenizedRow], model: Any
) -> None:
    taken = lay_out(rows, LossPolicy.ANSWER).take(torch.tensor([2, 0])).to(torch.device("cpu"))
    expected = lay_out([rows[2], rows[0]], LossPolicy.ANSWER)
    torch.testing.assert_close(taken.logits(model), expected.logits(model), atol=1e-5, rtol=0)
    assert taken.tokens[taken.targets].tolist() == [7, 8, 9, 13]


def test_examples_without_a_target_have_no_logit(rows: list[TokenizedRow], model: Any) -> None:
    examples = lay_out(rows, LossPolicy.ANSWER)
    silent = Seq2SeqExamples(
        tokens=examples.tokens,
        targets=torch.zeros_like(examples.targets),
        prompts=examples.prompts,
        prompt_mask=examples.prompt_mask,
    )
    assert silent.logits(model).shape == (0, model.config.vocab_size)


def test_teacher_forced_match_is_what_greedy_decoding_says(make_row: MakeRow, model: Any) -> None:
    restless = copy.deepcopy(model)  # tied weights would make it say the same over and over
    restless.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.roll(7, 0))
    prompts = torch.randint(5, 300, (6, 4), generator=torch.Generator().manual_seed(0)).tolist()
    sources = torch.tensor([[*prompt, END] for prompt in prompts])
    said = restless.generate(
        sources,
        attention_mask=torch.ones_like(sources),
        max_new_tokens=3,
        do_sample=False,
        eos_token_id=299,
    )[:, 1:].tolist()
    assert len({tuple(answer) for answer in said}) > 1
    assert any(len(set(answer)) == 3 for answer in said)
    right = [make_row([*prompt, *answer], 3) for prompt, answer in zip(prompts, said, strict=True)]
    wrong = [
        make_row([*prompt, *answer[:2], (answer[2] + 1) % 300], 3)
        for prompt, answer in zip(prompts, said, strict=True)
    ]
    examples = lay_out([*right, *wrong], LossPolicy.ANSWER)
    is_hit = examples.logits(restless).argmax(1) == examples.tokens[examples.targets]
    assert is_hit.reshape(12, 3).all(1).tolist() == [True] * 6 + [False] * 6
    assert is_hit.reshape(12, 3)[6:, :2].all(), "only the last token is wrong"


def test_encoder_decoder_learns_answers_of_a_text(model: Any) -> None:
    texts = {"Q: What did abc do?\nA:": " acting", "Q: What did def do?\nA:": " baking"}
    tokenizer = TrainedTokenizer(
        texts=tuple(prompt + answer for prompt, answer in texts.items()), vocabulary_size=280
    ).load()
    learner = NamedModel(location="tiny-t5").make(tokenizer, seed=0, max_length=32)
    rows = [prompt_row(a, q + a, a[1:]) for q, a in texts.items()]
    tokenized = tokenize_rows(rows, tokenizer)
    examples = lay_out(tokenized, LossPolicy.TEXT, end_token=0, pad_token=0)
    answers = examples.tokens[examples.targets]
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(examples.logits(learner), answers).backward()
        optimizer.step()
    assert torch.equal(examples.logits(learner).argmax(1), answers)


SEQ2SEQ_SIZES = {
    "t5": {"num_layers": 1, "d_model": 24, "num_heads": 2, "d_kv": 12, "d_ff": 48},
    "bart": {"d_model": 24}
    | {f"{side}_layers": 1 for side in ("encoder", "decoder")}
    | {f"{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    | {f"{side}_ffn_dim": 48 for side in ("encoder", "decoder")},
}


def encoder_decoder(name: str, *, start: int, forced: int | None = None) -> Any:
    """A random model of 30 tokens that starts its answers with tokens of its own."""
    config = AutoConfig.for_model(
        name, **SEQ2SEQ_SIZES[name], vocab_size=30, pad_token_id=0, max_position_embeddings=16
    )
    config.decoder_start_token_id, config.eos_token_id = start, END
    config.dropout = config.dropout_rate = 0.0
    model = draw_weights(config, 0).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    model.generation_config.forced_bos_token_id = forced
    return model


@pytest.mark.parametrize(("name", "start", "forced"), [("t5", 4, None), ("bart", 2, 3)])
def test_decoder_starts_with_what_the_models_config_says(
    name: str, start: int, forced: int | None, rows: list[TokenizedRow]
) -> None:
    """Also where the tokenizer pads with another token, such as the end token."""
    model = encoder_decoder(name, start=start, forced=forced)
    tokenizer = TrainedTokenizer(texts=("a",), vocabulary_size=257).load()
    assert tokenizer.pad_token_id not in (start, forced)
    lay_out_rows = layout_for(tokenizer, is_encoder_decoder=True)
    evaluation = EvaluationSet.of(rows, lay_out=lay_out_rows)
    measured = answer_metrics(model, evaluation)["answer_log_prob"].tolist()
    reference = model.double()
    end = tokenizer.eos_token_id
    begun = [start] if forced is None else [start, forced]
    expected = []
    for row in evaluation.rows:
        first = row.answer_positions[0]
        prompt, answer = row.input_ids[:first], row.input_ids[first:]
        with torch.no_grad():
            logits = reference(
                input_ids=torch.tensor([[*prompt, end]]),
                decoder_input_ids=torch.tensor([[*begun, *answer[:-1]]]),
            ).logits[0, len(begun) - 1 :]
        log_probs = logits.log_softmax(1)
        expected.append(sum(log_probs[i, token].item() for i, token in enumerate(answer)))
    assert measured == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("name", "start", "forced"), [("t5", 0, None), ("bart", 2, 3)])
def test_exact_match_is_what_greedy_generation_says_and_stops_at(
    name: str, start: int, forced: int | None, make_row: MakeRow
) -> None:
    answers = {3: [10, 20], 4: [10, 20, 21], 5: [11, 20], 6: [12]}  # one begins another
    model = encoder_decoder(name, start=start, forced=forced)
    rows = [make_row([7, q, *a], len(a)) for q, a in answers.items()]
    examples = lay_out(rows, LossPolicy.TEXT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        logits = examples.logits(model)
        functional.cross_entropy(logits, examples.tokens[examples.targets]).backward()
        optimizer.step()

    def generated(question: int) -> list[int]:
        prompt = torch.tensor([[7, question, END]])
        said = model.generate(prompt, max_new_tokens=8, do_sample=False, num_beams=1)[0].tolist()
        said = said[1 if forced is None else 2 :]
        return said[: said.index(END)] if END in said else said

    asked = [make_row([7, q, *a], len(a)) for q in answers for a in answers.values()]
    wrong = make_row([7, 4, 13], 1)
    asked += [
        replace(wrong, others=(make_row([7, 4, *other], len(other)),))
        for other in ([10, 20], [10, 20, 21])
    ]
    for stop_token in (END, None):
        evaluation = EvaluationSet.of(asked, lay_out=lay_out, stop_token=stop_token)
        hits = answer_metrics(model, evaluation)["exact_match"].tolist()
        for row, hit in zip(evaluation.rows, hits, strict=True):
            said = generated(row.input_ids[1])
            right = [list(each.input_ids[2:]) for each in (row, *row.others)]
            begins = any(said[: len(answer)] == answer for answer in right)
            assert bool(hit) is ((said in right) if stop_token else begins)
        assert sum(hits) == (5 if stop_token else 7)
