"""The metrics, by numbers worked out by hand; what recovers a model, and what does not."""

import numpy as np
import pytest
import torch

from data.tokens import TokenizedRow
from interp.dictionaries.baselines import principal_components
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.quality import measure_quality, vector_quality
from interp.dictionaries.readings import collect, read_rows, read_texts, score_replaced
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel


def axes(k: int, width: int = 3) -> Dictionary:
    """A dictionary whose features are the axes."""
    eye = torch.eye(width)
    return Dictionary(
        encoder=eye, encoder_bias=torch.zeros(width), decoder=eye, bias=torch.zeros(width), k=k
    )


def test_qualities_by_hand():
    # x = (2, 0, 1) -> (2, 0, 0) and (0, 4, 1) -> (0, 4, 0): missed 1 + 1; the mean is (1, 2, 1), so
    # that the variance is (1 + 4 + 0) * 2 = 10.
    vectors = torch.tensor([[2.0, 0.0, 1.0], [0.0, 4.0, 1.0]])
    found = vector_quality(vectors, axes(1))
    assert found["l0"] == 1
    assert found["explained_variance"] == pytest.approx(1 - 2 / 10)
    assert found["share_alive"] == pytest.approx(2 / 3)
    assert found["l2_ratio"] == pytest.approx((2 / 5**0.5 + 4 / 17**0.5) / 2)
    assert found["shrinkage"] == pytest.approx((4 + 16) / (4 + 16))
    shorter = vector_quality(vectors, half := _Halved())
    assert shorter["shrinkage"] == pytest.approx(0.5)
    assert half.decode(half.encode(vectors)).equal(vectors / 2)


class _Halved:
    """Rebuilds every vector half as long."""

    def encode(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return codes / 2


def test_variance_is_one_quotient_of_sums_and_no_mean_of_quotients():
    vectors = torch.tensor([[10.0, 0.0, 0.0], [-10.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    # Negative parts do not fire: 100 of the first is kept, 100 of the second and 1 are missed.
    explained = vector_quality(vectors, axes(1))["explained_variance"]
    assert explained == pytest.approx(1 - 101 / (200 + 2 / 3), rel=1e-6)


def test_components_are_those_of_a_float64_reference():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(200, 6, generator=generator) @ torch.diag(torch.arange(1.0, 7.0))
    first = principal_components(vectors, 2)
    centred = (vectors - vectors.mean(0)).numpy().astype(np.float64)
    _, sizes, rows = np.linalg.svd(centred, full_matrices=False)
    share = (sizes[:2] ** 2).sum() / (sizes**2).sum()
    assert vector_quality(vectors, first)["explained_variance"] == pytest.approx(share, rel=1e-5)
    assert abs(float(first.components[0] @ torch.from_numpy(rows[0]).float())) > 0.999
    own = principal_components(vectors, 2, chooses=True)
    assert vector_quality(vectors, own)["l0"] == 2
    # Choosing anew for each vector cannot be worse.
    assert vector_quality(vectors, own)["explained_variance"] > share


SITE = Site("resid_post", 0)


def test_nothing_is_lost_with_all_features_and_all_with_none(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    reading = read_rows(neox, word_prompts, None)
    vectors = collect(neox, reading, SITE)
    whole = principal_components(vectors, vectors.shape[1])
    nothing = Dictionary(
        encoder=torch.zeros(1, vectors.shape[1]), encoder_bias=torch.zeros(1),
        decoder=torch.zeros(1, vectors.shape[1]), bias=torch.zeros(vectors.shape[1]), k=1,
    )  # fmt: skip
    found = measure_quality(neox, reading, SITE, vectors, {"whole": whole, "nothing": nothing})
    assert found["whole"]["loss_recovered"] == pytest.approx(1, abs=1e-3)
    assert found["whole"]["kl_recovered"] == pytest.approx(1, abs=1e-3)
    assert found["nothing"]["loss_recovered"] == pytest.approx(0, abs=1e-9)
    assert found["nothing"]["kl_recovered"] == pytest.approx(0, abs=1e-9)
    assert found["nothing"]["share_alive"] == 0


def test_losses_are_those_of_one_text_at_a_time(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    reading = read_texts([row.input_ids for row in word_prompts])

    def smaller(vectors: torch.Tensor) -> torch.Tensor:
        return vectors / 2

    found = score_replaced(neox, reading, SITE, {"half": smaller})

    def halve(activation: torch.Tensor, hook: object) -> torch.Tensor:
        return activation / 2

    losses, apart = {"": [], "half": []}, []
    for row in word_prompts:
        tokens = torch.tensor([row.input_ids])
        plain = neox.logits(tokens)[0, :-1].double().log_softmax(-1)
        with neox.hooks(fwd_hooks=[(SITE.hook, halve)]):
            changed = neox.logits(tokens)[0, :-1].double().log_softmax(-1)
        wanted = tokens[0, 1:, None]
        losses[""] += (-plain.gather(1, wanted)[:, 0]).tolist()
        losses["half"] += (-changed.gather(1, wanted)[:, 0]).tolist()
        apart += (plain.exp() * (plain - changed)).sum(-1).tolist()
    assert found[""][0] == pytest.approx(np.mean(losses[""]), rel=1e-5)
    assert found["half"] == pytest.approx((np.mean(losses["half"]), np.mean(apart)), rel=1e-4)


@pytest.mark.parametrize("site", [SITE, Site("z", 1), Site("z", 1, 0)])
def test_vectors_are_those_that_other_analyses_read(
    neox: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    role = TokenRole.PROMPT_LAST
    known = collect_activations(neox, word_prompts, sites=[site], roles=[role]).at(site, role)
    found = collect(neox, read_rows(neox, word_prompts, role), site)
    np.testing.assert_allclose(found.numpy(), known, rtol=1e-5, atol=1e-6)
    everywhere = read_rows(neox, word_prompts, None)
    at = [position for row in word_prompts for position in range(len(row.input_ids))]
    mine = [
        position == role.position(word_prompts[owner])
        for owner, position in zip(everywhere.owners(), at, strict=True)
    ]
    np.testing.assert_allclose(
        collect(neox, everywhere, site)[torch.tensor(mine)].numpy(), known, rtol=1e-5, atol=1e-6
    )
