"""What the last stage changed, measured and edited: the table that most rows of the matrix read.

The embedding rows of the compared aliases are read before and after the stage
(`interp.hypotheses.alias_changes`); one part of the change is exchanged between the two subsets
and the model is asked again. Everything is also measured in the null twin, where there is one.

    nats, amount    of each alias: mean log-probability of its answers, and the coefficient of its
                    change on the code that questions read
    gap             between the subsets in nats, as trained
    closed          nats by which a subset comes nearer to the other when it is given one part of
                    the other's change (`part`)
    apart, length   see `apartness`; log ratio of the lengths of the entities' mean changes
    tag_cosine      between the difference of the constants and that of the tags' own embeddings
    attention       to the alias, from a question's end: difference between the subsets, in the
                    head where it is largest on other aliases (`part` is empty), and what adding
                    the difference of the constants does to it (`constant`)
    later           when half of an alias's change is there, as a share of the stage: difference
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from data.design import Contrast
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role
from interp.grids.grid import Measured
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hypotheses.alias_changes import (
    ChangePair,
    amounts,
    apartness,
    question_code,
)
from interp.hypotheses.alias_edits import added_to, alias_attention, mean_nats
from interp.interventions.base import (
    answer_table,
)
from training.runs.checkpoints import load_model
from training.runs.run import NULL_FOLDER, Run
from training.seeds import derive_seed
from training.statistics import estimate, seed_means

COLUMNS = ("quantity", "part", "subset", "alias")
NUMBERS = ("value", "control", "ci_low", "ci_high", "p_value", "p_smallest", "n_seeds", "n")
SUMMARY = ("recipe", "run_id", "model", "word_order", "stage", "step", *COLUMNS[:3], *NUMBERS)
N_RANDOM = 3
"""Random directions that the tags' own direction is held against."""


