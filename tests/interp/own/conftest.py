from typing import Any

import pytest
from transformers import PreTrainedModel

from data.pairs import PromptPair
from data.tokens import TokenizedRow, word_tokenizer
from interp.hooked.model import HookedModel
from interp.own.texts import prompt_pairs, prompts
from tests.interp.own.words import ANSWERS, TEXTS, WORDS


@pytest.fixture(scope="module")
def plain(random_model: Any) -> PreTrainedModel:
    return random_model("neox")


@pytest.fixture(scope="module")
def model(plain: PreTrainedModel) -> HookedModel:
    return HookedModel.from_hf(plain, word_tokenizer(WORDS))


@pytest.fixture(scope="module")
def rows(model: HookedModel) -> list[TokenizedRow]:
    return prompts(model, TEXTS, answers=ANSWERS, roles={"hero": ["w1", "w4 w5", "w8"]})


@pytest.fixture(scope="module")
def pairs(model: HookedModel) -> list[PromptPair]:
    return prompt_pairs(
        model,
        ["w0 w1 w2", "w3 w4 w5"],
        ["w0 w6 w2", "w3 w7 w5"],
        answers=["w10", "w11"],
        corrupted_answers=["w12", "w13"],
        roles={"hero": ["w1", "w4"]},
    )
