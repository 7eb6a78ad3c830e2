"""Sparse autoencoders of one checkpoint: how good, what their features carry, what these do.

At each place (a site at a role, or at all tokens) one is trained for each sparsity `k`, on half of
the aliases; everything is measured on a quarter that neither it nor the choice of features has
seen. Features are looked at in the autoencoder whose `k` is nearest to `LOOKED_AT`. See `quality`,
`carrying`, `effects`, `changes` and `pages`; the rows are those of `rows`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.dictionaries.aliases import Share, deal_aliases
from interp.dictionaries.baselines import principal_components
from interp.dictionaries.carrying import ALIAS, Carried, carried, labels_of
from interp.dictionaries.changes import Before
from interp.dictionaries.dictionary import Dictionary, Sparsity
from interp.dictionaries.effects import Asked, ablate_targets
from interp.dictionaries.pages import page_rows
from interp.dictionaries.places import Place
from interp.dictionaries.quality import QUALITIES, Coder, measure_quality, vector_quality
from interp.dictionaries.readings import read_rows
from interp.dictionaries.rows import AUROC, COORDINATES, feature_row
from interp.dictionaries.summary import summarize_dictionaries
from interp.dictionaries.training import FitSettings, fit_dictionary
from interp.grids.grid import Measured
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from training.designs import design_of_rows
from training.runs.run import Run
from training.seeds import derive_seed

SITES = ("resid_post",)
SPARSITIES = (2, 4, 8, 16, 32)
LOOKED_AT = 8
"""The sparsity at which features are looked at, or the nearest that was asked for."""
RANDOM, PCA, PCA_OWN = "random", "pca", "pca_own"
"""Baselines: the same autoencoder with random directions as features; the first principal
components; those components of which each vector has most."""
N_PAGES = 2
"""Features of each target that have a page."""
MOST_ABLATED = 8
"""Features of a target that are ablated together: the best of the classes that are told best."""


@dataclass(frozen=True, kw_only=True)
class DictionaryAnalysis:
    """What is trained at every checkpoint of a grid, and how."""

    folder: Path
    """The folder of the run, which has the checkpoint of the stage before."""
    stage: int
    """The stage that is looked at."""
    roles: tuple[TokenRole, ...] = ()
    """All tokens unless given."""
    sparsity: Sparsity = Sparsity.TOPK
    is_nested: bool = False
    ks: tuple[int, ...] = SPARSITIES
    n_features: int = 256
    n_steps: int = 600
    batch_size: int = 256

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "dictionaries"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    @property
    def kind(self) -> str:
        """What the column `dictionary` calls the autoencoder."""
        return self.fitting(self.looked_at).kind

    @property
    def looked_at(self) -> int:
        """The sparsity at which features are looked at."""
        return min(self.ks, key=lambda k: (abs(k - LOOKED_AT), k))

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Trains and measures all autoencoders of one checkpoint."""
        shares, tables, vectors = deal_aliases(rows, seed), [], {}
        before = self._before(seed)
        for site, role in product(sites, self.roles or (None,)):
            place = Place(model=model, rows=rows, site=site, role=role, shares=shares)
            where: dict[str, object] = {"site": site.name, "layer": site.layer, "role": place.name}
            fitted, quality = self._quality(place, seed)
            tables.append(quality.assign(**where))
            chosen = fitted[self.looked_at]
            records = list(self._features(place, chosen, seed))
            if before is not None:
                old = Before(
                    place=replace(place, model=before), settings=self.fitting(self.looked_at),
                    seed=seed,
                )  # fmt: skip
                baseline = design_of_rows(rows).main.baseline
                records += old.rows(place, None if baseline is None else baseline.name)
            told = {**where, "dictionary": self.kind, "k": self.looked_at}
            tables.append(pd.DataFrame(records).assign(**told))
            name = f"{site.name}.{site.layer}/{place.name}/{self.kind}/{self.looked_at}"
            vectors |= {f"{name}/{part}": each for part, each in chosen.arrays().items()}
        table = pd.concat(tables, ignore_index=True)
        columns = [*COORDINATES, "value", "control", "n", "text"]
        return Measured(table=table.reindex(columns=columns), vectors=vectors)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.dictionaries.summary`."""
        return summarize_dictionaries(table)

    def fitting(self, k: int) -> FitSettings:
        """How the autoencoder of a sparsity is trained."""
        return FitSettings(
            n_features=self.n_features,
            k=k,
            sparsity=self.sparsity,
            is_nested=self.is_nested,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
        )

    def _before(self, seed: int) -> HookedModel | None:
        """The checkpoint at the end of the stage before; None of the first."""
        if self.stage < 2:
            return None
        return load_hooked(Run.load(self.folder), seed, self.stage - 1)

    def _quality(self, place: Place, seed: int) -> tuple[dict[int, Dictionary], pd.DataFrame]:
        """The autoencoders by sparsity, and their qualities beside those of the baselines."""
        training = place.training_vectors()
        reading = read_rows(place.model, place.questions(Share.REPORT), place.role)
        vectors = place.vectors(reading)
        fitted: dict[int, Dictionary] = {}
        coders: dict[str, Coder] = {}
        for k in self.ks:
            settings = self.fitting(k)
            fitted[k] = fit_dictionary(training, settings, seed=seed)
            # As many components as the autoencoder has features in these vectors, rounded up.
            n_active = max(1, ceil(vector_quality(vectors, fitted[k])["l0"]))
            random = replace(settings, learns_decoder=False, is_nested=False)
            coders |= {
                f"{self.kind}/{k}": fitted[k],
                f"{RANDOM}/{k}": fit_dictionary(training, random, seed=seed),
                f"{PCA}/{k}": principal_components(training, n_active),
                f"{PCA_OWN}/{k}": principal_components(training, n_active, chooses=True),
            }
        found = measure_quality(place.model, reading, place.site, vectors, coders)
        return fitted, pd.DataFrame(_quality_rows(found, len(vectors)))

    def _features(
        self, place: Place, dictionary: Dictionary, seed: int
    ) -> Iterator[dict[str, object]]:
        """What features carry, what answers lose without them, and the pages of some."""
        rng = np.random.default_rng(derive_seed(seed, f"features {place.site} {place.name}"))
        run = Run.load(self.folder)
        compared = run.compared_at(self.stage)
        found = self._carried(place, dictionary, rng, seed)
        for target, each in found.items():
            yield feature_row(AUROC, each.auroc, control=each.control, n=each.n, target=target)
        questions = place.questions(Share.REPORT)
        asked = Asked(
            model=place.model, questions=questions, site=place.site, role=place.role,
            dictionary=dictionary,
        )  # fmt: skip
        choosing = read_rows(place.model, place.questions(Share.CHOICE), place.role)
        ablated = {
            target: each.chosen[:MOST_ABLATED] for target, each in found.items() if target != ALIAS
        }
        yield from ablate_targets(asked, ablated, place.vectors(choosing), compared, rng)
        pages = {f: target for target, each in found.items() for f in each.chosen[:N_PAGES]}
        reading = read_rows(place.model, questions, place.role)
        yield from page_rows(
            place.model, questions, reading, place.vectors(reading), dictionary, pages
        )

    def _carried(
        self, place: Place, dictionary: Dictionary, rng: np.random.Generator, seed: int
    ) -> Mapping[str, Carried]:
        shares = (Share.CHOICE, Share.REPORT)
        rows = [row for share in shares for row in place.questions(share, trained=True)]
        design, codes = design_of_rows(place.rows), place.codes(dictionary, rows)
        compared = Run.load(self.folder).compared_at(self.stage)
        labels = labels_of(rows, place.shares, design, compared, seed=seed)
        found = {each.target: carried(codes, each, rng) for each in labels}
        return {target: each for target, each in found.items() if each is not None}


def _quality_rows(found: Mapping[str, Mapping[str, float]], n: int) -> Iterator[dict[str, object]]:
    """Each quality of each coder, beside that of the first principal components."""
    for name, qualities in found.items():
        kind, _, k = name.partition("/")
        for quality in QUALITIES:
            value, control = qualities[quality], found[f"{PCA}/{k}"][quality]
            row = feature_row(quality, value, control=np.nan if kind == PCA else control, n=n)
            yield row | {"dictionary": kind, "k": int(k)}


def check_ks(ks: Sequence[int], n_features: int) -> None:
    """Refuses sparsities that no dictionary of so many features has.

    Raises:
        InputError: a k is below 1 or above the number of features.
    """
    for k in ks:
        if not 1 <= k <= n_features:
            raise InputError(
                f"k {k} of {n_features} features; choose one from 1 to {n_features}, or more "
                "features with --features"
            )
