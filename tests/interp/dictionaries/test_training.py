"""A planted dictionary is found, also with dead features; where there is none, none is found."""

from dataclasses import replace

import pytest
import torch

from data.errors import InputError
from interp.dictionaries.baselines import principal_components
from interp.dictionaries.dictionary import Dictionary, Sparsity
from interp.dictionaries.quality import vector_quality
from interp.dictionaries.training import FitSettings, fit_dictionary, require_fitting
from tests.interp.dictionaries.planted_vectors import gaussian, planted, recovery

SETTINGS = FitSettings(n_features=48, k=3, n_steps=500, batch_size=256)
QUICK = replace(SETTINGS, n_steps=40, batch_size=64)


def test_a_planted_dictionary_is_recovered_and_gaussian_vectors_have_none():
    truth = planted(0)
    seen, unseen = truth.vectors[:10_000], truth.vectors[10_000:]
    found = fit_dictionary(seen, SETTINGS, seed=0)
    noise = gaussian(0, truth)
    of_noise = fit_dictionary(noise[:10_000], replace(SETTINGS, n_steps=200), seed=0)

    assert recovery(truth.features, found.decoder) >= 0.95
    assert recovery(truth.features, of_noise.decoder) < 0.75
    explained = vector_quality(unseen, found)["explained_variance"]
    assert explained > 0.9
    # Without features, an overcomplete code is no better than each vector's largest components.
    own = principal_components(noise[:10_000], 3, chooses=True)
    of_components = vector_quality(noise[10_000:], own)["explained_variance"]
    assert vector_quality(noise[10_000:], of_noise)["explained_variance"] < of_components + 0.05
    assert explained > of_components + 0.3


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", list(Sparsity))
def test_eight_planted_dictionaries_are_recovered(sparsity: Sparsity):
    settings = replace(SETTINGS, sparsity=sparsity, n_steps=3000)
    for seed in range(8):
        truth = planted(seed)
        found = fit_dictionary(truth.vectors, settings, seed=seed)
        assert recovery(truth.features, found.decoder) >= 0.95, seed


def test_dead_features_are_revived():
    """A high learning rate kills features that the vectors need."""
    truth = planted(1, n=3000, n_features=96)
    settings = FitSettings(
        n_features=128, k=3, n_steps=300, batch_size=128, learning_rate=0.02, dead_after=20
    )
    revived, left_dead = (
        fit_dictionary(truth.vectors, each, seed=0)
        for each in (settings, replace(settings, dead_after=10**9))
    )
    assert recovery(truth.features, revived.decoder) > 0.98
    assert recovery(truth.features, left_dead.decoder) < 0.98
    found, without = (vector_quality(truth.vectors, each) for each in (revived, left_dead))
    assert found["share_alive"] > without["share_alive"]
    assert found["explained_variance"] > without["explained_variance"] + 0.02


def test_the_same_seed_gives_the_same_dictionary_and_leaves_the_random_state():
    vectors = planted(2, n=500).vectors
    state = torch.get_rng_state()
    first, again = (fit_dictionary(vectors, QUICK, seed=3) for _ in range(2))
    other = fit_dictionary(vectors, QUICK, seed=4)
    assert torch.equal(first.decoder, again.decoder)
    assert torch.equal(first.encoder_bias, again.encoder_bias)
    assert not torch.equal(first.decoder, other.decoder)
    assert torch.equal(torch.get_rng_state(), state)


def test_features_have_length_one_and_vectors_may_be_of_any_scale():
    vectors = planted(2, n=500).vectors
    found = fit_dictionary(vectors, QUICK, seed=0)
    larger = fit_dictionary(1000 * vectors, QUICK, seed=0).reconstruct(1000 * vectors)
    torch.testing.assert_close(found.decoder.norm(dim=1), torch.ones(48))
    expected = 1000 * found.reconstruct(vectors)
    torch.testing.assert_close(larger, expected, rtol=1e-2, atol=5.0)


