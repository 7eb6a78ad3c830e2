"""Does the model use what a probe reads about the tag, when it is asked about an alias?

The tag is erased from activations while the questions are answered: training is over, so this is
about what the answer is made of, not about what the definition left behind. An eraser (LEACE) is
fitted to one half of the labelled aliases; everything below is of aliases that it has not seen, the
labelled ones among them of entities that it has not seen (see `erasure_halves`).

    target `tag`          fitted to Stage-1 aliases (D1, D2), also when it is applied to D5 and D6
    target `tag_stage2`   fitted to Stage-2 aliases (D5, D6), of which there may be few

    probe_accuracy                  of a logistic probe fitted anew to the other half, chance .5
    exact_match, answer_log_prob    of each subset's evaluated questions; `D5_CONS-D6_CONS` is the
                                    difference of the two

    control            the same after erasing as many random directions (mean over draws)
    control_distance   the same after moving each activation as far in random directions
    permuted_before    the probe's accuracy with labels that mean nothing, before and after: what
    permuted_after     it reads by chance from so few entities

`site` and `role` "all" erase at every site and role in order, each eraser fitted to what the
earlier ones leave (concept scrubbing), the random ones too. Of each accuracy `read_at` says where
the probe reads: where it was erased, and of "all" at each of these sites and roles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from data.design import Design
from data.draws import stream
from data.tokens import TokenizedRow
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import SITE_HOOKS, Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.interventions.base import Intervention, answer_table, read_at
from interp.interventions.erasure import Eraser, Erasure, Whitening, fit_whitened
from interp.interventions.erasure_halves import STAGE2, Halves
from training.designs import design_of_rows
from training.seeds import derive_seed

COORDINATES = ["subset", "site", "layer", "role", "target", "metric", "read_at"]
VALUES = ["before", "after", "control", "control_distance"]
PERMUTED = ["permuted_before", "permuted_after"]
PROBE_ACCURACY = "probe_accuracy"
ALL, ALL_LAYERS = "all", -1
_ORDER = ("resid_pre", "q", "k", "v", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")
"""Sites of a layer as they are computed."""

Step = tuple[Site, TokenRole]


@dataclass(frozen=True, kw_only=True)
class ErasureAnalysis:
    """What is erased at every checkpoint of a grid; see the module's docstring."""

    targets: tuple[str, ...] = ()
    """Which labels are erased; those of the design's that are of tags, and `tag_stage2`, unless
    given."""
    roles: tuple[TokenRole, ...] = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    n_random: int = 20
    """Draws that each control is a mean over."""
    n_permutations: int = 49
    """How many permutations of the labels give the chance level beside each accuracy."""
    limit: int = 100
    """At most so many questions of each subset, drawn at random."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "erasure"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Erases each target at each site and role, and at all of them.

        Columns: `COORDINATES`, `VALUES`, `PERMUTED`, `n` (questions that are asked, or aliases that
        are read) and `n_train` (aliases that train a probe).
        """
        tables = []
        for target in self.of_design(design_of_rows(rows)).targets:
            halves = Halves.of(rows, target, seed)
            asked = self._asked(rows, halves.not_asked, seed)
            reader = _Reader(model=model, halves=halves, asked=asked, seed=seed)
            for where, steps in self._cells(sites):
                cell = self._cell(reader, steps, seed)
                tables.append(cell.assign(**where, target=target))
        table = pd.concat(tables, ignore_index=True)
        return Measured(
            table=table.reindex(columns=[*COORDINATES, *VALUES, *PERMUTED, "n", "n_train"])
        )

    def of_design(self, design: Design) -> "ErasureAnalysis":
        """See `interp.grids.grid.OfDesign`."""
        targets = [target.name for target in design.targets if target.is_of_tags]
        return self if self.targets else replace(self, targets=(*targets, STAGE2))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Over seeds; `difference` is what the erasure changes minus what random ones change."""
        tested = table.assign(tested=table["after"] - table["control"])
        # Rows of tables made before probes read everywhere have no place and no permutations.
        tested["read_at"] = table["read_at"].fillna("") if "read_at" in table else ""
        means = [*VALUES, *(name for name in PERMUTED if name in table)]
        return summarize_over_seeds(tested, cell=COORDINATES, means=means, tested="tested")

    def _cells(self, sites: Sequence[Site]) -> list[tuple[dict[str, object], list[Step]]]:
        """The table's cells: coordinates of each, and the sites and roles erased in turn for it."""
        known = [*_ORDER, *SITE_HOOKS]
        ordered = sorted(sites, key=lambda site: (site.layer, known.index(site.name)))
        cells: list[tuple[dict[str, object], list[Step]]] = [
            ({"site": site.name, "layer": site.layer, "role": str(role)}, [(site, role)])
            for site in ordered
            for role in self.roles
        ]
        where: dict[str, object] = {"site": ALL, "layer": ALL_LAYERS, "role": ALL}
        cells.append((where, [(site, role) for site in ordered for role in self.roles]))
        return cells

    def _asked(
        self, rows: Sequence[TokenizedRow], not_asked: frozenset[str], seed: int
    ) -> list[TokenizedRow]:
        """Evaluated questions about the second half of the labelled aliases, and about others."""
        chosen: list[TokenizedRow] = []
        for subset in design_of_rows(rows).asked:
            of_subset = [
                row
                for row in rows
                if row.row.subset.name == subset
                and row.row.is_evaluated
                and row.row.alias not in not_asked
            ]
            rng = stream(seed, f"erasure/{subset}")
            chosen += rng.sample(of_subset, min(self.limit, len(of_subset)))
        return chosen

    def _cell(self, reader: "_Reader", steps: list[Step], seed: int) -> pd.DataFrame:
        """Before, after and both controls of one cell, a row for each subset and metric."""
        # The same random directions at every cell of a checkpoint.
        rng = np.random.default_rng(derive_seed(seed, "random erasures"))

        def of_same_rank(view: _View) -> Eraser:
            return view.whitening.random_eraser(view.leace().rank, rng)

        def of_same_distance(view: _View) -> Eraser:
            return view.leace().elsewhere(rng)

        def mean_over_draws(make: MakeEraser) -> np.ndarray:
            draws = [reader.erased(steps, make) for _ in range(self.n_random)]
            return np.mean([draw["value"] for draw in draws], axis=0)

        permuted = self.n_permutations
        before = reader.read([], steps, n_permutations=permuted)
        after = reader.erased(steps, _View.leace, n_permutations=permuted)
        return before.rename(columns={"value": "before", "permuted": "permuted_before"}).assign(
            after=after["value"],
            permuted_after=after["permuted"],
            control=mean_over_draws(of_same_rank),
            control_distance=mean_over_draws(of_same_distance),
        )


