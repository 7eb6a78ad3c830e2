"""What a sweep adds to its cells' own time, and how near a plan comes to what is then measured.

    python benchmarks/bench_sweeps.py                     # overhead, local and on Ray
    python benchmarks/bench_sweeps.py --plans             # plans against three runs

Overhead: 200 cells that sleep a stated time, with and without the sweep, in one process. Without
it they sleep in so many threads as there are workers. Cells keep what they find as those of a sweep
do. What is added to a cell does not depend on its length, so it is told for cells of 10 s, too.
Starting the workers, once for all cells, is told apart.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from claims import Claim, write_claims

from interp.grids.kept import keep
from training.executors.executor import Cell, Executor, Persistent, Tally
from training.executors.local import EXECUTOR as LOCAL
from training.executors.ray import Ray
from training.recipes import find_recipe

ROWS = 200  # of the table that a cell keeps


def nap(task: tuple[Path, float], report: Callable[[int], None]) -> Path:
    """Sleeps, then keeps a table as a checkpoint of a sweep does."""
    place, seconds = task
    time.sleep(seconds)
    keep(place, pd.DataFrame({"accuracy": np.linspace(0, 1, ROWS)}), {}, ())
    report(1)
    return place


def bare(seconds: float, n_cells: int, workers: int) -> float:
    """Seconds that the cells take by themselves."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(time.sleep, [seconds] * n_cells))
    return time.perf_counter() - begin


def swept(executor: Executor, seconds: float, n_cells: int, workers: int) -> tuple[float, float]:
    """Seconds from the first finished cell on, for all others; and seconds until the first one."""
    first: list[float] = []

    def watch(tally: Tally) -> None:
        if tally.done and not first:
            first.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        cells = [
            Cell(name=f"cell {i}", task=(Path(folder) / str(i), seconds)) for i in range(n_cells)
        ]
        begin = time.perf_counter()
        Persistent(executor=executor, retries=2, watch=watch).run(nap, cells, workers=workers)
        end = time.perf_counter()
    return end - first[0], first[0] - begin


def overhead(seconds: float, n_cells: int, workers: int, sides: dict[str, Executor]) -> list[Claim]:
    """Cells with and without the sweep: those after the first ones, when all workers are there."""
    claims = []
    for name, executor in sides.items():
        alone = bare(seconds, n_cells - workers, workers)
        rest, start = swept(executor, seconds, n_cells, workers)
        a_cell = (rest - alone) * workers / (n_cells - workers)
        reached = (
            f"{rest / alone - 1:.1%}; {1000 * a_cell:.0f} ms a cell, {a_cell / 10:.1%} of cells of "
            f"10 s; {start - seconds:.1f} s to start"
        )
        claims.append(
            Claim(
                claim=f"sweep overhead, {name}: seconds of {n_cells} cells of {seconds:g} s",
                ours=rest,
                theirs=alone,
                asked=f"at most {ASKED[name]} of cells of 10 s",
                reached=reached,
            )
        )
    return claims


ASKED = {"local": "3%", "ray": "5%"}
PLANNED: Sequence[tuple[str, dict[str, int]]] = (
    ("alias-toy", {"epochs_stage1": 6, "epochs_stage2": 12}),
    ("alias-toy", {"epochs_stage1": 4, "epochs_stage2": 8, "d_model": 128, "heads": 8}),
    ("source-toy", {}),
)


def plans() -> list[Claim]:
    """What plans say of three runs, and what one seed of each then takes; CPU seconds."""
    from training.cost import measure_seed
    from training.pipeline import SeedTask, train_seed

    claims = []
    for recipe, arguments in PLANNED:
        config = find_recipe(recipe)(**arguments)
        said = measure_seed(config, 3)
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            train_seed(SeedTask(folder=Path(folder) / "run", config=config, seed=3))
            took = time.process_time() - begin
        words = ", ".join(f"{name}={value}" for name, value in arguments.items())
        claims.append(
            Claim(
                claim=f"CPU seconds of a seed, planned and measured: {recipe} {words}".strip(),
                ours=said.seconds,
                theirs=took,
                asked="within 30%",
                reached=f"{said.seconds / took - 1:+.1%}",
            )
        )
    return claims


def main() -> None:
    """Measures, prints a table, and writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", action="store_true", help="plans in place of overhead")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a cell's own time")
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--workers", type=int, default=8, help="sleeping cells share cores")
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    arguments = parser.parse_args()
    claims = plans() if arguments.plans else overhead_of(arguments)
    print(pd.DataFrame(map(vars, claims)).to_string(index=False))
    if arguments.json:
        write_claims(arguments.json, claims, "torch", "ray")


def overhead_of(arguments: argparse.Namespace) -> list[Claim]:
    """The overhead as a command line asks for it."""
    sides: dict[str, Executor] = {"local": LOCAL}
    if not arguments.no_ray:
        import ray

        quiet = {"include_dashboard": False, "log_to_driver": False}
        ray.init("local", num_cpus=arguments.workers, object_store_memory=200_000_000, **quiet)
        sides["ray"] = Ray()
    return overhead(arguments.seconds, arguments.cells, arguments.workers, sides)


if __name__ == "__main__":
    main()
