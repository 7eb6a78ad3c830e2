from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import (
    Hook,
    answer_table,
    editing,
    parse_place,
    place_tokens,
    read_at,
    spots_of,
)
from training.evaluate import EvaluationSet, answer_metrics

WORDS = [f"w{i}" for i in range(37)]
StateOf = Callable[[HookedModel], tuple[object, ...]]


def prompts(*texts_and_answers: tuple[str, str]) -> list[TokenizedRow]:
    rows = [
        prompt_row(f"p{i}", text, answer, spans={Role.ALIAS: (0, 5)})
        for i, (text, answer) in enumerate(texts_and_answers)
    ]
    return tokenize_rows(rows, word_tokenizer(WORDS))


MIXED = [("w1 w2 w3", "w3"), ("w4 w5 w6 w7 w8", "w7 w8"), ("w9 w1 w2 w3", "w1 w2 w3")]


class Raising:
    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        def fail(activation: Tensor, hook: torch.nn.Module) -> None:
            raise KeyboardInterrupt

        return [(Site("mlp_out", 1).hook, fail)]


class Doubling:
    """Twice the alias's first token, at one site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        spots = spots_of(rows, [TokenRole.ALIAS_FIRST])
        return [editing(self.site, spots, lambda vectors, spots: 2 * vectors)]


@pytest.mark.parametrize("name", ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"])
def test_answers_are_those_of_the_evaluation_of_the_plain_model(
    name: str, random_model: Callable[[str], PreTrainedModel]
):
    plain, rows = random_model(name), prompts(*MIXED)
    evaluation = EvaluationSet.of(rows)
    expected = answer_metrics(plain, evaluation)
    expected.index = pd.Index([row.row.row_id for row in evaluation.rows])

    table = answer_table(HookedModel.from_hf(plain), rows).set_index("row_id")

    for metric in ("exact_match", "answer_log_prob"):
        np.testing.assert_allclose(table[metric], expected.loc[table.index, metric], atol=1e-5)


def test_answers_are_those_of_one_row_at_a_time(any_model: HookedModel):
    rows = prompts(*MIXED)

    table = answer_table(any_model, rows, batch_size=2)

    for row, found in zip(rows, table.to_dict("records"), strict=True):
        log_probs = any_model.logits(torch.tensor([row.input_ids])).log_softmax(-1)[0]
        expected = [log_probs[p - 1, row.input_ids[p]].item() for p in row.answer_positions]
        best = [log_probs[p - 1].argmax() == row.input_ids[p] for p in row.answer_positions]
        assert found["answer_log_prob"] == pytest.approx(sum(expected), abs=1e-5)
        assert found["probability"] == pytest.approx(np.exp(sum(expected)), abs=1e-6)
        assert found["exact_match"] == all(best)


def test_an_answer_is_hit_only_if_all_of_its_tokens_are_most_likely(neox: HookedModel):
    prompt = [4, 5]
    first = int(neox.logits(torch.tensor([prompt]))[0, -1].argmax())
    second = int(neox.logits(torch.tensor([[*prompt, first]]))[0, -1].argmax())
    words = {i + 3: word for i, word in enumerate(WORDS)}
    wrong = words[3 + (second - 2) % 37]
    text = f"{words[4]} {words[5]} {words[first]}"

    table = answer_table(
        neox,
        prompts(
            (f"{text} {words[second]}", f"{words[first]} {words[second]}"),
            (f"{text} {wrong}", f"{words[first]} {wrong}"),
        ),
    )

    assert table["exact_match"].tolist() == [1, 0]


def test_an_intervention_acts_on_the_right_rows_of_every_batch(any_model: HookedModel):
    rows = prompts(*MIXED, ("w5 w5 w5", "w5"))
    doubling = Doubling(Site("mlp_out", 0))

    together = answer_table(any_model, rows, [doubling], batch_size=3)
    alone = [answer_table(any_model, [row], [doubling]) for row in rows]

    np.testing.assert_allclose(
        together["answer_log_prob"], [t["answer_log_prob"].item() for t in alone], atol=1e-5
    )
    assert not np.allclose(
        together["answer_log_prob"], answer_table(any_model, rows)["answer_log_prob"]
    )


def test_activations_are_read_after_the_interventions(any_model: HookedModel):
    rows, site, role = prompts(*MIXED), Site("z", 1, 2), TokenRole.ALIAS_FIRST
    plain = collect_activations(any_model, rows, sites=[site], roles=[role]).at(site, role)

    assert read_at(any_model, rows, site, role, batch_size=2) == pytest.approx(plain, abs=1e-6)
    read = read_at(any_model, rows, site, role, [Doubling(site)])
    assert read == pytest.approx(2 * plain, abs=1e-6)


def test_nothing_is_left_behind_by_answers_or_by_an_interrupt(
    any_model: HookedModel, state_of: StateOf
):
    rows, before = prompts(*MIXED), state_of(any_model)
    answer_table(any_model, rows, [Doubling(Site("resid_post", 0))])
    read_at(any_model, rows, Site("z", 0), TokenRole.PROMPT_LAST, [Doubling(Site("z", 0))])
    with pytest.raises(KeyboardInterrupt):
        answer_table(any_model, rows, [Doubling(Site("resid_post", 0)), Raising()])
    with pytest.raises(KeyboardInterrupt):
        read_at(any_model, rows, Site("z", 0), TokenRole.PROMPT_LAST, [Raising()])

    assert state_of(any_model) == before


def test_a_role_is_its_whole_span_and_a_token_role_one_token():
    (row,) = prompts(("w1 w2 w3", "w3"))

    assert list(place_tokens(row, Role.ALIAS)) == [0, 1]
    assert list(place_tokens(row, TokenRole.ALIAS_LAST)) == [1]
    assert [parse_place(text) for text in ("alias", "ALIAS_LAST")] == [
        Role.ALIAS,
        TokenRole.ALIAS_LAST,
    ]


def test_a_token_of_two_places_is_one_spot():
    rows = prompts(("w1 w2 w3", "w3"), ("w1 w2 w3", "w3"))

    spots = spots_of(rows, [Role.ALIAS, TokenRole.ALIAS_LAST, TokenRole.PROMPT_LAST])

    assert spots.tolist() == [[0, 0, 1, 1], [0, 1, 0, 1]]


def test_what_is_missing_is_said(neox: HookedModel):
    with pytest.raises(InputError, match="no rows"):
        answer_table(neox, [])
    with pytest.raises(InputError, match="has no tag"):
        place_tokens(prompts(MIXED[0])[0], Role.TAG)
    with pytest.raises(InputError, match="no place 'nowhere'"):
        parse_place("nowhere")
