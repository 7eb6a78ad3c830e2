from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from data.errors import InputError
from data.pairs import PairKind, PromptPair
from interp.hooked.addresses import TokenRole
from interp.hooked.model import HookedModel
from interp.patching.pair_batches import (
    PAIRS_A_BATCH,
    PatchMetric,
    answer_probability,
    batch_pairs,
    confident_pairs,
    prompt_roles,
    read_metrics,
)

StateOf = Callable[[HookedModel], tuple[object, ...]]
WordPair = Callable[..., PromptPair]
FIRST_WORD = 3
"""Token id of `w0`, after the three special tokens."""


def ids(*words: int) -> list[int]:
    return [FIRST_WORD + word for word in words]


# ---- batches ---------------------------------------------------------------------------------


def test_a_batch_holds_prompts_answers_foils_and_places(word_pair: WordPair):
    pairs = [
        word_pair("w1 w2 w3 w4", "w5 w6 w7 w8", alias=(0, 1)),
        word_pair("w9 w2 w3 w5", "w1 w6 w7 w2", alias=(1, 2)),
    ]
    (batch,) = batch_pairs(pairs, ["alias_first", "prompt_last", "all"])

    assert batch.clean.tolist() == [ids(1, 2, 3), ids(9, 2, 3)]
    assert batch.corrupted.tolist() == [ids(5, 6, 7), ids(1, 6, 7)]
    assert batch.answers.tolist() == [ids(4), ids(5)]
    assert batch.foils.tolist() == ids(8, 2)
    assert batch.kept == 1
    assert batch.roles == ("alias_first", "prompt_last", "all")
    assert batch.masks.int().tolist() == [
        [[1, 0, 0], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 1]],
        [[1, 1, 1], [1, 1, 1]],
    ]


def test_both_prompts_go_on_with_the_clean_answer_but_its_last_token(word_pair: WordPair):
    pair = word_pair("w1 w2 w3 w4 w5", "w6 w7 w8 w9 w10", n_answer=3)
    (batch,) = batch_pairs([pair], ["prompt_last"])

    assert batch.clean.tolist() == [ids(1, 2, 3, 4)]
    assert batch.corrupted.tolist() == [ids(6, 7, 3, 4)]
    assert batch.answers.tolist() == [ids(3, 4, 5)]
    assert batch.foils.tolist() == ids(8)
    assert batch.kept == 3
    assert batch.masks.int().tolist() == [[[0, 1, 0, 0]]]


def test_prompts_of_one_shape_go_together(word_pairs: list[PromptPair]):
    batches = batch_pairs(word_pairs, ["alias_last"])

    shapes = [(tuple(batch.clean.shape), batch.kept) for batch in batches]
    assert shapes == [((1, 5), 3), ((3, 5), 1), ((2, 6), 2), ((2, 9), 1)]


def test_many_pairs_are_divided_into_batches_of_about_one_size(word_pair: WordPair):
    pairs = [word_pair(f"w{i} w1 w2", f"w{i} w2 w3") for i in range(33)] * 2
    pairs.append(pairs[0])
    assert len(pairs) == PAIRS_A_BATCH + 3
    batches = batch_pairs(pairs, ["all"])

    assert [len(batch.foils) for batch in batches] == [34, 33]
    prompts = torch.cat([batch.clean for batch in batches]).tolist()
    assert prompts == [ids(i % 33, 1) for i in range(67)]


def asking(pair: PromptPair, question: str) -> PromptPair:
    sides = (replace(side, row=replace(side.row, question=question))
             for side in (pair.clean, pair.corrupted))  # fmt: skip
    return replace(pair, **dict(zip(("clean", "corrupted"), sides, strict=True)))


@pytest.mark.parametrize(
    ("answers", "questions", "others"),
    [
        pytest.param(["4 8", "5 9", "6 10"], "aaa", [1, 2, 0], id="the next one"),
        pytest.param(["4 8", "8 5", "6 4", "7 9"], "aaaa", [3, 2, 3, 0], id="neither answer"),
        pytest.param(["4 8", "5 9", "6 10", "7 11"], "abab", [2, 3, 0, 1], id="same question"),
        pytest.param(["4 8", "5 9", "4 10"], "aba", [1, 2, 1], id="answers before questions"),
        pytest.param(["4 8"], "a", None, id="none of a single pair"),
    ],
)
def test_a_control_comes_from_another_pair(
    word_pair: WordPair, answers: list[str], questions: str, others: list[int] | None
):
    pairs = []
    for i, (both, question) in enumerate(zip(answers, questions, strict=True)):
        clean, corrupted = both.split()
        pairs.append(asking(word_pair(f"w{i} w1 w{clean}", f"w9 w1 w{corrupted}"), question))
    (batch,) = batch_pairs(pairs, ["all"])

    assert (None if batch.others is None else batch.others.tolist()) == others


