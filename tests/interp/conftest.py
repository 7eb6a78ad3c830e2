import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from data.iml import AliasNames, IMLConfig
from data.pairs import PairKind, PromptPair
from data.rows import prompt_row
from data.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role, WordOrder
from interp.hooked import HookedModel

N_WORDS = 37
VOCABULARY = N_WORDS + 3
"""Words `w0` to `w36` and the three special tokens before them."""


def _neox(**changes: Any) -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        **changes,
    )
    return GPTNeoXForCausalLM(config)


def _gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=16,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def _gpt_neo() -> PreTrainedModel:
    config = GPTNeoConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=32,
        hidden_size=16,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=4,
        intermediate_size=32,
        window_size=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoForCausalLM(config)


def _llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    return LlamaForCausalLM(config)


BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "neox": _neox,
    "neox-sequential": lambda: _neox(use_parallel_residual=False, tie_word_embeddings=True),
    "gpt2": _gpt2,
    "gpt-neo": _gpt_neo,
    "llama": _llama,
}


def _random_model(name: str) -> PreTrainedModel:
    """With biases and gains too, which start at 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BUILDERS[name]()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.3)
    return model.eval()


@pytest.fixture(scope="session")
def random_model() -> Callable[[str], PreTrainedModel]:
    """Makes a tiny plain model of random weights by the name of its architecture."""
    return _random_model


@pytest.fixture(scope="session", params=list(BUILDERS))
def any_model(request: pytest.FixtureRequest) -> HookedModel:
    """A tiny hooked model of each architecture; never changed."""
    return HookedModel.from_hf(_random_model(request.param))


@pytest.fixture(scope="session")
def neox() -> HookedModel:
    """A tiny hooked GPT-NeoX; never changed."""
    return HookedModel.from_hf(_random_model("neox"))


@pytest.fixture(scope="session")
def word_prompts() -> list[TokenizedRow]:
    """Prompts of 3 to 8 words in mixed order of length; the first word is the alias."""
    rng = random.Random(0)
    words = [f"w{i}" for i in range(N_WORDS)]
    texts = [" ".join(rng.choices(words, k=n)) for n in (5, 3, 8, 4, 8, 3, 6, 7, 5)]
    rows = [
        prompt_row(
            f"prompt {i}", text, text.split()[-1], spans={Role.ALIAS: (0, len(text.split()[0]))}
        )
        for i, text in enumerate(texts)
    ]
    return tokenize_rows(rows, word_tokenizer(words))


@pytest.fixture(scope="session")
def toy_rows() -> Callable[..., list[TokenizedRow]]:
    """Makes the tokenized rows of a small alias toy, with changes to its config."""
    config = IMLConfig(
        sizes=SubsetSizes(defined=20, undefined=8, stage2=6),
        names=AliasNames(),
        word_order=WordOrder.TAE,
        shuffle_tags=False,
        n_entities=10,
        n_attributes=3,
        n_values=4,
        held_out_questions=1,
        fact_repeats=1,
    )

    def make(seed: int = 0, **changes: Any) -> list[TokenizedRow]:
        drawn = replace(config, **changes).build(seed)
        return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))

    return make


WordPair = Callable[..., PromptPair]


def _word_pair(
    clean: str,
    corrupted: str,
    *,
    alias: tuple[int, int] = (0, 0),
    question: tuple[int, int] | None = None,
    n_answer: int = 1,
    answerable: bool = True,
) -> PromptPair:
    places = {Role.ALIAS: alias} | ({Role.QUESTION: question} if question else {})

    def prompt(text: str) -> TokenizedRow:
        words = text.split()
        starts = [len(" ".join([*words[:i], ""])) for i in range(len(words))]
        spans = {
            role: (starts[first], starts[last] + len(words[last]))
            for role, (first, last) in places.items()
        }
        row = prompt_row(text, text, " ".join(words[-n_answer:]), spans=spans)
        return tokenize_rows([row], word_tokenizer([f"w{i}" for i in range(N_WORDS)]))[0]

    return PromptPair(
        kind=PairKind.ALIAS,
        subset="D5_CONS",
        clean=prompt(clean),
        corrupted=prompt(corrupted),
        corrupted_is_answerable=answerable,
    )


@pytest.fixture(scope="session")
def word_pair() -> WordPair:
    """Makes a pair of texts of words `w0` to `w36` that end with their answers.

    Alias and question are given as their first and last word, the same in both prompts.
    """
    return _word_pair


@pytest.fixture(scope="session")
def word_pairs() -> list[PromptPair]:
    """Pairs of 3, 5 and 9 words before answers of 1, 2 and 3 words, their roles here and there."""
    rng = random.Random(0)
    shapes = [
        (5, 1, (0, 0), (2, 3)),
        (9, 1, (3, 4), (6, 7)),
        (5, 2, (0, 1), (2, 4)),
        (5, 1, (1, 2), (3, 4)),
        (3, 3, (1, 1), (2, 2)),
        (5, 1, (3, 3), (4, 4)),
        (9, 1, (0, 2), (5, 6)),
        (5, 2, (2, 2), (3, 3)),
    ]

    def text(length: int, answer: int) -> str:
        # Clean answers begin with an even word, corrupted ones with an odd one.
        first = 2 * rng.randrange(N_WORDS // 2)
        words = rng.choices(range(N_WORDS), k=length)
        return " ".join(f"w{i}" for i in (*words, first, *words[: answer - 1]))

    def other(text: str, length: int) -> str:
        words = text.split()
        changed = [f"w{rng.randrange(N_WORDS)}" for _ in words]
        changed[length] = f"w{int(words[length][1:]) + 1}"
        return " ".join(changed)

    pairs = []
    for length, n_answer, alias, question in shapes:
        clean = text(length, n_answer)
        pairs.append(
            _word_pair(
                clean, other(clean, length), alias=alias, question=question, n_answer=n_answer
            )
        )
    return pairs


def _state(model: HookedModel) -> tuple[object, ...]:
    points = {id(p): p for p in model.bridge.hook_dict.values()}.values()
    return (
        [(name, p.detach().numpy().tobytes()) for name, p in model.bridge.named_parameters()],
        [None if p.grad is None else p.grad.numpy().tobytes() for p in model.bridge.parameters()],
        [p.requires_grad for p in model.bridge.parameters()],
        [(len(p.fwd_hooks), len(p.bwd_hooks)) for p in points],
        [(len(m._forward_hooks), len(m._backward_hooks)) for m in model.bridge.modules()],
        [module.training for module in model.bridge.modules()],
        torch.get_rng_state().numpy().tobytes(),
        str(np.random.get_state()),  # noqa: NPY002  (the global state is what must stay)
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )


@pytest.fixture(scope="session")
def state_of() -> Callable[[HookedModel], tuple[object, ...]]:
    """Everything that an analysis must leave as it was: weights, gradients, hooks, mode, chance.

    Python's own random state is not among it: beartype's checks draw from it.
    """
    return _state
