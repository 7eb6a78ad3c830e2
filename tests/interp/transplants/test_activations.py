from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.activations import collect_activations, pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.transplants.activations import patched_answers, transplant_activations
from interp.transplants.parts import parts_of, transplant, weights_of, with_weights
from training.evaluate import EvaluationSet, answer_metrics

RandomModel = Callable[[str], PreTrainedModel]
EARLY, LATE = Site("resid_pre", 0), Site("resid_post", 1)
LAST = TokenRole.PROMPT_LAST


def other(model: PreTrainedModel, *, part: str) -> PreTrainedModel:
    """The same with other weights in a part."""
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: weight + 0.5 * torch.randn(weight.shape, generator=generator)
        for name, weight in weights_of(model).items()
    }
    return transplant(model, with_weights(model, weights), parts_of(model)[part])


def answers(model: PreTrainedModel, rows: list[TokenizedRow]) -> np.ndarray:
    """Log-probabilities of the answers by the plain model, in the order given."""
    return np.concatenate(
        [
            answer_metrics(model, EvaluationSet.of([row]))["answer_log_prob"].to_numpy()
            for row in rows
        ]
    )


def test_own_activations_give_the_models_own_answers(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    for site in (LATE, Site("z", 0, 2)):
        own = collect_activations(any_model, word_prompts, sites=[site], roles=[LAST])
        values = torch.from_numpy(own.at(site, LAST))
        patched = patched_answers(any_model, word_prompts, site, LAST, values)
        logits = any_model.logits(pad_tokens([row.input_ids for row in word_prompts]))
        for row, found, of_row in zip(
            word_prompts, patched["answer_log_prob"], logits.log_softmax(-1), strict=True
        ):
            assert found == pytest.approx(
                of_row[len(row.input_ids) - 2, row.input_ids[-1]].item(), abs=1e-4
            )


@pytest.mark.parametrize("name", ["neox", "gpt2", "gpt-neo", "llama"])
def test_the_last_state_of_a_donor_that_differs_in_its_blocks_is_its_answer(
    name: str, random_model: RandomModel, word_prompts: list[TokenizedRow]
):
    model = random_model(name)
    donor = other(model, part="blocks")
    moved = transplant_activations(
        HookedModel.from_hf(model),
        HookedModel.from_hf(donor),
        word_prompts,
        sites=[LATE, EARLY],
        roles=[LAST],
        seed=0,
    )

    real, control = (
        table["answer_log_prob"].to_numpy() for table in moved["resid_post.1@prompt_last"]
    )
    assert real == pytest.approx(answers(donor, word_prompts), abs=1e-4)
    assert np.abs(control - answers(model, word_prompts)).max() > 0.01
    # What enters the blocks is the same in both: it brings nothing, and no random change either.
    for table in moved["resid_pre.0@prompt_last"]:
        assert table["answer_log_prob"].to_numpy() == pytest.approx(
            answers(model, word_prompts), abs=1e-4
        )


def test_the_control_is_as_far_away_as_the_donor(
    random_model: RandomModel, word_prompts: list[TokenizedRow], monkeypatch: pytest.MonkeyPatch
):
    model = random_model("neox")
    donor = HookedModel.from_hf(other(model, part="blocks"))
    recipient = HookedModel.from_hf(model)
    given: list[torch.Tensor] = []

    def record(model: object, rows: object, site: object, role: object, values: torch.Tensor):
        given.append(values)
        return patched_answers(recipient, word_prompts, LATE, LAST, values)

    monkeypatch.setattr("interp.transplants.activations.patched_answers", record)
    transplant_activations(recipient, donor, word_prompts, sites=[LATE], roles=[LAST], seed=0)
    own = collect_activations(recipient, word_prompts, sites=[LATE], roles=[LAST]).at(LATE, LAST)

    away = [(values.numpy() - own) for values in given]
    lengths = [np.linalg.norm(each, axis=1) for each in away]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)
    assert not np.allclose(away[0], away[1], atol=1e-2)


def test_a_head_is_replaced_alone(neox: HookedModel, word_prompts: list[TokenizedRow]):
    """Zeros in head 2's output are what the output projection without its columns gives."""
    site = Site("z", 1, 2)
    zeros = torch.zeros(len(word_prompts), neox.d_head)
    patched = patched_answers(neox, word_prompts, site, LAST, zeros)

    def ablate(activation: torch.Tensor, hook: object) -> torch.Tensor:
        activation = activation.clone()
        activation[:, :, 2] = 0  # in the last layer a query's head changes its own position only
        return activation

    with neox.hooks([(site.hook, ablate)]):
        logits = neox.logits(pad_tokens([row.input_ids for row in word_prompts]))
    expected = [
        of_row[len(row.input_ids) - 2].log_softmax(-1)[row.input_ids[-1]].item()
        for row, of_row in zip(word_prompts, logits, strict=True)
    ]
    assert patched["answer_log_prob"].tolist() == pytest.approx(expected, abs=1e-4)


def test_exact_match_is_whether_the_answer_is_the_most_likely(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    answers_to = [row.input_ids[-1] for row in word_prompts]
    toward = neox.W_U.T[answers_to]
    best = (neox.final_norm(toward) @ neox.W_U).argmax(1).tolist()
    expected = [float(token == answer) for token, answer in zip(best, answers_to, strict=True)]

    patched = patched_answers(neox, word_prompts, LATE, LAST, toward)
    assert patched["exact_match"].tolist() == expected
    assert 1.0 in expected
    away = patched_answers(neox, word_prompts, LATE, LAST, -toward)
    assert set(away["exact_match"]) == {0.0}


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_models_are_left_as_they_were(
    interrupted: bool,
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(neox)
    if interrupted:
        wrong = torch.zeros(len(word_prompts), 3)  # no width of the model: raises in the hook
        with pytest.raises(RuntimeError):
            patched_answers(neox, word_prompts, LATE, LAST, wrong)
    else:
        transplant_activations(neox, neox, word_prompts, sites=[LATE], roles=[LAST], seed=0)
    assert state_of(neox) == before


def test_a_role_that_a_prompt_lacks_is_an_error(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    with pytest.raises(InputError, match="has no tag"):
        transplant_activations(
            neox, neox, word_prompts, sites=[LATE], roles=[TokenRole.TAG], seed=0
        )
