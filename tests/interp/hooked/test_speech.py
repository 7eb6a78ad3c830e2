"""Text in, text out."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import tokenize_rows, word_tokenizer
from interp.hooked.model import HookedModel
from tests.interp.random_models import N_WORDS
from training.models.architectures import stop_tokens

WORDS = [f"w{i}" for i in range(N_WORDS)]
TEXTS = ["w1 w2 w3", "w4", "w5 w6 w7", "w8 w9"]
LAST = "blocks.1.hook_resid_post"


def with_words(model: HookedModel) -> HookedModel:
    view = copy.copy(model)
    view.tokenizer = word_tokenizer(WORDS)
    return view


@pytest.fixture(scope="module")
def plain(random_model: Callable[[str], PreTrainedModel]) -> PreTrainedModel:
    return random_model("neox")


@pytest.fixture(scope="module")
def model(plain: PreTrainedModel) -> HookedModel:
    return HookedModel.from_hf(plain, word_tokenizer(WORDS))


@pytest.fixture
def llama_like(random_model: Callable[[str], PreTrainedModel]) -> HookedModel:
    """Its tokens hold the space before them, and `<s>` stands in front of every text."""
    vocabulary = {name: i for i, name in enumerate(["<s>", "</s>", "<unk>"])}
    vocabulary |= {f"▁{word}": i + 3 for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.Metaspace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    return HookedModel.from_hf(random_model("llama"), fast)


def greedy(model: HookedModel, ids: list[int], n: int) -> list[int]:
    """One token after the other, one text by itself, up to an end token."""
    plain: Any = model.bridge.original_model
    end: Any = model.fast_tokenizer().eos_token_id
    ends = {*stop_tokens(plain), end}
    for _ in range(n):
        new = int(model.logits(torch.tensor([ids]))[0, -1].argmax())
        if new in ends:
            break
        ids = [*ids, new]
    return ids


def test_tokens_are_those_of_rows_padded_on_the_right(model: HookedModel):
    tokens = model.to_tokens(TEXTS)
    rows = tokenize_rows(
        [prompt_row(text, f"{text} w0", "w0") for text in TEXTS], model.fast_tokenizer()
    )

    assert tokens.tolist() == [[4, 5, 6], [7, 0, 0], [8, 9, 10], [11, 12, 0]]
    for of_text, row in zip(tokens.tolist(), rows, strict=True):
        prompt = list(row.input_ids[:-1])
        assert of_text[: len(prompt)] == prompt
    assert model.to_tokens("w4").tolist() == [[7]]


def test_padding_side_of_the_tokenizer_changes_nothing(model: HookedModel):
    view = copy.copy(model)
    view.tokenizer = word_tokenizer(WORDS)
    view.tokenizer.padding_side = "left"

    assert torch.equal(view.to_tokens(TEXTS), model.to_tokens(TEXTS))
    assert view.generate(TEXTS, 3) == model.generate(TEXTS, 3)


def test_what_begins_a_text_stands_there_once(llama_like: HookedModel):
    begun = [[0, 4, 5]] * 2

    assert llama_like.to_tokens(["w1 w2", "<s>w1 w2"]).tolist() == begun
    (row,) = tokenize_rows([prompt_row("chat", "<s>w1 w2 w3", "w3")], llama_like.fast_tokenizer())
    assert row.input_ids == (0, 4, 5, 6)
    assert row.answer_positions == (3,)


def test_every_architecture_says_what_is_likeliest_of_each_text(any_model: HookedModel):
    view = with_words(any_model)
    tokenizer = view.fast_tokenizer()

    for text, said in zip(TEXTS, view.generate(TEXTS, 4), strict=True):
        ids = greedy(view, tokenizer(text).input_ids, 4)
        assert said == tokenizer.decode(ids, skip_special_tokens=True)


def test_greedy_is_what_transformers_generates(plain: Any, model: HookedModel):
    tokenizer = model.fast_tokenizer()
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        whole: Any = plain.generate(
            ids, max_new_tokens=5, do_sample=False, use_cache=False, pad_token_id=0
        )
        assert model.generate(text, 5) == tokenizer.decode(whole[0], skip_special_tokens=True)


def test_the_end_token_ends_a_text_and_no_other(model: Any):
    view, text = with_words(model), "w1 w2 w3"
    first = greedy(model, [4, 5, 6], 1)[-1]
    view.fast_tokenizer().eos_token = WORDS[first - 3]
    said = view.generate([text, "w4"], 6)

    assert said[0] == text
    assert model.generate([text, "w4"], 6)[0].startswith(f"{text} {WORDS[first - 3]}")
    assert said[1] == model.generate("w4", 6).split(f" {WORDS[first - 3]}")[0]


@pytest.fixture
def random_state() -> Iterator[None]:
    """Fails if the global random state is another one after the test."""
    before = torch.random.get_rng_state().clone()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("random_state")
def test_draws_are_a_seed_s_and_a_text_s_own(model: HookedModel):
    drawn = model.generate([*TEXTS, "w1 w2 w3"], 8, temperature=1.0, seed=1)

    assert drawn == model.generate([*TEXTS, "w1 w2 w3"], 8, temperature=1.0, seed=1)
    assert drawn != model.generate([*TEXTS, "w1 w2 w3"], 8, temperature=1.0, seed=2)
    assert drawn[0] != drawn[4]  # the same text twice is drawn twice
    assert drawn[0] == model.generate(TEXTS[0], 8, temperature=1.0, seed=1)


def test_draws_follow_the_model(model: HookedModel):
    log_probs = model.logits(model.to_tokens("w1 w2"))[0, -1].log_softmax(-1)
    said = model.generate(["w1 w2"] * 600, 1, temperature=1.0)
    words = [model.to_tokens(text)[0, -1].item() if len(text) > 5 else -1 for text in said]
    best = int(log_probs.argmax())

    assert words.count(best) / 600 == pytest.approx(log_probs[best].exp().item(), abs=0.06)
    assert model.generate(TEXTS, 4, temperature=1.0, top_k=1) == model.generate(TEXTS, 4)
    assert model.generate(TEXTS, 4, temperature=1.0, top_p=1e-6) == model.generate(TEXTS, 4)
    assert model.generate(TEXTS, 4, temperature=1e-4) == model.generate(TEXTS, 4)


def test_hooks_act_and_see_the_whole_text(model: HookedModel):
    lengths = []

    def first_word_for_all(activation: Tensor, hook: object) -> Tensor:
        lengths.append(activation.shape[1])
        return torch.zeros_like(activation)

    with model.hooks(fwd_hooks=[(LAST, first_word_for_all)]):
        said, table = model.generate("w1 w2", 3), model.top_tokens(TEXTS, 1)

    assert lengths[:3] == [2, 3, 4]
    assert said != model.generate("w1 w2", 3)
    assert len(set(table["token_id"])) == 1


def test_top_tokens_are_those_of_each_text_alone(model: HookedModel):
    table = model.top_tokens(TEXTS, 5)

    assert list(table.columns) == ["text", "token", "token_id", "probability", "log_prob", "rank"]
    for text in TEXTS:
        of_text = table.loc[table["text"] == text]
        log_probs = model.logits(model.to_tokens(text))[0, -1].log_softmax(-1)
        values, ids = log_probs.topk(5)
        assert of_text["token_id"].tolist() == ids.tolist()
        assert of_text["rank"].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(of_text["log_prob"], values.numpy(), atol=1e-5)
        np.testing.assert_allclose(np.exp(of_text["log_prob"]), of_text["probability"], rtol=1e-5)


def test_tokens_keep_the_space_that_they_begin_with(llama_like: Any):
    tokens = llama_like.top_tokens("w1 w2", 40)["token"].tolist()

    assert " w7" in tokens
    assert "w7" not in tokens
    assert llama_like.generate("w1 w2", 2).startswith("w1 w2 w")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.to_tokens([]), "there are no texts"),
        (lambda m: m.to_tokens(["w1", ""]), r"text 1 \(''\) has no token"),
        (lambda m: m.to_tokens("w1 " * 33), "has 33 tokens, this model reads 32"),
        (lambda m: m.generate("w1 " * 20, 20), "20 tokens and 20 are to come, .* reads 32"),
        (lambda m: m.generate("w1", 0), "max_new_tokens is 0"),
        (lambda m: m.generate("w1", temperature=-1.0), "temperature -1"),
        (lambda m: m.generate("w1", top_k=3), "give a temperature above 0"),
        (lambda m: m.generate("w1", temperature=1.0, top_k=0), "top_k is 0"),
        (lambda m: m.generate("w1", temperature=1.0, top_p=1.5), "top_p 1.5"),
        (lambda m: m.top_tokens("w1", 0), "k is 0; choose from 1 to 40"),
        (lambda m: m.top_tokens("w1", 41), "k is 41"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    model: HookedModel, call: Callable[[HookedModel], object], words: str
):
    with pytest.raises(InputError, match=words) as refused:
        call(model)

    assert "\n" not in str(refused.value)


def test_a_model_without_tokenizer_says_so(neox: HookedModel):
    with pytest.raises(InputError, match="the model has no tokenizer"):
        neox.generate("w1")


def test_run_with_cache_gives_logits_and_keeps_everything_unless_told(model: HookedModel):
    tokens = model.to_tokens(TEXTS)
    logits, cache = model.run_with_cache(tokens)
    _, one = model.run_with_cache(tokens, LAST)

    assert logits is not None
    assert torch.equal(logits, model.logits(tokens))
    assert set(cache) == model.live_hooks
    assert list(one) == [LAST]
    assert torch.equal(one[LAST], cache[LAST])
