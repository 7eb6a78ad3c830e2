"""Is a property of an alias linearly readable, where, how strongly, and what could chance read?

For every cell (target, site, layer, role, probe) of a seed's checkpoint:

    accuracy          on aliases that the probe never saw, nor any other of their entities (see
                      `divisions`), on questions that were never trained
    p_value           share of label permutations over the aliases of a fold, each through the
                      whole pipeline, that reach the accuracy; `null_accuracy` is their mean
    n_train, n_test   aliases of a fold that train and test, `n_folds` folds in `n_divisions`
                      divisions; `n_read` aliases are read in all
    twin_accuracy     of `tag`: of the same aliases with the same labels in the null twin, whose
                      tags were shuffled; what is read there is truth or anything else but the tag
    seen_accuracy     folds split by question instead, so that each alias is in training and test
    control_accuracy  the same split with a random label for each alias (Hewitt and Liang's control
                      task): what a probe reaches by telling aliases apart
    selectivity       seen_accuracy - control_accuracy

The true null is the target `phantom_tag`; the positive control is `planted_tag`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from data.design import Design
from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.hooked.activations import Activations, collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.probes.cross_validation import (
    INVERSE_PENALTIES,
    QUICK_INVERSE_PENALTY,
    held_out_accuracy,
)
from interp.probes.held_out import N_PERMUTATIONS, read_divisions
from interp.probes.kinds import PROBES
from interp.probes.planted import CellViews, plant
from interp.probes.solver import fit_logistic, fit_multinomial
from interp.probes.summary import CELL, summarize_probes
from interp.probes.targets import PHANTOM, PLANTED, ProbeTask, find_target, make_task
from training.designs import design_of_rows
from training.seeds import derive_seed

N_CONTROL_LABELS = 5
"""Random labellings that the control accuracy is a mean over."""


@dataclass(frozen=True, kw_only=True)
class ProbeAnalysis:
    """What is probed at every checkpoint of a grid, and how."""

    targets: tuple[str, ...] = ()
    """Names; the first two of the design's own unless given, or the true null if it has none."""
    roles: tuple[TokenRole, ...] = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    quick: bool = False
    """Fix C at `QUICK_INVERSE_PENALTY` instead of choosing it inside the training folds."""
    n_permutations: int = N_PERMUTATIONS

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "probes"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return CELL

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Probes one checkpoint; see `probe_checkpoint`."""
        return probe_checkpoint(model, rows, sites, self, seed=seed)

    def beside_twin(
        self,
        measured: Measured,
        rows: Sequence[TokenizedRow],
        twin: HookedModel,
        twin_rows: Sequence[TokenizedRow],
        sites: Sequence[Site],
        *,
        seed: int,
    ) -> Measured:
        """Adds what the null twin reads; see `read_twin`."""
        design = design_of_rows(rows)
        of_tags = [
            name for name in self.of_design(design).targets if find_target(design, name).is_of_tags
        ]
        if not of_tags:
            return measured
        read = pd.concat(
            [read_twin(rows, twin, twin_rows, sites, self, name, seed=seed) for name in of_tags]
        )
        table = measured.table.drop(columns="twin_accuracy").merge(read, on=CELL, how="left")
        return replace(measured, table=table)

    def of_design(self, design: Design) -> "ProbeAnalysis":
        """See `interp.grids.grid.OfDesign`."""
        first = tuple(target.name for target in design.targets[:2] or (PHANTOM,))
        return self if self.targets else replace(self, targets=first)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.probes.summary`."""
        return summarize_probes(table)

    @property
    def inverse_penalties(self) -> tuple[float, ...]:
        """The choices of C."""
        return (QUICK_INVERSE_PENALTY,) if self.quick else INVERSE_PENALTIES

    @property
    def further_settings(self) -> dict[str, object]:
        """See `interp.grids.settings`."""
        return {"C": self.inverse_penalties}


def probe_checkpoint(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    sites: Sequence[Site],
    probing: ProbeAnalysis,
    *,
    seed: int,
) -> Measured:
    """Every cell of one checkpoint, and the positive control at the last site and role.

    The vectors are the directions of logistic probes fitted to all aliases, in the space of the raw
    activations, named `target/site.layer/role/logistic`; of several classes, one row each.

    Args:
        model: Read only.
        rows: The rows of the seed.
        sites: Where to read.
        probing: What to read, and how.
        seed: Fixes folds, permutations and controls; the same in every process.
    """
    targets = probing.of_design(design_of_rows(rows)).targets
    tasks = [make_task(rows, target, seed=seed) for target in targets]
    planted = make_task(rows, PLANTED.name, seed=seed)
    needed = {
        row.row.row_id: row for task in (*tasks, planted) for row in (*task.rows, *task.all_rows)
    }
    activations = collect_activations(
        model, list(needed.values()), sites=sites, roles=probing.roles
    )
    index = {row_id: i for i, row_id in enumerate(needed)}
    records: list[dict[str, object]] = []
    directions: dict[str, np.ndarray] = {}
    for task, site, role in product(tasks, sites, probing.roles):
        views = _views(task, activations, index, site, role)
        records += _at(task, site, role, probe_cell(task, views, probing, seed))
        name = f"{task.target}/{site.name}.{site.layer}/{role}/logistic"
        directions[name] = probe_direction(
            views.untrained[task.balanced], task.labels[task.balanced], task.n_classes
        )
    site, role = sites[-1], probing.roles[-1]
    views = plant(planted, _views(planted, activations, index, site, role), seed)
    records += _at(planted, site, role, probe_cell(planted, views, probing, seed))
    table = pd.DataFrame(records).assign(twin_accuracy=np.nan)
    return Measured(table=table, vectors=directions)


