from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from data.errors import DamagedError, InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import Hook, answer_table, read_at
from interp.interventions.steering import (
    Steering,
    dose_response,
    mass_mean_direction,
    saved_direction,
)
from training.runs.run import Run

StateOf = Callable[[HookedModel], tuple[object, ...]]
ROLE = TokenRole.PROMPT_LAST


@pytest.mark.parametrize("site", [Site("resid_post", 0), Site("z", 1), Site("z", 0, 2)], ids=str)
def test_the_vector_is_added_at_the_role_and_nowhere_else(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    before = read_at(any_model, word_prompts, site, ROLE)
    vector = np.random.default_rng(0).normal(size=before.shape[1])
    steering = Steering(site=site, places=(ROLE,), vector=vector)

    after = read_at(any_model, word_prompts, site, ROLE, [steering])
    first = read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST, [steering])

    np.testing.assert_allclose(after, before + vector, atol=1e-5)
    np.testing.assert_array_equal(
        first, read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST)
    )


def test_a_dose_is_so_many_standard_deviations_whatever_the_direction_s_length(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    site = Site("resid_post", 0)
    features = read_at(any_model, word_prompts, site, ROLE).astype(float)
    unit = np.zeros(features.shape[1])
    unit[3] = 1
    vector = 2.0 * features[:, 3].std() * unit
    steering = Steering(site=site, places=(ROLE,), vector=vector)
    expected = answer_table(any_model, word_prompts, [steering])

    table = dose_response(
        any_model, word_prompts, site, ROLE, direction=7 * unit, doses=[0.0, 2.0], n_random=1
    )

    of_metric = table.loc[table["metric"] == "answer_log_prob"].set_index("dose")
    assert of_metric.loc[2.0, "deviation"] == pytest.approx(features[:, 3].std())
    assert of_metric.loc[2.0, "after"] == pytest.approx(expected["answer_log_prob"].mean())
    assert of_metric.loc[0.0, "after"] == pytest.approx(of_metric.loc[0.0, "before"])
    assert of_metric.loc[0.0, "control"] == pytest.approx(of_metric.loc[0.0, "before"])
    assert set(of_metric["n"]) == {len(word_prompts)}


def test_a_planted_direction_moves_the_answer_and_random_ones_do_less(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    """The gradient of the answer's log-probability, in a state from which it is read."""
    site, row = Site("resid_post", 1), word_prompts[0]
    tokens = torch.tensor([row.input_ids])
    _, cache = neox.run_with_cache(tokens, [site.hook])
    state = cache[site.hook][0, -2].clone().requires_grad_()
    with torch.enable_grad():
        logits = neox.final_norm(state) @ neox.W_U + neox.b_U
        logits.log_softmax(-1)[row.input_ids[-1]].backward()
    assert state.grad is not None
    same = [
        replace(other, input_ids=(*other.input_ids[:-1], row.input_ids[-1]))
        for other in word_prompts
    ]

    table = dose_response(
        neox, same, site, ROLE, direction=state.grad.double().numpy(), doses=[-1.0, 1.0]
    )

    down, up = table.loc[table["metric"] == "answer_log_prob"].to_dict("records")
    assert down["after"] < down["before"] < up["after"]
    assert up["after"] - up["before"] > 3 * abs(up["control"] - up["before"])


def test_a_mass_mean_direction_leads_from_one_mean_to_the_other():
    features = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 5.0], [4.0, 7.0]])

    assert mass_mean_direction(features, np.array([0, 0, 1, 1])).tolist() == [3.0, 5.0]
    with pytest.raises(InputError, match="give both"):
        mass_mean_direction(features, np.array([1, 1, 1, 1]))


def test_a_saved_direction_is_found_by_seed_step_site_and_role(copied_run: Path):
    run = Run.load(copied_run)
    step = run.steps(1001, 2)[-1]
    name = f"seed-1001/stage-2/step-{step}/tag/resid_post.1/alias_last/logistic"
    save_file({name: np.array([1.0, 2.0])}, copied_run / "probes_vectors.safetensors")
    site = Site("resid_post", 1)

    found = saved_direction(run, site, TokenRole.ALIAS_LAST, seed=1001, stage=2)

    assert found.tolist() == [1, 2]
    with pytest.raises(InputError, match="no single direction"):
        saved_direction(run, site, TokenRole.ALIAS_LAST, seed=1000, stage=2)
    (copied_run / "probes_vectors.safetensors").write_bytes(b"nothing")
    with pytest.raises(DamagedError, match="unreadable"):
        saved_direction(run, site, TokenRole.ALIAS_LAST, seed=1001, stage=2)
    (copied_run / "probes_vectors.safetensors").unlink()
    with pytest.raises(InputError, match="run iml probe first"):
        saved_direction(run, site, TokenRole.ALIAS_LAST, seed=1001, stage=2)


def test_a_direction_must_fit(neox: HookedModel, word_prompts: list[TokenizedRow]):
    for direction in (np.zeros(16), np.ones(5)):
        with pytest.raises(InputError, match="of width 16"):
            dose_response(neox, word_prompts, Site("resid_post", 0), ROLE, direction=direction)


def test_nothing_is_left_behind_by_steering_or_an_interrupt(
    any_model: HookedModel, word_prompts: list[TokenizedRow], state_of: StateOf
):
    class Interrupting:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            def fail(activation: Tensor, hook: nn.Module) -> None:
                raise KeyboardInterrupt

            return [(Site("resid_post", 1).hook, fail)]

    before, site = state_of(any_model), Site("resid_post", 0)
    dose_response(
        any_model, word_prompts, site, ROLE, direction=np.ones(16), doses=[1.0], n_random=2
    )
    steering = Steering(site=site, places=(ROLE,), vector=np.ones(16))
    with pytest.raises(KeyboardInterrupt):
        answer_table(any_model, word_prompts, [steering, Interrupting()])

    assert state_of(any_model) == before
    assert torch.is_grad_enabled()
