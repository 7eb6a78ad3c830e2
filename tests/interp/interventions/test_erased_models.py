from collections.abc import Callable, Sequence

import numpy as np
import pytest
from torch import Tensor, nn

from data.tokens import TokenizedRow
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import Hook, answer_table, read_at
from interp.interventions.erasure import Eraser, Erasure, fit_leace

StateOf = Callable[[HookedModel], tuple[object, ...]]


@pytest.mark.parametrize(
    "site", [Site("resid_post", 0), Site("z", 1), Site("z", 0, 2), Site("mlp_out", 1)], ids=str
)
def test_an_erasure_acts_on_the_model_as_on_features(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    role = TokenRole.PROMPT_LAST
    features = read_at(any_model, word_prompts, site, role)
    labels = np.arange(len(word_prompts)) % 2
    eraser = fit_leace(features, labels)
    erasure = Erasure(eraser=eraser, site=site, places=(role,))

    found = read_at(any_model, word_prompts, site, role, [erasure])
    first = read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST, [erasure])

    np.testing.assert_allclose(found, eraser(features), atol=1e-5)
    assert np.abs(found - features).max() > 1e-3
    untouched = read_at(any_model, word_prompts, site, TokenRole.ALIAS_FIRST)
    np.testing.assert_array_equal(first, untouched)


def test_nothing_is_left_behind_by_an_erasure_or_an_interrupt(
    any_model: HookedModel, word_prompts: list[TokenizedRow], state_of: StateOf
):
    class Interrupting:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            def fail(activation: Tensor, hook: nn.Module) -> None:
                raise KeyboardInterrupt

            return [(Site("resid_post", 1).hook, fail)]

    site, width = Site("resid_post", 0), any_model.d_model
    eraser = Eraser(mean=np.zeros(width), read=np.eye(1, width), write=np.eye(width, 1))
    erasure = Erasure(eraser=eraser, site=site, places=(TokenRole.PROMPT_LAST,))
    before = state_of(any_model)
    answer_table(any_model, word_prompts, [erasure])
    with pytest.raises(KeyboardInterrupt):
        answer_table(any_model, word_prompts, [erasure, Interrupting()])

    assert state_of(any_model) == before
