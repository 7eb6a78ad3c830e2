"""The curves of a run along a stage that its folder has tables of, one value a seed and checkpoint.

    gap        the main contrast in nats, from the run's own measurements
    twin       the same in the null twin, on the scale of the run's: the control of a figure
    recited    log-probability of the definitions of the two compared subsets, themselves, in nats
    alignment  difference between the two subsets in gradient cosine of own pairs (`iml align`)
    code       difference in the coefficient on the code that questions read (`iml codes`)
    probe      accuracy of the logistic probe of the design's first target that reads best at the
               end of the stage (`iml probe`); thresholded, so it is drawn and not tested

Tables of analyses count where they were filled at `FEWEST_STEPS` checkpoints or more of the stage,
as `--along` does it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from data.vocabulary import DEFINITION, HELD_OUT
from interp.alignment.pairs import Pairing, PairMode
from interp.alignment.summary import ALL, ZERO, seed_contrasts
from interp.figures.grid_tables import table_of
from interp.orders.half_times import FEWEST_STEPS
from training.columns import RUN_COLUMNS, run_columns
from training.runs.run import Run

METRIC = "answer_log_prob"
VALUES = [*RUN_COLUMNS, "value"]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A kind of curve."""

    words: str
    """What it is, in a sentence."""
    unit: str
    color: str
    of_run: Callable[[Run], pd.DataFrame | None]
    """Its values at every seed and checkpoint: the run columns and `value`; None if there is none.
    """
    is_tested: bool = True
    """Whether its time may be held against others': not of what is thresholded, or a control."""
    scaled_by: str = ""
    """The curve whose change is its unit in figures, if not its own."""


def curves_of(run: Run, stage: int) -> pd.DataFrame:
    """All curves of a stage: the run columns, `curve` and `value`.

    Args:
        run: A finished run.
        stage: Whose checkpoints.
    """
    columns, tables = [*RUN_COLUMNS, "curve", "value"], []
    for name, curve in CURVES.items():
        values = curve.of_run(run)
        if values is None:
            continue
        values = values.loc[values["stage"] == stage]
        steps = values.groupby("step")["seed"].nunique()
        shared = steps.index[steps == values["seed"].nunique()]
        if len(shared) >= FEWEST_STEPS:
            tables.append(values.loc[values["step"].isin(shared)].assign(curve=name))
    return pd.DataFrame(pd.concat(tables, ignore_index=True) if tables else None, columns=columns)


def _gap(run: Run) -> pd.DataFrame | None:
    higher, lower = (_level(run, name, HELD_OUT) for name in run.design.main.names)
    return _long(higher - lower)


def _twin(run: Run) -> pd.DataFrame | None:
    if run.finished_null is None:
        return None
    found = _gap(run.finished_null)
    return None if found is None else found.assign(**run_columns(run.config))


def _recited(run: Run) -> pd.DataFrame | None:
    sides = [_level(run, name, DEFINITION) for name in run.design.main.names]
    if any(side.empty for side in sides):
        return None
    return _long((sides[0] + sides[1]) / 2)


def _long(values: pd.Series) -> pd.DataFrame:
    """Values by run columns as a table, without those that are missing on either side."""
    return pd.DataFrame(values.dropna().rename("value").reset_index(), columns=VALUES)


def _level(run: Run, subset: str, question: str) -> pd.Series:
    """A subset's log-probability by run columns, averaged over Stage-2 seeds."""
    rows = run.metrics
    chosen = rows.loc[
        (rows["metric"] == METRIC) & (rows["subset"] == subset) & (rows["question"] == question)
    ]
    return pd.Series(chosen.groupby(RUN_COLUMNS, sort=True)["value"].mean())


def _alignment(run: Run) -> pd.DataFrame | None:
    table = table_of(run, "alignment")
    if table is None:
        return None
    rows = table.loc[
        (table["component"] == ALL)
        & (table["measure"] == "grad_cosine")
        & (table["pairs"] == PairMode.OWN)
        & (table["pairing"] == Pairing.OWN)
        & table["subset"].isin(run.design.main.names)
    ]
    if rows.empty:
        return None
    found = seed_contrasts(rows, within=False)
    is_gap = (found["subset"] == run.design.main.gap) & (found["against"] == ZERO)
    return pd.DataFrame(found.loc[is_gap], columns=VALUES)


def _code(run: Run) -> pd.DataFrame | None:
    table = table_of(run, "codes")
    if table is None:
        return None
    higher, lower = run.design.main.names
    rows = table.loc[
        (table["site"] == "embed")
        & (table["code"] == "question")
        & (table["edit"] == "")
        & (table["quantity"] == "coefficient")
    ]
    sides = [
        rows.loc[rows["subset"] == name].groupby(RUN_COLUMNS, sort=True)["value"].mean()
        for name in (higher, lower)
    ]
    return _long(sides[0] - sides[1])


def _probe(run: Run) -> pd.DataFrame | None:
    table = table_of(run, "probes")
    if table is None or not run.design.targets:
        return None
    rows = table.loc[
        (table["target"] == run.design.targets[0].name) & (table["probe"] == "logistic")
    ]
    cells = [*RUN_COLUMNS, "site", "layer", "role"]
    tables = []
    for _, of_stage in rows.groupby("stage", sort=True):
        last = of_stage.loc[of_stage["step"] == of_stage["step"].to_numpy().max()]
        means = last.groupby(["site", "layer", "role"], sort=True)["accuracy"].mean()
        best = dict(zip(("site", "layer", "role"), means.idxmax(), strict=True))  # pyright: ignore[reportArgumentType]
        is_best = (of_stage[list(best)] == pd.Series(best)).all(axis=1)
        tables.append(of_stage.loc[is_best, [*cells, "accuracy"]])
    if not tables:
        return None
    return pd.DataFrame(pd.concat(tables).rename(columns={"accuracy": "value"}), columns=VALUES)


CURVES: Mapping[str, Curve] = {
    "gap": Curve(words="the gap", unit="nats", color="#1f5fc4", of_run=_gap),
    "twin": Curve(
        words="control: the gap in the null twin",
        unit="nats",
        color="#b4b9c4",
        of_run=_twin,
        is_tested=False,
        scaled_by="gap",
    ),
    "recited": Curve(words="reciting definitions", unit="nats", color="#7d828f", of_run=_recited),
    "alignment": Curve(
        words="the tags' difference in gradient alignment",
        unit="cosine",
        color="#ea8a12",
        of_run=_alignment,
    ),
    "code": Curve(
        words="the tags' difference in the code that questions read",
        unit="coefficient",
        color="#2a8a3e",
        of_run=_code,
    ),
    "probe": Curve(
        words="what a probe reads of the tag",
        unit="accuracy",
        color="#7a3fa8",
        of_run=_probe,
        is_tested=False,
    ),
}
"""By name, in the order of legends."""