def test_the_control_of_a_question_does_not_ask_it(word_pair: WordPair):
    """Else it would bring along what the pair swaps, and be the effect. Same alias if it can be."""
    pairs = []
    for alias, questions, answers in (
        ("w1", "ab", (4, 5)), ("w2", "ab", (6, 7)), ("w3", "cd", (8, 9)), ("w1", "cd", (10, 11)),
    ):  # fmt: skip
        pair = word_pair(f"{alias} w20 w{answers[0]}", f"{alias} w21 w{answers[1]}")
        sides = [
            replace(side, row=replace(side.row, question=question, alias=alias))
            for side, question in zip((pair.clean, pair.corrupted), questions, strict=True)
        ]
        pairs.append(replace(pair, kind=PairKind.QUESTION, clean=sides[0], corrupted=sides[1]))
    (batch,) = batch_pairs(pairs, ["all"])

    assert batch.others is not None
    assert batch.others.tolist() == [3, 2, 0, 0]


def test_what_cannot_be_batched_is_refused(word_pair: WordPair):
    pair = word_pair("w1 w2 w3", "w4 w2 w5")
    with pytest.raises(InputError, match="an empty set of pairs; choose"):
        batch_pairs([], ["all"])
    longer = word_pair("w1 w2 w3 w4", "w1 w2 w3 w5").clean
    with pytest.raises(InputError, match=r"unequal length: .* has 2 and 3 tokens"):
        batch_pairs([replace(pair, corrupted=longer)], ["all"])
    lacking = word_pair("w1 w2 w3", "w4 w2 w5", question=(1, 1)).corrupted
    with pytest.raises(InputError, match="one prompt lacks the role question; pair"):
        batch_pairs([replace(pair, corrupted=lacking)], ["all"])
    with pytest.raises(InputError, match="has no tag; choose"):
        batch_pairs([pair], ["tag"])
    with pytest.raises(InputError, match="no role 'everything'; choose one of tag"):
        batch_pairs([pair], ["everything"])
    with pytest.raises(InputError, match=r"answer_first does not stand .*; choose a role before"):
        batch_pairs([pair], ["answer_first"])
    with pytest.raises(InputError, match="begin with the same token"):
        batch_pairs([word_pair("w1 w2 w3", "w4 w2 w3")], ["all"])


# ---- roles -----------------------------------------------------------------------------------


def test_a_position_is_named_once_and_in_the_order_of_the_prompt(word_pair: WordPair):
    one_token = word_pair("w1 w2 w3 w4", "w5 w2 w3 w6", alias=(0, 0), question=(1, 2))
    two_tokens = word_pair("w1 w2 w3 w4 w5", "w5 w2 w3 w4 w6", alias=(1, 2), question=(0, 0))

    assert prompt_roles([one_token]) == (
        TokenRole.ALIAS_LAST,
        TokenRole.QUESTION_FIRST,
        TokenRole.QUESTION_LAST,
    )
    assert prompt_roles([two_tokens]) == (
        TokenRole.QUESTION_LAST,
        TokenRole.ALIAS_FIRST,
        TokenRole.ALIAS_LAST,
        TokenRole.PROMPT_LAST,
    )


def test_a_role_counts_if_every_prompt_has_it(word_pair: WordPair):
    full = word_pair("w1 w2 w3 w4", "w5 w2 w3 w6", alias=(0, 0), question=(1, 1))
    bare = word_pair("w1 w2 w3 w4", "w5 w2 w3 w6", alias=(0, 1))

    assert prompt_roles([full, bare]) == (
        TokenRole.ALIAS_FIRST,
        TokenRole.ALIAS_LAST,
        TokenRole.PROMPT_LAST,
    )


# ---- metrics ---------------------------------------------------------------------------------


