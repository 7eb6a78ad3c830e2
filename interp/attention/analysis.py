"""Attention at every checkpoint of a grid: one table of patterns, head summaries and scores.

`attention.parquet` has the coordinates `subset text kind layer head destination source`, then
`value`, its `control` and `n` (rows, sequences, or pairs of heads). Text is `qa` for questions that
were never trained, `definition`, `random` tokens, or `weights` where nothing is read.

    pattern                        by role (`interp.attention.patterns`); control: even attention
    value_norm, direct_logit       at the prompt's last token (`interp.attention.heads`)
    induction, previous_token      on random tokens (`interp.attention.scores`)
    composition_q, _k, _v          between heads, `0.1` the source and `1.2` the destination

The summary tests value minus control over seeds, for the cells that mean the same in every seed:
all heads of a layer, and its heads by rank (`interp.attention.cells`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.design import Contrast, Design
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role
from interp.attention.cells import ALL_HEADS, first_half, head_cells, is_comparable
from interp.attention.heads import EVERY, HeadReadings, read_heads, visible_roles
from interp.attention.patterns import PROMPT_LAST, RoleAttention, attention_by_role
from interp.attention.scores import READERS, composition_scores, random_tokens, token_scores
from interp.grids.grid import Measured
from interp.grids.seed_summary import summarize_over_seeds
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel

COORDINATES = ["subset", "text", "kind", "layer", "head", "destination", "source"]
NO_SUBSET = "none"
"""The subset of rows about random tokens and weights."""


@dataclass(frozen=True, kw_only=True)
class AttentionAnalysis:
    """Patterns, head summaries and scores at every checkpoint of a grid."""

    subsets: tuple[str, ...]
    """Whose questions and definitions are read; see `of`."""
    roles: tuple[Role, ...] | None = None
    """Which to tell apart, where a text has them; all of them unless given."""

    @classmethod
    def of(cls, contrast: Contrast, roles: tuple[Role, ...] | None = None) -> "AttentionAnalysis":
        """Of the two subsets of a contrast, and of its baseline: aliases that are not defined."""
        baseline = () if contrast.baseline is None else (contrast.baseline.name,)
        return cls(subsets=(*contrast.names, *baseline), roles=roles)

    def of_design(self, design: Design) -> "AttentionAnalysis":
        """The same, if the design has its subsets; see `interp.grids.grid.OfDesign`."""
        design.require(self.subsets)
        return self

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "attention"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Looks at one checkpoint; of the sites only their layers count."""
        layers = sorted({site.layer for site in sites})
        tables = [
            _rows_table(model, chosen, layers, self.roles).assign(subset=subset, text=str(kind))
            for subset, kind, chosen in self._texts(rows)
        ]
        if not tables:
            raise InputError(f"no rows of {', '.join(self.subsets)}; choose other subsets")
        tokens = random_tokens(model, seed=seed)
        scores = token_scores(model, tokens, layers=layers)
        tables.append(scores.assign(subset=NO_SUBSET, text="random", destination="", source=""))
        tables.append(_composition_table(model, layers))
        columns = [*COORDINATES, "value", "control", "n"]
        return Measured(table=pd.concat(tables).reset_index(drop=True).loc[:, columns])

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `summarize_attention`."""
        return summarize_attention(table)

    def _texts(
        self, rows: Sequence[TokenizedRow]
    ) -> Iterator[tuple[str, Kind, list[TokenizedRow]]]:
        """Evaluated questions, then definitions, of each subset that has them."""
        for kind in (Kind.QA, Kind.DEFINITION):
            for subset in self.subsets:
                chosen = [
                    row
                    for row in rows
                    if row.row.subset.name == subset
                    and row.row.kind is kind
                    and (kind is Kind.DEFINITION or row.row.is_evaluated)
                ]
                if chosen:
                    yield subset, kind, chosen


def summarize_attention(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell that means the same in every seed; see `interp.grids.seed_summary`."""
    cells = table.loc[is_comparable(table)]
    return summarize_over_seeds(
        cells.assign(excess=cells["value"] - cells["control"]),
        cell=COORDINATES,
        means=["value", "control"],
        tested="excess",
    )


def attention_contrast(table: pd.DataFrame, higher: str, lower: str) -> pd.DataFrame:
    """One subset's values minus another's, paired by seed; see `interp.grids.seed_summary`.

    The columns are those of a summary, `value` being the first subset's and `control` the second's.
    Takes and refuses what `paired_by_seed` does.
    """
    return summarize_over_seeds(
        paired_by_seed(table, higher, lower),
        cell=COORDINATES[1:],
        means=["value", "control"],
        tested="difference",
    )


