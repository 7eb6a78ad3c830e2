"""In which code does the last stage write an alias, and how much of the gap does its amount make?

Codes are estimated on the aliases of Stage 1 (`interp.codes.estimation`), in the checkpoint before
the last stage. Measured is how far the last stage's change of each compared alias lies in each
code, and how questions are answered when it is edited (`interp.codes.edits`), beside matched nulls
(`interp.codes.nulls`). One row a measurement; see `interp.codes.rows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.codes.aliases import CodedAliases
from interp.codes.edited import measure_edits
from interp.codes.names import needs_own, own_representations
from interp.codes.places import ENTRY, CodePlace
from interp.codes.projected import EMBEDDING, ChangedWeights
from interp.codes.recital import measure_recital
from interp.codes.rows import COORDINATES
from interp.codes.seed_codes import SeedCodes, vectors_of
from interp.codes.shape import measure_shape
from interp.codes.spans import measure_spans
from interp.codes.stated import value_representations
from interp.codes.summary import summarize_codes
from interp.codes.truth import measure_truth
from interp.codes.weights import codes_of_writing, measure_weights
from interp.grids.grid import Measured
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from training.runs.checkpoints import load_model
from training.runs.run import Run

CODE_SITES = ("resid_post",)
"""Of the residual stream, unless others are asked for; without roles the embedding is looked at."""


@dataclass(frozen=True, kw_only=True)
class CodesAnalysis:
    """Codes at a checkpoint of the last stage of a run, over its seeds."""

    folder: Path
    """The folder of the run."""
    stage: int = 2
    """The stage whose change is looked at; codes are of the end of the one before."""
    roles: tuple[TokenRole, ...] = ()
    """With roles the grid's sites are looked at; without, the input embedding."""
    in_stream: bool = True
    """Whether the stream is looked at, where there are roles."""
    in_weights: bool = False
    """Whether the weights of the blocks at the grid's layers are looked at, where there are."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "codes"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Estimates codes and makes all edits, for one seed.

        Raises:
            InputError: the run has no earlier stage, or lacks what codes are estimated on.
        """
        run, tables = Run.load(self.folder), []
        for place in self._places(sites):
            codes = seed_codes(run, model, rows, place, seed, self.stage)
            parts = [
                measure_shape(codes),
                measure_edits(codes, model, place),
                measure_spans(codes, model, place),
                measure_truth(codes, model, place),
            ]
            table = pd.concat([*parts, measure_recital(codes, model, place, rows)])
            for at, (name, value) in enumerate(place.coordinates.items()):
                table.insert(at, name, value)
            tables.append(table)
        layers = sorted({site.layer for site in sites})
        for role in self.roles if self.in_weights else ():
            tables.append(_weights_table(run, model, rows, layers, role, seed, self.stage))
        return Measured(table=pd.concat(tables, ignore_index=True))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `interp.codes.summary`."""
        return summarize_codes(table)

    def _places(self, sites: Sequence[Site]) -> list[CodePlace]:
        if not self.roles:
            return [CodePlace()]
        if not self.in_stream:
            return []
        return [CodePlace(site=site, role=role) for site in sites for role in self.roles]


def seed_codes(
    run: Run,
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    place: CodePlace,
    seed: int,
    stage: int = 2,
) -> SeedCodes:
    """The codes of a seed at a place, and what a stage changed there.

    Args:
        run: That the model is a checkpoint of.
        model: A checkpoint of the stage.
        rows: Those of the seed.
        place: Where to look.
        seed: Of the run.
        stage: The stage whose change is looked at.

    Raises:
        InputError: the run has no earlier stage, or lacks what codes are estimated on.
    """
    if stage < 2:
        raise InputError("codes are about what a later stage changes; add --stage 2")
    aliases = CodedAliases.of(rows, run.design)
    device = str(model.device)
    models = {
        "start": load_hooked(run, seed, 1, 0, device=device),
        "before": load_hooked(run, seed, stage - 1, device=device),
        "after": model,
    }
    read = {
        name: vectors_of(place.read(each, aliases.all_used), aliases)
        for name, each in models.items()
    }
    if needs_own(aliases):
        own = (
            value_representations(aliases.tables, aliases.entities)
            if aliases.tables
            else own_representations(models["before"], place, aliases, rows)
        )
        read["before"] = replace(read["before"], own=own)
    return SeedCodes(aliases=aliases, seed=seed, **read)


def _weights_table(
    run: Run,
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    layers: Sequence[int],
    role: TokenRole,
    seed: int,
    stage: int,
) -> pd.DataFrame:
    """Codes in the weights of the blocks at some layers, for one seed."""
    places = {
        layer: CodePlace(site=Site("resid_post", layer), role=role, is_weights=True)
        for layer in layers
    }
    before = load_hooked(run, seed, stage - 1, device=str(model.device))
    entry = CodePlace(site=ENTRY, role=role)
    by_group = {EMBEDDING: seed_codes(run, model, rows, entry, seed, stage)}
    for layer, place in places.items():
        found = seed_codes(run, model, rows, place, seed, stage)
        by_group[layer] = codes_of_writing(found, before, model, place)
    compared = by_group[EMBEDDING].aliases.compared
    assert model.folder is not None
    weights = ChangedWeights(
        before=load_model(run.checkpoint(seed, stage - 1)),
        after=load_model(model.folder),
        rows=[row for alias in compared for row in alias.questions],
        owner=[at for at, alias in enumerate(compared) for _ in alias.questions],
        stop_token=model.stop_token,
    )
    return measure_weights(by_group, places, model, weights)


def alias_coefficients(
    run: Run, seed: int, *, stage: int = 2, place: CodePlace | None = None
) -> pd.DataFrame:
    """What each compared alias of a seed wrote in its own entity's codes, and how it is answered.

    Args:
        run: A finished run.
        seed: Of the run.
        stage: The stage whose change is looked at.
        place: The input embedding unless given.

    Returns:
        Columns `alias entity subset coefficient_reliable coefficient_unreliable
        coefficient_question change_length exact_match answer_log_prob`, a row for each alias.

    Raises:
        InputError: the run has no earlier stage, or lacks what codes are estimated on.
    """
    from interp.codes.answers import AskedAliases, unchanged

    place = place or CodePlace()
    model = load_hooked(run, seed, stage)
    codes = seed_codes(run, model, run.tokenized_rows(seed), place, seed, stage)
    asked = AskedAliases(model=model, place=place, aliases=codes.aliases.compared)
    answers = unchanged(asked)
    return codes.per_alias().assign(exact_match=answers[:, 0], answer_log_prob=answers[:, 1])