@dataclass(frozen=True, kw_only=True)
class _View:
    """The activations and labels that an eraser is fitted to, with their whitening."""

    features: Float[np.ndarray, "example width"]
    labels: Int[np.ndarray, " example"]
    whitening: Whitening

    def leace(self) -> Eraser:
        """The LEACE eraser that removes what tells the labels."""
        return fit_whitened(self.whitening, self.features, self.labels)


MakeEraser = Callable[[_View], Eraser]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Measures probes and answers under erasures, on rows that no eraser was fitted to."""

    model: HookedModel
    halves: Halves
    asked: list[TokenizedRow]
    seed: int
    untouched: dict[Step, _View] = field(default_factory=dict)
    """Views of what nothing was erased from yet, kept for all draws."""

    def erased(
        self, steps: Sequence[Step], make: MakeEraser, *, n_permutations: int = 0
    ) -> pd.DataFrame:
        """Erases step by step, each what earlier ones leave, and measures what can be read then."""
        erasures: list[Erasure] = []
        for site, role in steps:
            eraser = make(self._view((site, role), erasures))
            erasures.append(Erasure(eraser=eraser, site=site, places=(role,)))
        return self.read(erasures, steps, n_permutations=n_permutations)

    def _view(self, step: Step, erasures: list[Erasure]) -> _View:
        if not erasures and step in self.untouched:
            return self.untouched[step]
        features = read_at(self.model, self.halves.fit_rows, *step, erasures)
        whitening = Whitening.of(features)
        view = _View(features=features, labels=self.halves.fit_labels, whitening=whitening)
        if not erasures:
            self.untouched[step] = view
        return view

    def read(
        self,
        interventions: Sequence[Intervention],
        places: Sequence[Step],
        *,
        n_permutations: int = 0,
    ) -> pd.DataFrame:
        """Columns `subset metric read_at value permuted n n_train`, always in the same order."""
        answers = answer_table(self.model, self.asked, interventions)
        subsets, numbers = np.unique(answers["subset"].to_numpy(dtype=str), return_inverse=True)
        n: dict[str, int] = dict(zip(subsets.tolist(), np.bincount(numbers).tolist(), strict=True))
        records: list[dict[str, object]] = []
        main = design_of_rows(self.asked).main
        for metric in ANSWER_METRICS:
            sums = np.bincount(numbers, weights=answers[metric].to_numpy(dtype=float))
            means = {name: float(sums[i] / n[name]) for i, name in enumerate(n)}
            if set(main.names) <= set(means):
                means[main.gap] = means[main.higher.name] - means[main.lower.name]
            records += [
                {
                    "subset": name,
                    "metric": metric,
                    "read_at": "",
                    "value": mean,
                    "permuted": np.nan,
                    "n": n[name] if name in n else sum(n[each] for each in main.names),
                    "n_train": np.nan,
                }
                for name, mean in means.items()
            ]
        probed = [self._probed(interventions, place, n_permutations) for place in places]
        return pd.DataFrame([*records, *probed])

    def _probed(
        self, interventions: Sequence[Intervention], place: Step, n_permutations: int
    ) -> dict[str, object]:
        """Accuracy of a probe fitted anew, with the same folds every time."""
        reading = self.halves.read(
            read_at(self.model, self.halves.other_rows, *place, interventions),
            n_permutations=n_permutations,
            rng=np.random.default_rng(derive_seed(self.seed, "erasure probe")),
        )
        site, role = place
        return {
            "subset": ALL,
            "metric": PROBE_ACCURACY,
            "read_at": f"{site.name}.{site.layer} at {role}",
            "value": reading.accuracy,
            "permuted": reading.null_accuracy if n_permutations else np.nan,
            "n": reading.n_read,
            "n_train": reading.n_train,
        }