@dataclass(frozen=True, kw_only=True)
class ChangeAnalysis:
    """What the last stage changed in the compared aliases; see the head of this module."""

    folder: Path
    """The folder of the run."""

    @property
    def name(self) -> str:
        """Stem of the tables' names."""
        return "alias_changes"

    @property
    def coordinates(self) -> Sequence[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COLUMNS

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Measures one seed; what its data have no room for is left out."""
        return Measured(table=_table(Run.load(self.folder), model, rows, seed))

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
        """Puts the twin's value beside that of the run, but for single aliases."""
        theirs = _table(Run.load(self.folder / NULL_FOLDER), twin, twin_rows, seed)
        known = theirs.set_index(list(COLUMNS))["value"].to_dict()
        own = measured.table
        keys = own[list(COLUMNS)].itertuples(index=False, name=None)
        of_twin = [float("nan") if key[-1] else known.get(key, float("nan")) for key in keys]
        return Measured(table=own.assign(control=of_twin))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """Each quantity over seeds, aliases averaged first."""
        key = ["run_id", "stage", "step", "quantity", "part", "subset"]
        records = []
        known = table.loc[table["value"].notna()]
        for _, cells in known.groupby(key, sort=True):
            found = estimate(seed_means(cells, "value", by=("alias",)).to_dict())
            first = cells.iloc[0][list(SUMMARY[: -len(NUMBERS)])].to_dict()
            numbers = {
                "value": found.mean, "control": cells["control"].mean(), "ci_low": found.ci_low,
                "ci_high": found.ci_high, "p_value": found.p_value,
                "p_smallest": found.p_smallest, "n_seeds": found.n_seeds,
            }  # fmt: skip
            records.append(first | numbers | {"n": int(cells["n"].sum())})
        return pd.DataFrame(records, columns=list(SUMMARY))


def _table(run: Run, model: HookedModel, rows: Sequence[TokenizedRow], seed: int) -> pd.DataFrame:
    """All that is measured of one seed of a run, or of its null twin."""
    stages = run.config.schedule.stages
    before = _embeddings(run, seed, stages[-2], run.steps(seed, stages[-2])[-1])
    steps = run.steps(seed, stages[-1])
    course = [_embeddings(run, seed, stages[-1], step) for step in steps]
    main = run.design.main
    pair = ChangePair.of(rows, main, before, course[-1])
    if pair is None:
        return pd.DataFrame(columns=[*COLUMNS, "value", "control", "n"])
    asked = {
        name: [row for row in rows if row.row.is_evaluated and row.row.subset.name == name]
        for name in main.names
    }
    tags = _tag_direction(rows, main, before)
    rng = np.random.default_rng(derive_seed(seed, "alias changes"))
    records = [
        *_alias_records(model, asked, pair, question_code(rows, before)),
        *_edit_records(model, asked, pair, tags, rng),
        *_attention_records(model, asked, pair),
        _record("apart", apartness(pair)),
        _record("length", float(np.log(np.divide(*pair.sizes)))),
    ]
    if tags is not None:
        lengths = np.linalg.norm(pair.constant) * np.linalg.norm(tags)
        records.append(_record("tag_cosine", float(pair.constant @ tags / lengths)))
    records.append(_record("later", lateness(pair, course, steps)))
    n = sum(map(len, asked.values()))
    table = pd.DataFrame(records, columns=[*COLUMNS, "value"])
    return table.assign(value=table["value"].astype(float), control=np.nan, n=n)


def _record(
    quantity: str, value: float, *, part: str = "", subset: str = "", alias: str = ""
) -> dict[str, object]:
    return dict(zip((*COLUMNS, "value"), (quantity, part, subset, alias, value), strict=True))


def _embeddings(run: Run, seed: int, stage: int, step: int) -> Float[np.ndarray, "token width"]:
    """The token embeddings of a checkpoint."""
    model = load_model(run.checkpoint(seed=seed, stage=stage, step=step))
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.detach().numpy()


def _tag_direction(
    rows: Sequence[TokenizedRow], main: Contrast, embeddings: Float[np.ndarray, "token width"]
) -> Float[np.ndarray, " width"] | None:
    """The higher subset's tag minus the lower's, by the embeddings; None where they have none."""
    found = []
    for name in main.names:
        spans = {
            row.input_ids[row.spans[Role.TAG][0] : row.spans[Role.TAG][1] + 1]
            for row in rows
            if row.row.subset.name == name and row.row.kind is Kind.DEFINITION
            and Role.TAG in row.spans
        }  # fmt: skip
        if not spans:
            return None
        found.append(np.mean([embeddings[list(tokens)].mean(0) for tokens in spans], axis=0))
    difference = (found[0] - found[1]).astype(np.float64)
    return difference if np.linalg.norm(difference) > 0 else None


def _alias_records(
    model: HookedModel,
    asked: Mapping[str, list[TokenizedRow]],
    pair: ChangePair,
    code: Mapping[str, np.ndarray],
) -> list[dict[str, object]]:
    """How each alias is answered, and how much of the questions' code its change has."""
    records = []
    for (name, rows), side in zip(asked.items(), (pair.higher, pair.lower), strict=True):
        answers = answer_table(model, rows).assign(alias=[row.row.alias for row in rows])
        means = (
            answers.groupby("alias").agg({"answer_log_prob": "mean"})["answer_log_prob"].to_dict()
        )
        has = amounts(side, code)
        for alias, amount in zip(side.aliases.names, has, strict=True):
            where = {"subset": name, "alias": alias}
            records.append(_record("nats", float(means.get(alias, np.nan)), **where))
            records.append(_record("amount", float(amount), **where))
    if code:
        higher, lower = (np.nanmean(amounts(side, code)) for side in (pair.higher, pair.lower))
        records.append(_record("more", float(higher - lower)))
    return records


def _edit_records(
    model: HookedModel,
    asked: Mapping[str, list[TokenizedRow]],
    pair: ChangePair,
    tags: Float[np.ndarray, " width"] | None,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """By how many nats each subset comes nearer to the other with one part of its change.

    The higher one by falling, the lower one by rising; an edit that only destroys what a row says
    makes the higher one fall, too, so that what counts is the lower one's rise.
    """
    edits = pair.edits(rng)
    sides = [np.ones((len(side.added), 1)) for side in (pair.higher, pair.lower)]
    size = np.linalg.norm(pair.constant)
    if tags is not None:
        ways = {
            "tags": tags,
            **{f"random {i}": rng.normal(size=len(tags)) for i in range(N_RANDOM)},
        }
        for name, way in ways.items():
            step = size * way / np.linalg.norm(way)
            edits[name] = (-step * sides[0], step * sides[1])
    plain = {name: mean_nats(model, rows) for name, rows in asked.items()}
    higher, lower = asked
    records = [_record("gap", plain[higher] - plain[lower])]
    others: dict[str, list[float]] = {name: [] for name in asked}
    for part, vectors in edits.items():
        for name, side, each, sign in zip(
            asked, (pair.higher, pair.lower), vectors, (-1, 1), strict=True
        ):
            closed = sign * (mean_nats(model, asked[name], side, each) - plain[name])
            if part.startswith("random"):
                others[name].append(closed)
            else:
                records.append(_record("closed", closed, part=part, subset=name))
    for name, values in others.items():
        if values:
            mean = float(np.mean(values))
            records.append(_record("closed", mean, part="random", subset=name))
    return records


def _attention_records(
    model: HookedModel, asked: Mapping[str, list[TokenizedRow]], pair: ChangePair
) -> list[dict[str, object]]:
    """Attention to the alias: its difference, and what exchanging the constant does to it.

    The head is chosen on every other alias and measured on the rest, and the other way round, so
    that a model without any difference gives none on average.
    """
    shift = [-pair.constant, pair.constant]
    plain, moved = [], []
    for rows, side, way in zip(asked.values(), (pair.higher, pair.lower), shift, strict=True):
        vectors = np.tile(way, (len(side.added), 1))
        readings = (
            alias_attention(model, rows),
            alias_attention(model, rows, added_to(side, vectors)),
        )
        place = {alias: i % 2 for i, alias in enumerate(side.aliases.names)}
        half = np.array([place[str(row.row.alias)] for row in rows])
        for found, reading in zip((plain, moved), readings, strict=True):
            found.append([reading[half == each].mean(0) for each in (0, 1)])
    difference = np.subtract(*plain)  # half, head
    followed = (difference - np.subtract(*moved)) / 2
    chosen = [int(np.abs(difference[1 - half]).argmax()) for half in (0, 1)]
    signs = [np.sign(difference[1 - half, head]) for half, head in enumerate(chosen)]
    return [
        _record("attention", float(np.mean(signs * each[[0, 1], chosen])), part=part)
        for part, each in (("", difference), ("constant", followed))
    ]


def lateness(
    pair: ChangePair,
    course: Sequence[Float[np.ndarray, "token width"]],
    steps: Sequence[int],
) -> float:
    """How much later half of the change is there in the higher subset, as a share of the stage."""
    times = []
    for side in (pair.higher, pair.lower):
        at = [each[list(side.aliases.tokens)].astype(np.float64) for each in course]
        size = (side.added**2).sum(1)
        done = np.stack([((each - at[0]) * side.added).sum(1) / size for each in at])
        times.append(np.mean([_crossing(each, np.array(steps) / steps[-1]) for each in done.T]))
    return float(times[0] - times[1])


def _crossing(done: Float[np.ndarray, " step"], times: Float[np.ndarray, " step"]) -> float:
    """When half is first done, on the straight line between two checkpoints."""
    later = int(np.argmax(done >= HALF))
    if later == 0:
        return float(times[0] if done[0] >= HALF else times[-1])
    low, high = done[later - 1], done[later]
    share = (HALF - low) / (high - low)
    return float(times[later - 1] + share * (times[later] - times[later - 1]))


HALF = 0.5
