"""How much faster is one batched probe fit than scikit-learn's loop over the same probes?

Run `python benchmarks/bench_probe_solver.py [--quick]`. Two grids of (target, C, fold) over one
matrix: many columns, and the paper's (one target, C = .01, 5 folds). Both sides run in this
process with one thread, in turn; medians are shown. The accuracies are compared first with
scikit-learn at tolerance 1e-8, and no ratio is printed where they differ.

Both sides of the main ratio start from the raw features and score the held-out examples:
scikit-learn's with a pipeline of StandardScaler and LogisticRegression for every cell, as people
write it. The ratio to its fits alone, on folds standardised beforehand, stands beside it.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from interp.probes.solver import fit_logistic, predict

N_FOLDS = 5
GATE = 0.001
"""Largest mean difference in accuracy from scikit-learn at tolerance 1e-8."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination of target, inverse penalty and fold, in this order."""

    name: str
    features: np.ndarray
    targets: np.ndarray
    fold: np.ndarray
    inverse_penalties: tuple[float, ...]

    @property
    def cells(self) -> list[tuple[int, float, int]]:
        """Target, inverse penalty and held-out fold of every column."""
        return [
            (target, penalty, fold)
            for target in range(self.targets.shape[1])
            for penalty in self.inverse_penalties
            for fold in range(N_FOLDS)
        ]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call."""

    wall: float
    cpu: float


def make_grids(n_examples: int, n_features: int) -> list[Grid]:
    """Correlated features like a residual stream's, with five faintly readable balanced labels."""
    rng = np.random.default_rng(0)
    labels = np.stack([rng.permutation(np.arange(n_examples) % 2 == 0) for _ in range(5)], axis=1)
    rotation = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    spectrum = 3 * np.arange(1, n_features + 1) ** -0.6
    features = rng.normal(size=(n_examples, n_features)) * spectrum @ rotation
    features += 0.5 * rng.normal(size=n_features)
    for target in range(5):
        strength = rng.uniform(0, 1)
        direction = strength * rng.normal(size=n_features) / n_features**0.5
        features += np.outer(labels[:, target] - 0.5, direction)
    features[:, 3] *= 8
    fold = rng.permutation(n_examples) % N_FOLDS
    many = Grid(
        name="5 targets x 4 C x 5 folds",
        features=features,
        targets=labels,
        fold=fold,
        inverse_penalties=(0.001, 0.01, 0.1, 1.0),
    )
    paper = Grid(
        name="paper's grid: 1 target x C=.01 x 5 folds",
        features=features,
        targets=labels[:, :1],
        fold=fold,
        inverse_penalties=(0.01,),
    )
    return [many, paper]


def standardized_folds(grid: Grid) -> list[np.ndarray]:
    """All examples, standardised by the training examples of each fold."""
    return [
        np.asarray(StandardScaler().fit(grid.features[grid.fold != fold]).transform(grid.features))
        for fold in range(N_FOLDS)
    ]


def loop_accuracies(grid: Grid) -> np.ndarray:
    """The loop that people write: one pipeline and one score per cell."""
    accuracies = []
    for target, penalty, fold in grid.cells:
        train, labels = grid.fold != fold, grid.targets[:, target]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000))
        model.fit(grid.features[train], labels[train])
        accuracies.append(model.score(grid.features[~train], labels[~train]))
    return np.array(accuracies)


def fits_accuracies(
    grid: Grid, scaled: list[np.ndarray], *, tolerance: float = 1e-4, max_iterations: int = 1000
) -> np.ndarray:
    """The same on folds that were standardised beforehand."""
    accuracies = []
    for target, penalty, fold in grid.cells:
        train, labels = grid.fold != fold, grid.targets[:, target]
        model = LogisticRegression(C=penalty, tol=tolerance, max_iter=max_iterations)
        model.fit(scaled[fold][train], labels[train])
        accuracies.append(model.score(scaled[fold][~train], labels[~train]))
    return np.array(accuracies)


def solver_accuracies(grid: Grid) -> np.ndarray:
    """All cells in one call, from the raw features."""
    labels = grid.targets[:, [target for target, _, _ in grid.cells]]
    train = np.stack([grid.fold != fold for _, _, fold in grid.cells], axis=1)
    fit = fit_logistic(
        grid.features,
        labels,
        train=train,
        inverse_penalty=np.array([penalty for _, penalty, _ in grid.cells]),
    )
    correct = predict(fit, grid.features) == labels
    return (correct & ~train).sum(0) / (~train).sum(0)


def timed(function: Callable[[], object]) -> Timing:
    """Seconds that a call takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Timing(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def median(timings: list[Timing]) -> Timing:
    """Median of each clock."""
    return Timing(
        wall=float(np.median([timing.wall for timing in timings])),
        cpu=float(np.median([timing.cpu for timing in timings])),
    )


def check_accuracies(grid: Grid, scaled: list[np.ndarray]) -> bool:
    """Print the differences in accuracy and say whether they pass the gate."""
    exact = fits_accuracies(grid, scaled, tolerance=1e-8, max_iterations=100_000)
    sides = {
        "solver": solver_accuracies(grid),
        "scikit-learn at its default": loop_accuracies(grid),
    }
    for name, accuracies in sides.items():
        difference = np.abs(accuracies - exact)
        print(
            f"  |accuracy - scikit-learn at tol 1e-8|, {name}: "
            f"mean {difference.mean():.5f}, max {difference.max():.4f}"
        )
    return bool(np.abs(sides["solver"] - exact).mean() <= GATE)


def run_grid(grid: Grid, n_repeats: int) -> bool:
    """Gate, then interleaved timings; returns whether the gate was passed."""
    print(f"{grid.name}, {grid.features.shape[0]} examples x {grid.features.shape[1]} features")
    scaled = standardized_folds(grid)
    if not check_accuracies(grid, scaled):
        print("  accuracies differ: no ratio")
        return False
    loops, fits, solvers = [], [], []
    for _ in range(n_repeats):
        loops.append(timed(lambda: loop_accuracies(grid)))
        solvers.append(timed(lambda: solver_accuracies(grid)))
        fits.append(timed(lambda: fits_accuracies(grid, scaled)))
    loop, fit, solver = median(loops), median(fits), median(solvers)
    for name, timing in (
        ("scikit-learn's loop", loop),
        ("scikit-learn's fits, folds given", fit),
        ("solver", solver),
    ):
        print(f"  {name:<32} cpu {timing.cpu:8.4f} s   wall {timing.wall:8.4f} s")
    print(
        f"  ratio to scikit-learn's loop: cpu {loop.cpu / solver.cpu:.1f}, "
        f"wall {loop.wall / solver.wall:.1f}; to its fits, folds given: "
        f"cpu {fit.cpu / solver.cpu:.1f}, wall {fit.wall / solver.wall:.1f}"
    )
    return True


def describe_machine() -> str:
    """Processor, libraries and their versions."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    blas = {
        f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')})"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return (
        f"{model or platform.processor()}, {platform.system()}, one thread; "
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"scikit-learn {sklearn.__version__}, {', '.join(sorted(blas))}"
    )


def main() -> int:
    """Run both grids; exit code 1 where an accuracy gate is failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    arguments = parser.parse_args()
    n_examples, n_features, n_repeats = (600, 64, 3) if arguments.quick else (2000, 512, 5)
    print(describe_machine())
    with threadpool_limits(limits=1):
        passed = [run_grid(grid, n_repeats) for grid in make_grids(n_examples, n_features)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