def read_twin(
    rows: Sequence[TokenizedRow],
    twin: HookedModel,
    twin_rows: Sequence[TokenizedRow],
    sites: Sequence[Site],
    probing: ProbeAnalysis,
    target: str,
    *,
    seed: int,
) -> pd.DataFrame:
    """What is read of the run's own labels of tags in the null twin, in the same folds.

    The labels say which tag an alias was defined with in the run. In the twin the tags of Stage 1
    are shuffled, so that they say how far its definition is true, and nothing of a tag.

    Args:
        rows: The rows of the run's seed.
        twin: The twin's checkpoint; read only.
        twin_rows: The rows of the same seed of the twin.
        sites: As in `probe_checkpoint`.
        probing: As in `probe_checkpoint`.
        target: A target of tags.
        seed: As in `probe_checkpoint`.

    Returns:
        Columns `CELL` and `twin_accuracy`.
    """
    task = make_task(rows, target, seed=seed)
    same = {row.row.row_id: row for row in twin_rows}
    asked = [same[row.row.row_id] for row in task.rows]
    activations = collect_activations(twin, asked, sites=sites, roles=probing.roles)
    records = []
    for site, role, probe in product(sites, probing.roles, PROBES):
        reading = read_divisions(
            activations.at(site, role),
            task.labels,
            task.divisions,
            units=task.units,
            probe=probe,
            n_permutations=0,
            inverse_penalties=probing.inverse_penalties,
            rng=np.random.default_rng(0),
        )
        cell: dict[str, object] = {"probe": probe, "twin_accuracy": reading.accuracy}
        records += _at(task, site, role, [cell])
    return pd.DataFrame(records)


def probe_direction(
    features: Float[np.ndarray, "example width"],
    labels: Int[np.ndarray, " example"],
    n_classes: int,
) -> Float[np.ndarray, "*class width"]:
    """The logistic probe's direction in the space of raw activations, fitted to all examples."""
    train = np.ones((len(labels), 1), dtype=bool)
    penalty = np.array([QUICK_INVERSE_PENALTY])
    if n_classes == 2:
        fit = fit_logistic(features, labels[:, None] == 1, train=train, inverse_penalty=penalty)
        return fit.weights[0] / fit.scale[0]
    fit = fit_multinomial(
        features, labels[:, None], train=train, inverse_penalty=penalty, n_classes=n_classes
    )
    return fit.weights[0] / fit.scale[0]


def _at(
    task: ProbeTask, site: Site, role: TokenRole, cells: list[dict[str, object]]
) -> list[dict[str, object]]:
    """The cells' records, headed by where they were read."""
    where = {"target": task.target, "site": site.name, "layer": site.layer}
    return [where | {"role": str(role)} | cell for cell in cells]


def probe_cell(
    task: ProbeTask, views: CellViews, probing: ProbeAnalysis, seed: int
) -> list[dict[str, object]]:
    """One record for each kind of probe; see the module's docstring for what they hold."""
    records: list[dict[str, object]] = []
    labels = task.labels[task.balanced]
    for probe in PROBES:
        # The same permutations and control labels for every cell of a target.
        rng = np.random.default_rng(derive_seed(seed, f"probe {task.target}"))
        reading = read_divisions(
            views.untrained,
            task.labels,
            task.divisions,
            units=task.units,
            probe=probe,
            n_permutations=probing.n_permutations,
            inverse_penalties=probing.inverse_penalties,
            rng=rng,
        )
        controls = np.zeros((len(task.labels), 1 + N_CONTROL_LABELS), dtype=int)
        columns = [labels, *(rng.permutation(labels) for _ in range(N_CONTROL_LABELS))]
        controls[task.balanced] = np.stack(columns, axis=1)
        seen, *control = held_out_accuracy(
            views.all,
            controls[task.all_aliases],
            task.all_questions,
            probe=probe,
            n_classes=task.n_classes,
            inverse_penalties=(QUICK_INVERSE_PENALTY,),
        )
        records.append(
            {"probe": probe}
            | asdict(reading)
            | {
                "seen_accuracy": seen,
                "control_accuracy": np.mean(control),
                "selectivity": seen - np.mean(control),
                "chance": np.bincount(labels).max() / len(labels),
                "width": views.untrained.shape[1],
            }
        )
    return records


def _views(
    task: ProbeTask, activations: Activations, index: dict[str, int], site: Site, role: TokenRole
) -> CellViews:
    values = activations.at(site, role)
    return CellViews(
        untrained=values[[index[row.row.row_id] for row in task.rows]],
        all=values[[index[row.row.row_id] for row in task.all_rows]],
    )
