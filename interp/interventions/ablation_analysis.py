"""Which heads, MLPs and routes of attention do the answers of a run need?

Each component of the chosen sites is ablated at all tokens, and each route cut, by layer and in all
layers at once; an effect is the mean over a subset's rows minus the mean without intervention.

    kind `question`     evaluated questions; components and the routes that they have
    kind `definition`   trained definitions, recited; routes only

The control of a route cuts as many other tokens from the same destination, drawn at random, and is
a mean over draws; that of a component is the ablation of nothing, 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role, Split
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import HEAD_SITES, Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site, n_heads_at
from interp.interventions.ablation import Ablation, AblationKind, Reference
from interp.interventions.base import Intervention, answer_table
from interp.interventions.knock_outs import KnockOut, Route
from training.seeds import derive_seed

ABLATED_SITES = ("z", "mlp_out")
"""Every head and every MLP: what to choose unless a person chooses otherwise."""
COORDINATES = ["kind", "subset", "intervention", "site", "layer", "head", "route", "metric"]
QUESTION, DEFINITION = "question", "definition"
KNOCK_OUT = "knock_out"
ALL = -1
"""In the columns `layer` and `head`: all of them together."""
QUESTION_ROUTES = (Route(Role.ALIAS, TokenRole.PROMPT_LAST),)
DEFINITION_ROUTES = (
    Route(Role.TAG, TokenRole.PROMPT_LAST),
    Route(Role.ALIAS, TokenRole.PROMPT_LAST),
)


@dataclass(frozen=True, kw_only=True)
class AblationAnalysis:
    """What is taken away at every checkpoint of a grid; see the module's docstring."""

    kinds: tuple[AblationKind, ...] = tuple(AblationKind)
    question_routes: tuple[Route, ...] = QUESTION_ROUTES
    """Rows without the two roles in this order are left out."""
    definition_routes: tuple[Route, ...] = DEFINITION_ROUTES
    n_random: int = 5
    """Draws that the control of a route is a mean over."""
    limit: int | None = 200
    """At most so many rows of each subset, from its start; None for all."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "ablation"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Ablates the sites, each head by itself, and cuts the routes in the sites' layers.

        Columns: `COORDINATES`, then `baseline effect control n`. `layer` and `head` are -1 where
        all are meant or there is none, `site` and `route` empty where they do not apply.
        """
        questions = self._limited([row for row in rows if row.row.is_evaluated])
        definitions = self._limited(
            [r for r in rows if r.row.kind is Kind.DEFINITION and r.row.split is Split.TRAIN]
        )
        if not questions:
            raise InputError("the run has no evaluated questions; ablate another run")
        records = self._components(model, questions, sites, seed)
        layers = sorted({site.layer for site in sites})
        records += self._routes(model, questions, QUESTION, layers, seed)
        if definitions:
            records += self._routes(model, definitions, DEFINITION, layers, seed)
        return Measured(table=pd.concat(records, ignore_index=True))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Over seeds; `difference` is the effect minus its control."""
        tested = table.assign(tested=table["effect"] - table["control"])
        means = ["baseline", "effect", "control"]
        return summarize_over_seeds(tested, cell=COORDINATES, means=means, tested="tested")

    def _limited(self, rows: list[TokenizedRow]) -> list[TokenizedRow]:
        if self.limit is None:
            return rows
        subsets: dict[str, list[TokenizedRow]] = {}
        for row in rows:
            subsets.setdefault(row.row.subset.name, []).append(row)
        return [row for of_subset in subsets.values() for row in of_subset[: self.limit]]

    def _components(
        self,
        model: HookedModel,
        rows: Sequence[TokenizedRow],
        sites: Sequence[Site],
        seed: int,
    ) -> list[pd.DataFrame]:
        baseline = answer_table(model, rows)
        reference = Reference.of(model, rows, sites)
        tables = []
        for component in single_components(model, sites):
            for kind in self.kinds:
                ablation = Ablation(site=component, kind=kind, reference=reference, seed=seed)
                effects = _effects(model, rows, baseline, [ablation])
                head = ALL if component.head is None else component.head
                where: dict[str, object] = {"site": component.name, "layer": component.layer}
                where |= {"head": head, "route": "", "intervention": str(kind)}
                tables.append(_at(effects, kind=QUESTION, **where))
        return tables

    def _routes(
        self,
        model: HookedModel,
        rows: Sequence[TokenizedRow],
        kind: str,
        layers: Sequence[int],
        seed: int,
    ) -> list[pd.DataFrame]:
        tables = []
        for route in self.question_routes if kind == QUESTION else self.definition_routes:
            having = [row for row in rows if route.is_in(row)]
            if not having:
                continue
            baseline = answer_table(model, having)
            for layer in (*layers, ALL):
                chosen = tuple(layers) if layer == ALL else (layer,)
                cut = KnockOut(model=model, route=route, layers=chosen)
                draws = [
                    KnockOut(
                        model=model,
                        route=route,
                        layers=chosen,
                        control=derive_seed(seed, f"knock-out control {draw}"),
                    )
                    for draw in range(self.n_random)
                ]
                controls = [_effects(model, having, baseline, [d])["effect"] for d in draws]
                effects = _effects(model, having, baseline, [cut])
                where = {"site": "", "layer": layer, "head": ALL, "route": str(route)}
                tables.append(
                    _at(effects, kind=kind, intervention=KNOCK_OUT, **where).assign(
                        control=np.mean(controls, axis=0)
                    )
                )
        return tables


def single_components(model: HookedModel, sites: Sequence[Site]) -> Iterator[Site]:
    """The sites, those with a vector for each head divided into heads."""
    for site in sites:
        if site.name in HEAD_SITES and site.head is None:
            n_heads = n_heads_at(model, site.name)
            heads = [Site(site.name, site.layer, head) for head in range(n_heads)]
        else:
            heads = [site]
        for component in heads:
            check_site(model, component)
            yield component


def _effects(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    baseline: pd.DataFrame,
    interventions: Sequence[Intervention],
) -> pd.DataFrame:
    """Mean of each metric by subset, minus that of the baseline; sorted by both."""
    metrics = list(ANSWER_METRICS)
    changed = answer_table(model, rows, interventions)[metrics] - baseline[metrics]
    before = baseline.melt("subset", metrics, var_name="metric", value_name="baseline")
    after = changed.assign(subset=baseline["subset"]).melt(
        "subset", metrics, var_name="metric", value_name="effect"
    )
    groups = before.assign(effect=after["effect"]).groupby(["subset", "metric"], sort=True)
    return groups.agg(
        baseline=("baseline", "mean"), effect=("effect", "mean"), n=("effect", "size")
    ).reset_index()


def _at(effects: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The effects with the coordinates of an intervention, columns in order, and no control yet."""
    table = effects.assign(**where, control=0.0)
    return table.reindex(columns=[*COORDINATES, "baseline", "effect", "control", "n"])
