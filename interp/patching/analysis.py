"""Which activation carries the answer? Activation patching over layer, site, head and role.

A cell replaces one activation of a base pass by that of a donor pass (denoising: clean into
corrupted, which asks what suffices; noising: corrupted into clean, which asks what is needed):

    effect        (patched - base) / (donor - base), of the metric's means over pairs
    control       the same with another pair's donor, which shares neither what is swapped nor the
                  answers; half of a logit difference goes with any third answer
    attribution   its linear estimate: (donor - base) times the gradient at the base
    gap           donor - base, what the shares are of, in units of the metric

Of tag pairs every donor has the other tag, which may do nothing: a share of nothing would mean
nothing. So all of these are in units of the metric, positive towards the clean prompt's answer. The
control is another definition that carries the base's own tag, beside `other_tag`, the same one with
the other tag: their difference is what the tag does, whatever the alias, and is what is tested.

Metrics: `logit_diff` (clean answer's first token minus the corrupted one's), `answer_log_prob`
(nats, summed over the clean answer's tokens), `probability`. Cells are computed exactly, many in
one pass, from the edited layer and position on (`interp.patching.unrolled`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import InputError
from data.pairs import PairKind, PromptPair, make_pairs
from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.hooked.activations import check_rows
from interp.hooked.addresses import HEAD_SITES, Site
from interp.hooked.model import HookedModel
from interp.patching.attribution import attribute, ending_logits
from interp.patching.cells import Cells, grid_cells, patched_metrics
from interp.patching.pair_batches import (
    CONFIDENT,
    EVERYWHERE,
    NoConfidentPairError,
    PairBatch,
    PatchMetric,
    batch_pairs,
    confident_pairs,
    prompt_roles,
    read_metrics,
)
from interp.patching.summary import CELL, summarize_patching
from interp.patching.unrolled import Trace, UnrolledModel

PATCHED_SITES = ("resid_pre", "attn_out", "mlp_out", "z")
"""What is patched unless said: the stream, and everything that writes into it."""


class Direction(StrEnum):
    """Which pass is edited: the corrupted one, towards the clean answer, or the clean one."""

    DENOISE = "denoise"
    NOISE = "noise"


def patch_pairs(
    model: HookedModel,
    pairs: Sequence[PromptPair],
    *,
    sites: Sequence[Site] | None = None,
    roles: Sequence[str] | None = None,
    directions: Sequence[Direction] = tuple(Direction),
    metrics: Sequence[PatchMetric] = (PatchMetric.LOGIT_DIFF,),
    control: bool = True,
) -> pd.DataFrame:
    """The whole grid for pairs of one kind and subset.

    Columns `pair_kind, subset, site, layer, head, role, direction, metric, effect, attribution,
    control, gap, n`, of tag pairs also `other_tag`; `head` is -1 for a whole site, `n` counts
    pairs. Without `control`, or with a single pair, its column is NaN.

    Args:
        model: Read only.
        pairs: See `data.pairs`; confidence is the caller's concern (`confident_pairs`).
        sites: With a head, or for a head site without one, every head of it. All of
            `PATCHED_SITES` unless given.
        roles: Token roles, and `all` for every position at once; all that the prompts have.
        directions: Denoising, noising or both.
        metrics: What to read; they cost next to nothing each.
        control: Whether to run the control, which costs as much as the grid.

    Raises:
        InputError: no pair, unequal prompts, a missing role, a layer or head out of range.
    """
    if sites is None:
        sites = [Site(name, i) for name in PATCHED_SITES for i in range(model.n_layers)]
    if roles is None:
        roles = (*prompt_roles(pairs), EVERYWHERE)
    batches = batch_pairs(pairs, roles)
    unrolled = UnrolledModel(model)
    check_rows(model, [row for pair in pairs for row in (pair.clean, pair.corrupted)])
    cells = grid_cells(unrolled, sites, len(roles))
    records = []
    for direction in directions:
        measured = [
            _measure(unrolled, batch, cells, direction, metrics, control) for batch in batches
        ]
        joined = {
            name: np.concatenate([part[name] for part in measured], -1) for name in measured[0]
        }
        records += _records(joined, cells, roles, direction, metrics, pairs[0].kind)
    table = pd.DataFrame(records)
    table.insert(0, "pair_kind", str(pairs[0].kind))
    table.insert(1, "subset", pairs[0].subset)
    if pairs[0].kind is not PairKind.TAG:
        table = table.drop(columns="other_tag")
    return table.assign(n=len(pairs))


def _measure(
    unrolled: UnrolledModel,
    batch: PairBatch,
    cells: Sequence[Cells],
    direction: Direction,
    metrics: Sequence[PatchMetric],
    control: bool,
) -> dict[str, np.ndarray]:
    """Metrics of each pair: of both passes `[metric, pair]`, of cells `[cell, metric, pair]`."""
    tokens = [batch.corrupted, batch.clean]
    if direction is Direction.NOISE:
        tokens.reverse()
    with torch.no_grad():
        donor = unrolled.trace(tokens[1])
        donor_metrics = read_metrics(ending_logits(unrolled, donor, batch), batch, metrics)
    base, base_metrics, attributed = attribute(unrolled, batch, cells, tokens[0], donor, metrics)
    measured = {"base": base_metrics, "donor": donor_metrics, "attribution": attributed}
    measured["patched"] = _patched(unrolled, batch, cells, base, donor, metrics)
    nothing = torch.full_like(measured["patched"], torch.nan)
    measured |= {"control": nothing, "other_tag": nothing}
    if control and batch.others is not None:
        donors = {"control": donor}
        if batch.kind is PairKind.TAG:
            donors = {"control": base, "other_tag": donor}
        for name, trace in donors.items():
            others = trace.of_rows(batch.others)
            measured[name] = _patched(unrolled, batch, cells, base, others, metrics)
    return {name: values.double().cpu().numpy() for name, values in measured.items()}


def _patched(
    unrolled: UnrolledModel,
    batch: PairBatch,
    cells: Sequence[Cells],
    base: Trace,
    donor: Trace,
    metrics: Sequence[PatchMetric],
) -> Float[Tensor, "cell metric pair"]:
    parts = [
        patched_metrics(unrolled, batch, each, base=base, donor=donor, metrics=metrics).flatten(
            0, 1
        )
        for each in cells
    ]
    return torch.cat(parts)


def _records(
    measured: dict[str, np.ndarray],
    cells: Sequence[Cells],
    roles: Sequence[str],
    direction: Direction,
    metrics: Sequence[PatchMetric],
    kind: str,
) -> list[dict[str, object]]:
    """Rows of the table: effects are ratios of means over pairs, so that no pair weighs much."""
    gap = (measured["donor"] - measured["base"]).mean(-1)
    if kind is PairKind.TAG:
        gap = gap * _towards_clean(direction)
    elif not gap.all():
        raise InputError("a metric is the same for both prompts of the pairs; choose other pairs")
    changes = {
        column: _changes(measured, name, kind, direction)
        for column, name in (
            ("effect", "patched"),
            ("attribution", "attribution"),
            ("control", "control"),
            ("other_tag", "other_tag"),
        )
    }
    places = [(each.site, head, role) for each in cells for role in roles for head in each.heads]
    return [
        {
            "site": site.name,
            "layer": site.layer,
            "head": -1 if head is None else head,
            "role": str(role),
            "direction": str(direction),
            "metric": str(metric),
            **{name: values[i, j] for name, values in changes.items()},
            "gap": gap[j],
        }
        for i, (site, head, role) in enumerate(places)
        for j, metric in enumerate(metrics)
    ]


def _changes(
    measured: dict[str, np.ndarray], name: str, kind: str, direction: Direction
) -> Float[np.ndarray, "cell metric"]:
    """What one reading changes of the base, as a share of what the donor does; see the module.

    A pair that is alone of its length has no other's donor: the control is of all the others.
    """
    known = ~np.isnan(measured[name]).any((0, 1))
    of = {key: values[..., known] for key, values in measured.items()}
    if not known.any():
        return np.full(measured[name].shape[:-1], np.nan)
    change = of[name] if name == "attribution" else of[name] - of["base"]
    if kind is PairKind.TAG:
        return change.mean(-1) * _towards_clean(direction)
    return change.mean(-1) / (of["donor"] - of["base"]).mean(-1)


def _towards_clean(direction: Direction) -> int:
    return 1 if direction is Direction.DENOISE else -1


@dataclass(frozen=True, kw_only=True)
class PatchAnalysis:
    """What is patched at every checkpoint of a grid."""

    subsets: tuple[str, ...]
    """Of the clean prompts; each makes a grid of its own."""
    kinds: tuple[PairKind, ...] = (PairKind.ALIAS,)
    roles: tuple[str, ...] | None = None
    heads: tuple[int, ...] | None = None
    directions: tuple[Direction, ...] = tuple(Direction)
    metrics: tuple[PatchMetric, ...] = (PatchMetric.LOGIT_DIFF, PatchMetric.ANSWER_LOG_PROB)
    limit: int = 100
    """Most pairs of a kind and subset."""
    confidence: float = CONFIDENT

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "patching"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return CELL

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Patches one checkpoint: `patch_pairs` of each kind and subset, and the share dropped.

        A kind and subset of which the model answers no pair with confidence has no rows.

        Raises:
            InputError: a subset has no such pairs, or the model answers none of any subset.
        """
        cells = [each for site in sites for each in self._with_heads(site)]
        tables, refusals, unanswered = [], [], []
        for kind in self.kinds:
            for subset in self.subsets:
                pairs = make_pairs(rows, kind, subset=subset, limit=self.limit, seed=seed)
                try:
                    kept, dropped = confident_pairs(model, pairs, least=self.confidence)
                except NoConfidentPairError as error:
                    refusals.append(error)
                    unanswered.append({"pair_kind": str(kind), "subset": subset})
                    continue
                table = patch_pairs(
                    model,
                    kept,
                    sites=cells,
                    roles=self.roles,
                    directions=self.directions,
                    metrics=self.metrics,
                )
                tables.append(table.assign(dropped=dropped))
        if not tables:
            raise InputError(f"seed {seed}: {refusals[0]}")
        return Measured(table=pd.concat(tables, ignore_index=True), withdrawn=tuple(unanswered))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `summarize_patching`."""
        return summarize_patching(table)

    def _with_heads(self, site: Site) -> list[Site]:
        if self.heads is None or site.name not in HEAD_SITES:
            return [site]
        return [Site(site.name, site.layer, head) for head in self.heads]
