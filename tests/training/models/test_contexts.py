"""What a model says of a prompt does not depend on the prompts beside it, and what it cannot read
is refused; the right values are those of a fresh copy that reads the prompt alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import LossPolicy
from training.evaluate import EvaluationSet, answer_metrics
from training.examples import make_examples
from training.models.contexts import (
    check_tokens,
    context_length,
    forget_lengths,
    longest_alike,
    similar_lengths,
)

WORDS = [f"w{i}" for i in range(9)]
SIZES: dict[str, Any] = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def dynamic() -> PreTrainedModel:
    rotary = {"rope_type": "dynamic", "factor": 8.0, "rope_theta": 10.0}
    config = LlamaConfig(**SIZES, max_position_embeddings=6, rope_parameters=rotary)
    return drawn(LlamaForCausalLM(config))


def longrope() -> PreTrainedModel:
    rotary = {
        "rope_type": "longrope",
        "rope_theta": 10.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 6,
    }
    lengths: dict[str, Any] = {"max_position_embeddings": 64, "original_max_position_embeddings": 6}
    config = Phi3Config(**SIZES, **lengths, rope_parameters=rotary)
    return drawn(Phi3ForCausalLM(config))


def drawn(model: PreTrainedModel) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def texts(*lengths: int) -> list[TokenizedRow]:
    rows = []
    for i, length in enumerate(lengths):
        text = " ".join(WORDS[(i + 2 * j * j) % 9] for j in range(length))
        rows.append(prompt_row(f"row {i}", text, text.split()[-1]))
    return tokenize_rows(rows, word_tokenizer(WORDS))


@torch.no_grad()
def log_prob_alone(build: Callable[[], PreTrainedModel], row: TokenizedRow) -> float:
    """Of a model that has never read anything, by Hugging Face's own forward pass."""
    at = row.answer_positions[0]
    logits = build()(torch.tensor([row.input_ids[:at]]), use_cache=False).logits[0, -1]
    return logits.double().log_softmax(-1)[row.input_ids[at]].item()


@pytest.mark.parametrize("build", [dynamic, longrope])
def test_an_answer_does_not_depend_on_its_neighbours(build: Callable[[], PreTrainedModel]) -> None:
    model, rows = build(), texts(5, 20, 12, 8, 12, 4, 7)
    assert longest_alike(model.config) == 6
    evaluation = EvaluationSet.of(rows)
    for _ in range(2):  # the second pass comes after the longest prompt
        found = answer_metrics(model, evaluation)["answer_log_prob"].tolist()
        wanted = [log_prob_alone(build, row) for row in evaluation.rows]
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("build", [dynamic, longrope])
def test_a_training_batch_has_the_loss_of_its_examples_alone(
    build: Callable[[], PreTrainedModel],
) -> None:
    rows = texts(9, 20, 5, 12)
    examples = make_examples(rows, LossPolicy.TEXT, end_token=2)
    model = build()
    found = examples.logits(model)
    start = 0
    for row in range(len(rows)):
        n = int(examples.targets[row].sum())
        tokens = examples.tokens[row : row + 1, : examples.lengths[row] - 1]
        wanted = build()(tokens, use_cache=False).logits[0, :n]
        torch.testing.assert_close(found[start : start + n], wanted, atol=1e-5, rtol=0)
        start += n
    assert start == len(found)
    assert found.requires_grad


def test_only_lengths_that_matter_are_kept_apart() -> None:
    lengths = [9, 3, 7, 2, 7, 6, 1]
    groups = list(similar_lengths(dynamic().config, lengths, 3))
    assert groups == [[6, 3, 1], [5], [2], [4], [0]]
    plain = LlamaConfig(**SIZES, max_position_embeddings=6)
    assert longest_alike(plain) is None
    assert list(similar_lengths(plain, lengths, 4)) == [[6, 3, 1, 5], [2, 4, 0]]


def test_nothing_is_remembered_of_a_longer_prompt() -> None:
    model, fresh = dynamic(), dynamic()
    short, long = torch.arange(6)[None] + 1, torch.arange(20)[None] % 12
    with torch.no_grad():
        wanted = fresh(short, use_cache=False).logits
        model(long, use_cache=False)
        # As many tokens as the limit: transformers itself goes on with the longer one's angles.
        assert (model(short, use_cache=False).logits - wanted).abs().max() > 1e-3
        forget_lengths(model)
        assert torch.equal(model(short, use_cache=False).logits, wanted)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0] * 9], "a prompt has 9 tokens, this gpt2 model reads 8; give shorter prompts"),
        ([[1, 12]], "token 12 is not in the vocabulary of this gpt2 model; its tokens are 0 to 11"),
        ([[1, -1]], "token -1 is not in the vocabulary"),
        ([[], []], "there is no token to read"),
    ],
)
def test_what_cannot_be_read_is_refused(tokens: list[list[int]], message: str) -> None:
    config = GPT2Config(vocab_size=12, n_positions=8)
    given = torch.tensor(tokens, dtype=torch.long)
    with pytest.raises(InputError, match=message):
        check_tokens(config, given)
    check_tokens(config, torch.tensor([[0, 11] * 4]))


def test_how_much_is_read_is_known_by_any_name_and_may_be_unlimited() -> None:
    assert context_length(GPT2Config(n_positions=8)) == 8
    assert context_length(MptConfig(max_seq_len=9)) == 9
    assert context_length(BloomConfig()) is None
    assert context_length(dynamic().config) == 48
    assert context_length(longrope().config) == 64


def test_evaluation_beyond_absolute_positions_is_refused_in_one_line() -> None:
    from transformers import GPT2LMHeadModel

    config = GPT2Config(vocab_size=12, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    with pytest.raises(InputError, match="a prompt has 9 tokens, this gpt2 model reads 8"):
        answer_metrics(GPT2LMHeadModel(config), EvaluationSet.of(texts(9, 4)))
    small = copy.deepcopy(config)
    small.vocab_size = 6
    with pytest.raises(InputError, match="is not in the vocabulary of this gpt2 model"):
        answer_metrics(GPT2LMHeadModel(small), EvaluationSet.of(texts(5)))
