"""What the rows of the matrix measure: functions from a run to one value for each seed.

Shares are of the run's gap in nats: the mean gap over its seeds, so that a seed without a gap does
not divide by nothing. What a run lacks is said by `NotMeasured`, in words that end "needs ...".
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.vocabulary import DEFINITION, HELD_OUT, Part
from interp.hypotheses.change_analysis import ChangeAnalysis
from interp.verdicts.quantities import Measure, NotMeasured, aligned, gap
from training.metrics import ANSWER_LOG_PROB
from training.runs.run import Run
from training.statistics import seed_means

NATS = ANSWER_LOG_PROB.name


def last_rows(run: Run, analysis: str, needs: str, *, stage: int | None = None) -> pd.DataFrame:
    """The rows of an analysis at the end of a stage, the last one unless said.

    Raises:
        NotMeasured: the table is missing or has none.
    """
    table = run.table(analysis)
    if table is None:
        raise NotMeasured(f"needs {needs}")
    stage = int(run.config.schedule.stages[-1]) if stage is None else stage
    steps = run.metrics.loc[run.metrics["stage"] == stage].groupby("seed")["step"].max()
    of_run = table.loc[(table["run_id"] == run.config.run_id) & (table["stage"] == stage)]
    found = of_run.loc[of_run["step"] == of_run["seed"].map(steps)]
    if found.empty:
        raise NotMeasured(f"needs {needs}")
    return found


def change_rows(run: Run) -> pd.DataFrame:
    """What `ChangeAnalysis` measured of a run."""
    words = "aliases of one token, several of each entity, in both subsets"
    return last_rows(run, ChangeAnalysis(folder=run.folder).name, words)


def changed(quantity: str, part: str = "", *, column: str = "value") -> Measure:
    """A quantity of `ChangeAnalysis`, or what stands beside it in the null twin."""

    def measure(run: Run) -> pd.Series:
        table = change_rows(run)
        chosen = (table["quantity"] == quantity) & (table["part"] == part) & (table["alias"] == "")
        return _by_seed(table.loc[chosen], column)

    return measure


def closed(part: str) -> Measure:
    """The share of the gap by which the lower subset rises with one part of the higher's change."""

    def measure(run: Run) -> pd.Series:
        table = change_rows(run)
        of_part = (table["quantity"] == "closed") & (table["part"] == part)
        of_lower = table["subset"] == run.design.main.names[1]
        return _by_seed(table.loc[of_part & of_lower], "value") / nats_gap(run).mean()

    return measure


def nats_gap(run: Run) -> pd.Series:
    """The gap of a run in nats, by seed."""
    main = run.design.main
    return gap(main.higher, main.lower, metric=NATS)(run)


def recited(run: Run) -> pd.Series:
    """By how many nats the higher subset's definitions are recited better, in their own tag."""
    main = run.design.main
    return gap(main.higher, main.lower, DEFINITION, metric=NATS)(run)


def at_best(run: Run) -> pd.Series:
    """The share of the gap that is there when each subset is read at its best moment."""
    main, stage = run.design.main, run.config.schedule.read_at(Part.X2)
    rows = run.metrics
    rows = rows.loc[(rows["stage"] == stage) & (rows["question"] == HELD_OUT)]
    rows = rows.loc[rows["metric"] == NATS]
    if rows["step"].nunique() < FEWEST_STEPS:
        raise NotMeasured(f"needs {FEWEST_STEPS} evaluations of the last stage (set evaluations)")
    best = []
    for name in main.names:
        of_subset = rows.loc[rows["subset"] == name]
        peaks = of_subset.groupby(["seed", "stage2_seed"], dropna=False)["value"].max()
        best.append(seed_means(peaks.reset_index(), "value"))
    return (best[0] - best[1]) / nats_gap(run).mean()


FEWEST_STEPS = 4


def alignment_gap(run: Run) -> pd.Series:
    """By how much more the higher subset's definitions align with their questions beforehand."""
    higher, lower = run.design.main.higher, run.design.main.lower
    return aligned(run, higher, "grad_cosine") - aligned(run, lower, "grad_cosine")


