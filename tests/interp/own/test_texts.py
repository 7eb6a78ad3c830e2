"""A person's own prompts: text in, rows and pairs out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.pairs import OWN_PROMPTS, PromptPair
from data.rows import PROMPTS
from data.tokens import TokenizedRow
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import OwnTokenRole, Site
from interp.hooked.model import HookedModel
from interp.own.texts import prompt_pairs, prompts


def test_rows_have_the_tokens_of_text_answer_and_roles(rows: Sequence[TokenizedRow]):
    assert [row.input_ids for row in rows] == [
        (3, 4, 5, 13),
        (6, 7, 8, 9, 14),
        (10, 11, 12, 15, 16),
    ]
    assert [row.answer_positions for row in rows] == [(3,), (4,), (3, 4)]
    assert [row.spans for row in rows] == [{"hero": (1, 1)}, {"hero": (1, 2)}, {"hero": (1, 1)}]
    assert [row.row.rendered.spans["hero"] for row in rows] == [(3, 5), (3, 8), (3, 5)]
    assert {row.row.subset for row in rows} == {PROMPTS}
    assert rows[0].row.rendered.text == "w0 w1 w2 w10"


def test_one_string_is_of_every_text_and_characters_name_a_place(model: HookedModel):
    rows = prompts(
        model,
        ["w1 w0 w1", "w1 w2 w1"],
        answers="w3",
        roles={"first": (0, 2), "last": [(6, 8), (6, 8)], "tag": ["w0", "w2"]},
    )

    assert [row.row.rendered.answer for row in rows] == ["w3", "w3"]
    assert [row.spans for row in rows] == [{"first": (0, 0), "last": (2, 2), "tag": (1, 1)}] * 2


def test_own_roles_are_addressed_by_name(model: HookedModel, rows: Sequence[TokenizedRow]):
    site = Site("resid_post", 0)
    ends = [OwnTokenRole("hero_first"), OwnTokenRole("hero_last")]
    kept = collect_activations(model, rows, sites=[site], roles=ends)

    assert [end.position(rows[1]) for end in ends] == [1, 2]
    _, cache = model.run_with_cache(torch.tensor([rows[1].input_ids]), [site.hook])
    for end, position in zip(ends, (1, 2), strict=True):
        np.testing.assert_allclose(
            kept.at(site, end)[1], cache[site.hook][0, position].numpy(), rtol=1e-4, atol=1e-5
        )


def test_what_stands_between_text_and_answer_can_be_said(model: HookedModel):
    def whole(text: str, answer: str, space: str = " ") -> tuple[str, str]:
        (row,) = prompts(model, [text], answers=[answer], space=space)
        assert row.input_ids[:2] == (3, 4)
        assert row.answer_positions == (2,)
        return row.row.rendered.text, row.row.rendered.answer

    assert whole("w0 w1", "w2") == ("w0 w1 w2", "w2")
    assert whole("w0 w1 ", "w2") == ("w0 w1 w2", "w2")
    assert whole("w0 w1", " w2") == ("w0 w1 w2", "w2")
    assert whole("w0 w1", "w2", space="\n") == ("w0 w1\nw2", "w2")
    assert whole("w0 w1 ", "w2", space="\n") == ("w0 w1 w2", "w2")


def test_an_answer_that_shares_a_token_with_the_last_word_is_refused(model: HookedModel):
    with pytest.raises(InputError, match="'w12' is one token of its text and its answer '2'"):
        prompts(model, ["w0 w1"], answers="2", space="")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"roles": {"hero": "w9"}}, r"role hero: text 0 \('w0 w1 w2'\) does not hold 'w9'"),
        ({"roles": {"hero": "w"}}, "does not hold 'w'"),
        ({"roles": {"hero": " "}}, "does not hold ' '"),
        ({"texts": ["w0 w1 w0"], "roles": {"hero": "w0"}}, r"2 times; .*\(0, 2\) or \(6, 8\)"),
        ({"roles": {"hero": (3, 30)}}, "holds nothing from character 3 to 30"),
        ({"roles": {"hero": ["w0", "w1"]}}, "role hero has words of 2 texts, not 1"),
        ({"roles": {"answer": "w0"}}, "no role can be called 'answer'"),
        ({"roles": {"my hero": "w0"}}, "no role can be called 'my hero'"),
        ({"answers": [""]}, "the answer '' has no token"),
        ({"answers": ["  "]}, "the answer '  ' has no token"),
        ({"texts": [""]}, "the text '' has no token"),
        ({"texts": []}, "0 prompt texts and 1 answers"),
        ({"answers": ["w1", "w2"]}, "1 prompt texts and 2 answers"),
        ({"texts": ["w1 " * 32]}, "prompt 0 has 33 tokens with its answer, this model reads 32"),
        ({"texts": ["what is this"]}, "a word outside the vocabulary"),
    ],
)
def test_bad_prompts_are_refused_in_one_line(
    model: HookedModel, changes: dict[str, Any], words: str
):
    given: dict[str, Any] = {"texts": ["w0 w1 w2"], "answers": ["w3"]} | changes

    with pytest.raises(InputError, match=words) as refused:
        prompts(model, given.pop("texts"), **given)

    assert "\n" not in str(refused.value)


def test_a_model_without_tokenizer_is_refused(neox: HookedModel):
    with pytest.raises(InputError, match="the model has no tokenizer"):
        prompts(neox, ["w0 w1"], answers="w2")


# Pairs.


def test_pairs_have_their_roles_at_the_same_tokens(pairs: Sequence[PromptPair]):
    assert [pair.kind for pair in pairs] == [OWN_PROMPTS] * 2
    assert {pair.subset for pair in pairs} == {PROMPTS.name}
    for pair in pairs:
        assert pair.clean.spans == pair.corrupted.spans == {"hero": (1, 1)}
    assert pairs[0].corrupted.row.rendered.spans == {"hero": (3, 5)}
    assert pairs[0].pair_id == "clean 0|corrupted 0"


@pytest.mark.parametrize(
    ("corrupted", "answer", "words"),
    [
        ("w0 w6 w7 w2", "w4", "clean 0 has 3 tokens, corrupted 0 has 4; .* token 1, 'w1' and 'w6'"),
        ("w0 w1", "w4", "differ first at token 2, 'w2' and nothing"),
        ("w0 w6 w2", "w3", "begin with the same token"),
        ("w0 w6 w2", "", "corrupted 0: the answer '' has no token"),
    ],
)
def test_bad_pairs_are_refused_in_one_line(
    model: HookedModel, corrupted: str, answer: str, words: str
):
    with pytest.raises(InputError, match=words) as refused:
        prompt_pairs(model, ["w0 w1 w2"], [corrupted], answers=["w3"], corrupted_answers=[answer])

    assert "\n" not in str(refused.value)


def test_as_many_clean_as_corrupted(model: HookedModel):
    with pytest.raises(InputError, match="1 clean and 2 corrupted prompts"):
        prompt_pairs(model, ["w0"], ["w1", "w2"], answers=["w3"], corrupted_answers="w4")
