"""Our TopK autoencoder against that of `eai-sparsify`: as good at equal L0, and how fast?

Run `python benchmarks/bench_sae.py [--quick]`, with `pip install --no-deps eai-sparsify natsort
schedulefree simple-parsing docstring-parser` before: without it ours is measured alone. Both sides
run in this process with one thread, in turn, on the same vectors, which are sums of few known
features; with the same first features, batches, steps, optimizer and learning rates. Theirs is
`SparseCoder` with the loop of its `Trainer`, which itself takes texts and no vectors.

    explained    variance explained of vectors held out, at equal L0
    recovered    mean over the known features of the largest cosine with a found one
    aux          gradient of the auxiliary loss at the encoder, by which dead features are revived

What is said to be equal is so up to the spread over seeds; seconds are medians of process time.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import Any

import torch
from jaxtyping import Float
from machine import describe_machine
from scipy.stats import t as student
from torch import Tensor

from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.quality import vector_quality
from interp.dictionaries.training import AUXILIARY, FitSettings, fit_dictionary, rates
from training.seeds import derive_seed
from training.threads import one_thread

WIDTH, N_KNOWN, K = 64, 128, 4
N_VECTORS, N_HELD_OUT = 20_000, 4_000


@dataclass(frozen=True, kw_only=True)
class Known:
    """Vectors to train on and held out, and the features that they are sums of."""

    training: Float[Tensor, "vector width"]
    held_out: Float[Tensor, "held_out width"]
    features: Float[Tensor, "feature width"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a training came to."""

    explained: float
    recovered: float
    seconds: float


def main() -> None:
    """Trains both on several seeds and prints what each comes to, and the difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps of two seeds")
    quick = parser.parse_args().quick
    n_seeds, n_steps = (2, 100) if quick else (5, 600)
    settings = FitSettings(n_features=2 * N_KNOWN, k=K, n_steps=n_steps, batch_size=256)
    sides: dict[str, Callable[[Known, FitSettings, int], Dictionary]] = {"ours": fit_ours}
    packages = ["torch"]
    if sparsify := import_sparsify():
        sides["eai-sparsify"] = lambda *given: fit_theirs(sparsify, *given)
        packages.append("eai-sparsify")
    else:
        print("eai-sparsify is not installed: ours alone")
    print(describe_machine(*packages))
    found: dict[str, list[Found]] = {name: [] for name in sides}
    with one_thread():
        for seed in range(n_seeds):
            known = known_vectors(seed)
            for name, fit in sides.items():
                found[name].append(measured(known, settings, seed, fit))
    for name, each in found.items():
        print(
            f"{name:<13} explained {mean(f.explained for f in each):.4f}  recovered "
            f"{mean(f.recovered for f in each):.4f}  {median(f.seconds for f in each):.2f} s"
        )
    if sparsify:
        compare(found["ours"], found["eai-sparsify"])
        print(f"aux           at their encoder {their_revival(sparsify):.3g}")


def known_vectors(seed: int) -> Known:
    """Sums of `K` of `N_KNOWN` features in fewer dimensions."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(N_KNOWN, WIDTH, generator=generator))
    n = N_VECTORS + N_HELD_OUT
    places = torch.rand(n, N_KNOWN, generator=generator).topk(K, dim=1).indices
    amounts = 0.5 + torch.rand(n, K, generator=generator)
    vectors = torch.zeros(n, N_KNOWN).scatter(1, places, amounts) @ features
    return Known(training=vectors[:N_VECTORS], held_out=vectors[N_VECTORS:], features=features)


def measured(
    known: Known,
    settings: FitSettings,
    seed: int,
    fit: Callable[[Known, FitSettings, int], Dictionary],
) -> Found:
    """One training, timed, and how good it is."""
    start = time.process_time()
    dictionary = fit(known, settings, seed)
    seconds = time.process_time() - start
    quality = vector_quality(known.held_out, dictionary)
    assert quality["l0"] <= settings.k
    cosines = known.features @ dictionary.decoder.T
    return Found(
        explained=quality["explained_variance"],
        recovered=float(cosines.max(1).values.mean()),
        seconds=seconds,
    )


def fit_ours(known: Known, settings: FitSettings, seed: int) -> Dictionary:
    """Ours."""
    return fit_dictionary(known.training, settings, seed=seed)


def import_sparsify() -> Any:
    """Their package; None where it is not installed."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints whether Triton is there
            import sparsify  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return sparsify


def fit_theirs(sparsify: Any, known: Known, settings: FitSettings, seed: int) -> Dictionary:
    """Theirs: as `Trainer` does it, on the vectors, first features and batches that ours gets."""
    mean_vector = known.training.mean(0)
    scale = (known.training - mean_vector).square().mean().sqrt()
    vectors = (known.training - mean_vector) / scale
    generator = torch.Generator().manual_seed(derive_seed(seed, "dictionary"))
    rows = torch.randn(settings.n_features, WIDTH, generator=generator)
    rows = torch.nn.functional.normalize(rows)
    config = sparsify.SparseCoderConfig(num_latents=settings.n_features, k=settings.k)
    coder = sparsify.SparseCoder(WIDTH, config)
    with torch.no_grad():
        coder.encoder.weight.copy_(rows)
        coder.W_dec.copy_(rows)
    optimizer = torch.optim.Adam(coder.parameters(), lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates(settings.n_steps))
    idle = torch.zeros(settings.n_features, dtype=torch.long)
    for _ in range(settings.n_steps):
        batch = torch.randint(len(vectors), (settings.batch_size,), generator=generator)
        coder.set_decoder_norm_to_unit_norm()
        out = coder(vectors[batch], dead_mask=idle >= settings.dead_after)
        optimizer.zero_grad()
        (out.fvu + AUXILIARY * out.auxk_loss).backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        schedule.step()
        idle += 1
        idle[out.latent_indices[out.latent_acts > 0]] = 0
    coder.set_decoder_norm_to_unit_norm()
    parts = {name: value.detach() for name, value in coder.named_parameters()}
    return Dictionary(
        encoder=parts["encoder.weight"],
        encoder_bias=parts["encoder.bias"] * scale,
        decoder=parts["W_dec"],
        bias=parts["b_dec"] * scale + mean_vector,
        k=settings.k,
    )


def compare(ours: list[Found], theirs: list[Found]) -> None:
    """The paired differences over seeds with 95% intervals, and the ratio of seconds."""
    for name in ("explained", "recovered"):
        differences = [
            getattr(a, name) - getattr(b, name) for a, b in zip(ours, theirs, strict=True)
        ]
        half = student.ppf(0.975, len(differences) - 1) * stdev(differences)
        half /= len(differences) ** 0.5
        print(f"{name:<13} ours - theirs {mean(differences):+.4f} +- {half:.4f}")
    ratio = median(f.seconds for f in theirs) / median(f.seconds for f in ours)
    print(f"speed         ours takes 1/{ratio:.2f} of their process time")


def their_revival(sparsify: Any) -> float:
    """How large the gradient of their auxiliary loss is at the encoder of dead features."""
    coder = sparsify.SparseCoder(8, sparsify.SparseCoderConfig(num_latents=16, k=2))
    vectors = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    coder(vectors, dead_mask=torch.arange(16) >= 8).auxk_loss.backward()
    gradient = coder.encoder.weight.grad
    return 0.0 if gradient is None else float(gradient.abs().sum())


if __name__ == "__main__":
    main()