def by_alias(what: str, held: str) -> Measure:
    """How what an alias has goes with its answers within seed and subset, the other held fixed.

    Partial rank correlation with the alias's mean log-probability, averaged over the two subsets.

    Args:
        what: `amount` (of the questions' code) or `alignment` (of the definition, beforehand).
        held: The other one.
    """

    def measure(run: Run) -> pd.Series:
        table = change_rows(run)
        own = table.loc[table["alias"] != ""]
        wide = own.pivot_table(
            index=["seed", "subset", "alias"], columns="quantity", values="value"
        )
        if "amount" not in wide:
            raise NotMeasured("needs aliases that only questions were trained on")
        wide["alignment"] = _alignment_by_alias(run)
        wide = wide.dropna().reset_index()
        found: Mapping[tuple[int, str], float] = {
            (seed, subset): partial_correlation(*(each[name] for name in ("nats", what, held)))
            for (seed, subset), each in wide.groupby(["seed", "subset"])  # pyright: ignore[reportGeneralTypeIssues]
            if len(each) >= FEWEST_PAIRED
        }
        if not found:
            raise NotMeasured("needs iml align DIR of all definitions (no --limit)")
        by_seed = pd.Series(found).groupby(level=0)
        return by_seed.mean()  # pyright: ignore[reportReturnType]

    return measure


FEWEST_PAIRED = 12
"""Aliases of a subset of which a rank correlation says anything."""


def partial_correlation(first: pd.Series, second: pd.Series, held: pd.Series) -> float:
    """Spearman's correlation of two series with a third held fixed; NaN if that fixes one of them.

    >>> a = pd.Series([1.0, 2.0, 3.0, 4.0])
    >>> round(partial_correlation(a, a, pd.Series([1.0, -1.0, -1.0, 1.0])), 6)
    1.0
    """
    ranks = np.corrcoef([each.rank() for each in (first, second, held)])
    r12, r13, r23 = ranks[0, 1], ranks[0, 2], ranks[1, 2]
    left = (1 - r13**2) * (1 - r23**2)
    return float((r12 - r13 * r23) / np.sqrt(left)) if left > 0 else float("nan")


def _alignment_by_alias(run: Run) -> pd.Series:
    """The gradient cosine of each definition with its own questions, by seed, subset and alias."""
    for subset in (run.design.main.higher, run.design.main.lower):
        aligned(run, subset, "grad_cosine")  # says what is missing
    stage = int(run.config.schedule.read_at(Part.X1))
    table = run.table("alignment")
    assert table is not None
    chosen = table.loc[
        (table["measure"] == "grad_cosine")
        & (table["pairing"] == "own")
        & (table["component"] == "all")
        & (table["stage"] == stage)
        & (table["loss_policy"] == str(run.config.loss_policy))
    ]
    chosen = chosen.loc[chosen["step"] == chosen.groupby("seed")["step"].transform("max")]
    return chosen.groupby(["seed", "subset", "alias"])["value"].mean()


def tag_read(run: Run) -> pd.Series:
    """How much better a probe reads the tag off aliases of unseen entities than permuted labels."""
    table = last_rows(run, "probes", "iml probe DIR --stage 2")
    chosen = table.loc[
        (table["target"] == "tag")
        & (table["site"] == "resid_pre")
        & (table["layer"] == 0)
        & (table["role"] == "alias_last")
        & (table["probe"] == "logistic")
    ]
    return _by_seed(chosen, "accuracy") - _by_seed(chosen, "null_accuracy")


def code_share(column: str = "value") -> Measure:
    """The share of the gap that goes when the amounts of the questions' code are exchanged.

    Args:
        column: `value`, or `control` for its matched nulls.
    """
    needs = "iml codes DIR"

    def measure(run: Run) -> pd.Series:
        table = last_rows(run, "codes", needs)
        chosen = table.loc[
            (table["quantity"] == "share")
            & (table["edit"] == "exchange")
            & (table["code"] == "question")
            & (table["site"] == "embed")
        ]
        return _by_seed(chosen, column, needs)

    return measure


def turned(treatment: str) -> Measure:
    """The share of the gap that goes when updates of Stage 1 are turned, beyond random turns.

    Stage 2 is trained as it was; random turns are as large.

    Args:
        treatment: One of the table `turns`.
    """
    needs = "iml turn DIR"

    def measure(run: Run) -> pd.Series:
        table = last_rows(run, "turns", needs, stage=int(run.config.schedule.read_at(Part.X1)))
        chosen = table.loc[
            (table["treatment"] == treatment)
            & (table["dose"] == 1)
            & (table["subset"] == run.design.main.gap)
            & (table["metric"] == NATS)
            & (table["after"] == int(run.config.schedule.read_at(Part.X2)))
        ]
        own, control = (
            _by_seed(chosen.loc[chosen["control_kind"] == kind], "value", needs)
            for kind in ("", "random")
        )
        return (control - own) / _by_seed(chosen, "untreated", needs).mean()

    return measure


def _by_seed(rows: pd.DataFrame, column: str, needs: str = "") -> pd.Series:
    """One value a seed, those that could not be measured left out."""
    known = rows.loc[rows[column].notna()]
    if known.empty:
        raise NotMeasured(f"needs {needs}" if needs else "not to be measured in these data")
    return known.groupby("seed")[column].mean()