def test_metrics_are_those_of_a_calculation_by_hand(word_pair: WordPair):
    """Logits of an answer of two tokens: log 4 against log 2, then log 3 against log 1 and 2."""
    (batch,) = batch_pairs([word_pair("w0 w1 w2", "w0 w3 w4", n_answer=2)], ["all"])
    logits = torch.full((1, 2, 10), -torch.inf)
    logits[0, 0, ids(1, 3)] = torch.tensor([4.0, 2.0]).log()
    logits[0, 1, ids(2, 5)] = torch.tensor([3.0, 1.0]).log()

    found = read_metrics(logits, batch, list(PatchMetric))[:, 0].tolist()

    # log 4 - log 2; log (4 / 6 * 3 / 4); 4 / 6 * 3 / 4
    assert found == pytest.approx([0.693147, -0.693147, 0.5], abs=1e-6)


def test_metrics_of_many_cells_are_those_of_each(word_pairs: list[PromptPair]):
    batch = batch_pairs(word_pairs, ["all"])[1]
    logits = torch.randn(4, 3, 1, 40, generator=torch.Generator().manual_seed(0))

    together = read_metrics(logits, batch, list(PatchMetric))

    assert together.shape == (3, 4, 3)
    alone = torch.stack([read_metrics(each, batch, list(PatchMetric)) for each in logits], 1)
    assert torch.equal(together, alone)


# ---- confidence ------------------------------------------------------------------------------


def probabilities(model: HookedModel, pairs: list[PromptPair]) -> list[tuple[float, float]]:
    """Of each pair's two answers, one token at a time."""

    def of(ids: tuple[int, ...], positions: tuple[int, ...]) -> float:
        found = 1.0
        for place in positions:
            found *= model.logits(torch.tensor([ids[:place]]))[0, -1].softmax(-1)[ids[place]].item()
        return found

    return [
        (
            of(pair.clean.input_ids, pair.clean.answer_positions),
            of(pair.corrupted.input_ids, pair.corrupted.answer_positions),
        )
        for pair in pairs
    ]


def test_the_probability_of_an_answer_is_that_of_all_of_its_tokens(
    any_model: HookedModel, word_pairs: list[PromptPair]
):
    found = answer_probability(any_model, [pair.clean for pair in word_pairs])

    expected = [clean for clean, _ in probabilities(any_model, word_pairs)]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_both_prompts_have_to_be_answered(neox: HookedModel, word_pairs: list[PromptPair]):
    weakest = [min(both) for both in probabilities(neox, word_pairs)]
    least = sorted(weakest)[5] * 0.999

    kept, dropped = confident_pairs(neox, word_pairs, least=least)

    assert kept == [pair for pair, p in zip(word_pairs, weakest, strict=True) if p >= least]
    assert len(kept) == 3
    assert dropped == 5 / 8


def test_an_answer_that_is_only_a_foil_need_not_be_given(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    both = probabilities(neox, word_pairs)
    clean_alone = [clean for clean, corrupted in both if clean > corrupted]
    assert clean_alone, "no pair of which the filter is tested"
    least = max(clean_alone) * 0.999
    foils = [replace(pair, corrupted_is_answerable=False) for pair in word_pairs]

    kept, _ = confident_pairs(neox, foils, least=least)

    assert kept == [foil for foil, (clean, _) in zip(foils, both, strict=True) if clean >= least]
    place = both.index(next(each for each in both if each[0] == max(clean_alone)))
    with pytest.raises(InputError, match="answers none of 1 alias pairs of D5_CONS"):
        confident_pairs(neox, [word_pairs[place]], least=least)


def test_nothing_to_be_sure_of_is_an_error(neox: HookedModel, word_pairs: list[PromptPair]):
    with pytest.raises(InputError, match="an empty set of pairs; choose"):
        confident_pairs(neox, [])
    message = "answers none of 8 alias pairs of D5_CONS with a probability of 0.99; choose another"
    with pytest.raises(InputError, match=message):
        confident_pairs(neox, word_pairs, least=0.99)


def test_nothing_is_left_behind(
    any_model: HookedModel, word_pairs: list[PromptPair], state_of: StateOf
):
    before = state_of(any_model)
    confident_pairs(any_model, word_pairs, least=0.0)
    with pytest.raises(InputError):
        confident_pairs(any_model, word_pairs, least=1.0)

    assert state_of(any_model) == before