def paired_by_seed(table: pd.DataFrame, higher: str, lower: str) -> pd.DataFrame:
    """What `attention_contrast` is over seeds, a row a seed and cell.

    Columns: the run columns, those of the cell, `value`, `control` and `difference`.

    Args:
        table: Rows of an `attention` table of one run and checkpoint.
        higher: The subset that is subtracted from.
        lower: The subset that is subtracted.

    Raises:
        InputError: the table lacks one of the two, or they have no cell in common.
    """
    for name in (higher, lower):
        if name not in set(table["subset"]):
            known = ", ".join(sorted(set(table["subset"])))
            raise InputError(f"the attention table has no subset {name!r}; choose from {known}")
    cells = table.loc[is_comparable(table)]
    shared = [c for c in table.columns if c not in ("subset", "value", "control", "n")]
    sides = [
        cells.loc[cells["subset"] == name, [*shared, "value", "n"]] for name in (higher, lower)
    ]
    paired = sides[0].merge(sides[1], on=shared, suffixes=("", "_lower"))
    if paired.empty:
        raise InputError(f"{higher} and {lower} have no cell in common; choose other subsets")
    paired = paired.rename(columns={"value_lower": "control"})
    return paired.assign(difference=paired["value"] - paired["control"])


def _rows_table(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    layers: Sequence[int],
    roles: Sequence[Role] | None,
) -> pd.DataFrame:
    """The measurements of heads and attention patterns on rows of one subset and kind."""
    is_first = first_half(rows)
    sources = visible_roles(rows)
    if roles is not None:
        roles = [role for role in roles if all(role in row.spans for row in rows)]
        sources = tuple(role for role in sources if role in roles)
    patterns = attention_by_role(model, rows, layers=layers, roles=roles)
    tables = [*_pattern_tables(patterns, is_first)]
    readings = read_heads(model, rows, sources=sources, layers=layers)
    tables += _head_tables(readings, is_first)
    return pd.concat(tables)


def _pattern_tables(attention: RoleAttention, is_first: np.ndarray) -> Iterator[pd.DataFrame]:
    """A table for each pair of roles between which attention has a choice where to look."""
    for d, destination in enumerate(attention.destinations):
        for s, source in enumerate(attention.sources):
            even = attention.uniform[:, d, s]
            if not ((even > 0) & (even < 1)).any():
                continue
            weights = attention.weights[..., d, s]
            control = np.broadcast_to(even[:, None, None], weights.shape)
            cells = head_cells(weights, control, is_first=is_first, layers=attention.layers)
            yield cells.assign(kind="pattern", destination=destination, source=source)


def _head_tables(readings: HeadReadings, is_first: np.ndarray) -> Iterator[pd.DataFrame]:
    kinds = {
        "value_norm": (readings.value_norm, readings.value_norm_control, readings.sources),
        "direct_logit": (
            readings.direct_logit,
            readings.direct_logit_control,
            (*readings.sources, EVERY),
        ),
    }
    for kind, (value, control, sources) in kinds.items():
        for s, source in enumerate(sources):
            cells = head_cells(
                value[..., s],
                control[..., s],
                is_first=is_first,
                layers=readings.layers,
                is_summed=kind == "direct_logit",
            )
            yield cells.assign(kind=kind, destination=PROMPT_LAST, source=source)


def _composition_table(model: HookedModel, layers: Sequence[int]) -> pd.DataFrame:
    """Every pair of heads, and the mean over the pairs of two layers."""
    tables = []
    for reader in READERS:
        pairs = composition_scores(model, reader)
        pairs = pairs.loc[pairs["layer"].isin(layers)].assign(n=1)
        early = pairs["source"].str.partition(".")[0] if len(pairs) else pairs["source"]
        means = (
            pairs.assign(source=early, destination=pairs["layer"].astype(str), head=ALL_HEADS)
            .groupby(["layer", "head", "destination", "source"], as_index=False)
            .agg(value=("value", "mean"), control=("control", "mean"), n=("n", "sum"))
        )
        tables.append(pd.concat([pairs, means]).assign(kind=f"composition_{reader}"))
    return pd.concat(tables).assign(subset=NO_SUBSET, text="weights")
