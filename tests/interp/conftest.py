import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from data.pairs import PairKind, PromptPair
from data.rows import prompt_row
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role, WordOrder
from interp.hooked.model import HookedModel
from interp.planted.two_heads import two_head_circuit
from tests.interp.random_models import BUILDERS, N_WORDS, random_model_of
from training.recipes import find_recipe
from training.registry import RECIPES, Recipe

WordPair = Callable[..., PromptPair]


@pytest.fixture(scope="session")
def random_model() -> Callable[[str], PreTrainedModel]:
    """Makes a tiny plain model of random weights by the name of its architecture."""
    return random_model_of


@pytest.fixture(scope="session", params=list(BUILDERS))
def any_model(request: pytest.FixtureRequest) -> HookedModel:
    """A tiny hooked model of each architecture; never changed."""
    return HookedModel.from_hf(random_model_of(request.param))


@pytest.fixture(scope="session")
def neox() -> HookedModel:
    """A tiny hooked GPT-NeoX; never changed."""
    return HookedModel.from_hf(random_model_of("neox"))


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


@dataclass(frozen=True, kw_only=True)
class PlantedCircuit:
    """A model whose answers are carried by two heads alone, and pairs that it answers."""

    model: HookedModel
    pairs: list[PromptPair]
    """Prompts `w16 alias w17 w18`; aliases are w0 to w7, answers w8 to w15."""


def _planted_circuit(
    *, first_head: int, second_head: int, noise: float = 0.05, decoy: int | None = None
) -> PlantedCircuit:
    made = two_head_circuit(first_head, second_head, noise=noise, decoy=decoy)
    texts, n = made.texts, len(made.texts)
    pairs = [
        _word_pair(texts[i], texts[(i + 3) % n], alias=(1, 1), question=(2, 3)) for i in range(n)
    ]
    return PlantedCircuit(model=HookedModel.from_hf(made.model), pairs=pairs)


@pytest.fixture(scope="session")
def planted_circuit() -> Callable[..., PlantedCircuit]:
    """Makes a GPT-2 of two layers with weights set by hand, and noise everywhere else.

    One head of layer 0 looks up the alias's answer where the alias stands, and one head of layer 1
    takes it from there to the last position; MLPs are idle. After the word `decoy` the first head
    does not find the alias.
    """
    return _planted_circuit


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


@pytest.fixture
def bears_on(monkeypatch: pytest.MonkeyPatch):
    """Makes the recipe of `hand_made_runs.make_run` bear on given claims."""

    def bear(*ids: str) -> None:
        recipe: Recipe = replace(find_recipe("alias-toy"), claims=ids)
        monkeypatch.setitem(RECIPES, "alias-toy", recipe)

    return bear
