"""Does the answer follow a direction that a probe has found?

A direction is added to a site's activations at chosen places. The dose counts standard deviations
of the activations along the direction, so that 1 is as much as alias differs from alias; the
control adds random directions of the same length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import DamagedError, InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site
from interp.interventions.base import (
    Hook,
    Place,
    answer_table,
    editing,
    read_at,
    spots_of,
)
from training.runs.publication import exists, read
from training.runs.run import Run
from training.seeds import derive_seed

DOSES = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A vector added at a site and some places; an `interp.interventions.base.Intervention`."""

    site: Site
    places: tuple[Place, ...]
    vector: Float[np.ndarray, " width"]

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `Intervention`."""
        vector = torch.from_numpy(self.vector)

        def add(vectors: Tensor, spots: Tensor) -> Tensor:
            return vectors + vector.to(vectors).reshape(vectors.shape[1:])

        return [editing(self.site, spots_of(rows, self.places), add)]


def dose_response(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    site: Site,
    role: TokenRole,
    *,
    direction: Float[np.ndarray, " width"],
    doses: Sequence[float] = DOSES,
    n_random: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """How answers change with the dose: a row for each subset, metric and dose.

    Columns `subset site layer role metric dose deviation before after control n`; `deviation` is
    the rows' standard deviation along the direction, `control` the mean over random directions.

    Args:
        model: Read only.
        rows: Questions that have the role.
        site: Where to steer; heads side by side unless it has a head.
        role: Which token to steer.
        direction: Any length but 0; positive doses go its way.
        doses: In standard deviations.
        n_random: How many random directions the control is a mean over.
        seed: Draws them.

    Raises:
        InputError: the direction is zero or of another width, or the role is missing.
    """
    check_site(model, site)
    features = read_at(model, rows, site, role).astype(np.float64)
    length = np.linalg.norm(direction)
    if direction.shape != features.shape[1:] or not length > 0:
        raise InputError(
            f"a direction of shape {list(direction.shape)} and length {length:g} cannot steer "
            f"{site.hook}, of width {features.shape[1]}; give one of that width that is not zero"
        )
    unit = direction / length
    deviation = float((features @ unit).std())
    rng = np.random.default_rng(derive_seed(seed, f"steering {site} {role}"))
    others = rng.normal(size=(n_random, len(unit)))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    before = _means(model, rows, None)
    tables = []
    for dose in doses:
        steered = [
            _means(model, rows, Steering(site=site, places=(role,), vector=dose * deviation * way))
            for way in (unit, *others)
        ]
        table = before.assign(dose=dose, deviation=deviation, after=steered[0]["before"])
        tables.append(table.assign(control=np.mean([each["before"] for each in steered[1:]], 0)))
    result = pd.concat(tables, ignore_index=True)
    result = result.assign(site=site.name, layer=site.layer, role=str(role))
    where = ["subset", "site", "layer", "role", "metric", "dose", "deviation"]
    return result.reindex(columns=[*where, "before", "after", "control", "n"])


def mass_mean_direction(
    features: Float[np.ndarray, "example width"], labels: Int[np.ndarray, " example"]
) -> Float[np.ndarray, " width"]:
    """From the mean of class 0 to that of class 1.

    Raises:
        InputError: one of the classes is empty.
    """
    if set(np.unique(labels)) != {0, 1}:
        raise InputError("a mass-mean direction leads from class 0 to class 1; give both")
    precise = features.astype(np.float64)
    return precise[labels == 1].mean(0) - precise[labels == 0].mean(0)


def saved_direction(
    run: Run,
    site: Site,
    role: TokenRole,
    *,
    target: str = "tag",
    seed: int,
    stage: int,
    step: int | None = None,
) -> Float[np.ndarray, " width"]:
    """The logistic probe's direction that `iml probe` saved; of the last step unless one is given.

    Raises:
        InputError: this cell was not probed, or its target has several directions.
        DamagedError: the file of directions is unreadable.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if step is None:
        step = run.steps(seed, stage)[-1]
    path = run.folder / "probes_vectors.safetensors"
    name = f"seed-{seed}/stage-{stage}/step-{step}/"
    name += f"{target}/{site.name}.{site.layer}/{role}/logistic"
    if not exists(path):
        raise InputError(f"{run.folder} has no probes; run iml probe first")
    try:
        found = load(read(path)).get(name)
    except SafetensorError as error:
        raise DamagedError(f"{path} is unreadable ({error}); repeat iml probe") from error
    if found is None or found.ndim != 1:
        raise InputError(f"{path} has no single direction {name}; run iml probe there first")
    return found.astype(np.float64)


def _means(
    model: HookedModel, rows: Sequence[TokenizedRow], steering: Steering | None
) -> pd.DataFrame:
    """Mean of each metric by subset."""
    table = answer_table(model, rows, [] if steering is None else [steering])
    long = table.melt("subset", list(ANSWER_METRICS), var_name="metric")
    groups = long.groupby(["subset", "metric"], sort=True)["value"]
    return groups.agg(before="mean", n="size").reset_index()