def test_random_features_stay_as_they_were_drawn():
    vectors = planted(2, n=500).vectors
    settings = replace(QUICK, learns_decoder=False)
    few, more = (fit_dictionary(vectors, replace(settings, n_steps=n), seed=0) for n in (1, 40))
    assert torch.equal(few.decoder, more.decoder)
    assert not torch.equal(few.encoder, more.encoder)


def test_batch_topk_keeps_k_on_average_of_the_vectors_it_saw():
    vectors = planted(2, n=2000).vectors
    found = fit_dictionary(vectors, replace(QUICK, sparsity=Sparsity.BATCH_TOPK), seed=0)
    assert vector_quality(vectors, found)["l0"] == pytest.approx(3, abs=0.01)
    counts = (found.encode(vectors) > 0).sum(1)
    assert counts.min() < 3 < counts.max()


def test_nested_sizes_explain_more_with_the_first_features():
    truth = planted(3, n=4000)
    settings = replace(SETTINGS, n_steps=100, batch_size=128)
    plain, nested = (
        fit_dictionary(truth.vectors, replace(settings, is_nested=is_nested), seed=0)
        for is_nested in (False, True)
    )
    assert _of_first(nested, truth.vectors) > _of_first(plain, truth.vectors) + 0.02


def _of_first(found: Dictionary, vectors: torch.Tensor) -> float:
    """Variance that the first quarter of the features explains."""
    codes = found.encode(vectors)
    codes[:, found.n_features // 4 :] = 0
    missed = (vectors - found.decode(codes)).square().sum()
    return 1 - float(missed / (vectors - vectors.mean(0)).square().sum())


def test_one_step_of_training_is_that_of_a_slow_reference():
    """Loss and gradient, through a loop over vectors and features in float64."""
    from interp.dictionaries.training import _loss, _Weights

    generator = torch.Generator().manual_seed(0)
    settings = FitSettings(n_features=6, k=2)
    batch = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    drawn = _Weights.drawn(settings, 4, generator)
    weights = _Weights(**{n: v.detach().double().requires_grad_() for n, v in vars(drawn).items()})
    loss, fired = _loss(batch, weights, settings, torch.zeros(6, dtype=torch.long))

    total = missed = 0.0
    has_fired = set()
    mean = [sum(float(batch[i, d]) for i in range(5)) / 5 for d in range(4)]
    for vector in batch.tolist():
        before = [
            max(0.0, sum(float(weights.encoder[f, d]) * vector[d] for d in range(4)))
            for f in range(6)
        ]
        kept = [f for f in sorted(range(6), key=lambda f: -before[f])[:2] if before[f] > 0]
        has_fired |= set(kept)
        for d in range(4):
            new = sum(before[f] * float(weights.decoder[f, d]) for f in kept)
            missed += (vector[d] - new) ** 2
            total += (vector[d] - mean[d]) ** 2
    assert float(loss) == pytest.approx(missed / total, rel=1e-12)
    assert set(fired.nonzero()[:, 0].tolist()) == has_fired


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 0}, "0 features a vector of 48; choose a k from 1 to 48"),
        ({"k": 49}, "49 features a vector of 48"),
        ({"n_features": 10**10}, "2 x 10,000,000,000 x 32 weights of 16 bytes make 10 TB"),
    ],
)
def test_what_no_machine_can_train_is_refused(changes: dict[str, int], words: str):
    with pytest.raises(InputError, match=words):
        require_fitting(replace(SETTINGS, **changes), width=32, n_vectors=100)
    with pytest.raises(InputError, match="1 vectors to train on"):
        require_fitting(SETTINGS, width=32, n_vectors=1)


def test_a_dictionary_is_made_again_of_its_arrays():
    vectors = planted(2, n=500).vectors
    for sparsity in Sparsity:
        found = fit_dictionary(vectors, replace(QUICK, sparsity=sparsity), seed=0)
        arrays = found.arrays()
        again = Dictionary.from_arrays(arrays)
        assert torch.equal(again.encode(vectors), found.encode(vectors))
        del arrays["bias"]
        with pytest.raises(InputError, match="without bias"):
            Dictionary.from_arrays(arrays)
