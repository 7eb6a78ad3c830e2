"""What the missing part of a sweep would take, before it is run: FLOPs, hours, memory.

One seed of each cell is trained for some steps here and now, and the analyses look at one
checkpoint; see `training.cost`. Hours are those of cores, or of a GPU, with nothing else to do.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from data.vocabulary import Stage
from interp.grids.grid import for_design
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.sweeps.plans import Sweep, SweepCell
from training.budget import in_bytes, machine_memory
from training.config import RunConfig
from training.cost import SAMPLE_S, SeedCost, measure_seed, product_rate
from training.executors.local import available_cores
from training.material import SeedMaterial
from training.pipeline import SeedTask, initial_model
from training.progress import Show, show_nothing
from training.runs.requests import RunRequest
from training.threads import THREADS, one_thread

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class CellEstimate:
    """What is missing of one run, and what it would take."""

    name: str
    run_id: str
    n_seeds: int
    """Seeds that are not trained."""
    seed: SeedCost
    n_checkpoints: int
    """Checkpoints that the analyses would look at, of all seeds."""
    checkpoint_seconds: float
    """What all analyses take at one of them."""
    threads: int

    @property
    def seconds(self) -> float:
        """Of all its seeds and checkpoints, one after another."""
        return self.n_seeds * self.seed.seconds + self.n_checkpoints * self.checkpoint_seconds


def estimated(
    sweep: Sweep,
    folder: Path,
    seeds: tuple[int, ...],
    *,
    smoke: bool = False,
    sample_s: float = SAMPLE_S,
    show: Show = show_nothing,
) -> list[CellEstimate]:
    """Measures what each cell would take; a null twin takes what its run does.

    Args:
        sweep: Which.
        folder: Where it is or would be; it stays as it is.
        seeds: Of every cell.
        smoke: Whether of the tiny cells.
        sample_s: Seconds of steps for each cell and stage.
        show: Told of the cells.
    """
    requests = sweep.requests(folder, seeds, smoke=smoke)
    found = []
    with show(f"plan of {sweep.name}", unit="cell") as progress:
        for cell, request in zip(sweep.cells, requests, strict=True):
            missing = [len(each.missing_seeds()) for each in _both(cell, request)]
            cost = measure_seed(request.config, request.seeds[0], sample_s=sample_s)
            a_checkpoint = _checkpoint_seconds(sweep, request.config, request.seeds[0])
            found.append(
                CellEstimate(
                    name=_name(cell),
                    run_id=request.config.run_id,
                    n_seeds=sum(missing),
                    seed=cost,
                    n_checkpoints=len(request.seeds) * _n_checkpoints(sweep, request.config),
                    checkpoint_seconds=a_checkpoint * len(missing),
                    threads=request.config.threads,
                )
            )
            progress(len(found), len(requests))
    return found


def _both(cell: SweepCell, request: RunRequest) -> list[RunRequest]:
    """A run, and its null twin if it is to have one."""
    has_twin = cell.rung is not None and cell.rung.has_twin
    return [request, request.null_twin()] if has_twin else [request]


def _name(cell: SweepCell) -> str:
    values = ", ".join(f"{name}={value}" for name, value in cell.arguments.items())
    return " ".join(filter(None, [cell.rung.name if cell.rung else cell.recipe, values]))


def _n_checkpoints(sweep: Sweep, config: RunConfig) -> int:
    """Checkpoints of a seed that the analyses look at."""
    if not sweep.analyses():
        return 0
    if not sweep.along:
        return 1
    stages = [Stage(each) for each in sweep.along]
    return sum(len(config.checkpoint_steps(each, _last_step(config, each))) for each in stages)


def _last_step(config: RunConfig, stage: Stage) -> int:
    rows = config.data.build(0).rows
    shown = sum(row.repeats for row in rows if config.schedule.stage_of(row) is stage)
    return config.stage(stage).epochs * -(-shown // config.stage(stage).batch_size)


def _checkpoint_seconds(sweep: Sweep, config: RunConfig, seed: int) -> float:
    """Seconds of a core that the analyses take at a checkpoint, of a model before training."""
    analyses = sweep.analyses()
    if not analyses:
        return 0.0
    with threadpool_limits(THREADS), one_thread():
        material = SeedMaterial.build(config, seed)
        task = SeedTask(folder=Path(), config=config, seed=seed)
        begin = time.process_time()
        model = HookedModel.from_hf(initial_model(task, material))
        sites = choose_sites(model, None, None)
        for analysis in analyses:
            for_design(analysis, config.design).measure(model, material.rows, sites, seed=seed)
        return time.process_time() - begin


# ---- what is said of it ----------------------------------------------------------------------


def totals(cells: Sequence[CellEstimate], workers: int | None) -> list[dict[str, Any]]:
    """One row for each device: cells at once, FLOPs, hours, and memory.

    Args:
        cells: Of a sweep.
        workers: At once; as many as cores and memory suffice for unless given. A GPU has one.
    """
    rows = []
    for device in dict.fromkeys(cell.seed.device for cell in cells):
        mine = [cell for cell in cells if cell.seed.device == device]
        memory = max(cell.seed.memory for cell in mine)
        threads = max(cell.threads for cell in mine)
        room = min(available_cores() // threads, machine_memory() // memory)
        at_once = workers or (max(1, room) if device == "cpu" else 1)
        at_once = max(1, min(at_once, sum(c.n_seeds + c.n_checkpoints for c in mine)))
        seconds = sum(cell.seconds for cell in mine)
        rows.append(
            {
                "device": device,
                "flops": sum(cell.n_seeds * cell.seed.flops for cell in mine),
                "hours_of_one": seconds / HOUR,
                "workers": at_once,
                "hours": seconds / HOUR / at_once,
                "memory_of_one": memory,
                "memory": memory * at_once,
                "device_memory": max(cell.seed.device_memory for cell in mine),
            }
        )
    return rows


def estimate_json(cells: Sequence[CellEstimate], workers: int | None) -> dict[str, Any]:
    """What `iml sweep --plan --json` prints."""
    each = [{**vars(cell), "seed": vars(cell.seed), "seconds": cell.seconds} for cell in cells]
    return {"cells": each, "devices": totals(cells, workers), "product_rate": product_rate()}


def estimate_text(sweep: Sweep, cells: Sequence[CellEstimate], workers: int | None) -> str:
    """What would be done and what it would take, for a terminal."""
    table = pd.DataFrame(
        {
            "cell": cell.name,
            "seeds": cell.n_seeds,
            "steps a seed": f"{cell.seed.steps:,}",
            "FLOPs a seed": f"{cell.seed.flops:.2g}",
            "seconds a seed": f"{cell.seed.seconds:.3g}",
            "checkpoints": cell.n_checkpoints,
            "seconds a checkpoint": f"{cell.checkpoint_seconds:.3g}",
            "hours": f"{cell.seconds / HOUR:.3g}",
        }
        for cell in cells
    )
    n_seeds = sum(cell.n_seeds for cell in cells)
    n_checkpoints = sum(cell.n_checkpoints for cell in cells)
    title = (
        f"{sweep.name}: {len(cells)} cells, {n_seeds} seeds to train, {n_checkpoints} checkpoints "
        "to look at (fewer if some are measured)"
    )
    lines = [title, table.to_string(index=False)]
    rate = product_rate()
    for each in totals(cells, workers):
        trained = sum(c.n_seeds * c.seed.seconds for c in cells if c.seed.device == each["device"])
        line = (
            f"{each['device']}: {each['flops']:.2g} FLOPs, {each['hours_of_one']:.3g} hours one "
            f"after another, {each['hours']:.3g} hours with {each['workers']} at once; memory "
            f"{in_bytes(each['memory_of_one'])} each, {in_bytes(each['memory'])} in all"
        )
        if each["device_memory"]:
            line += f", {in_bytes(each['device_memory'])} of the GPU's"
        if each["device"] == "cpu" and trained:
            share = each["flops"] / trained / rate
            line += (
                f"; training reaches {share:.1%} of the {rate / 1e9:.0f} GFLOPS of a core's "
                "large products"
            )
        lines.append(line)
    return "\n".join(lines)
