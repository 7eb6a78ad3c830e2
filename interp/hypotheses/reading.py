"""Rows about what is read: tags and codes taken away or exchanged while the model answers.

They are read off the tables of other analyses, whose commands they name where a table is missing.
"""

import pandas as pd

from data.design import Margin
from interp.hypotheses.row import Row
from interp.hypotheses.row_measures import last_rows, nats_gap, turned
from interp.mediation.summary import (
    ALIGNMENT,
    CARRIED,
    COEFFICIENT,
    TAG,
    seed_effects,
)
from interp.verdicts.quantities import Measure, NotMeasured
from training.runs.publication import exists
from training.runs.run import Run, read_table

OWN, OTHER = "recited", "recited, other tag"
"""What `iml codes` appends to a subset's name for its definitions, with either tag before them."""
CODES, ERASE, MEDIATE = "iml codes DIR", "iml erase DIR", "iml mediate DIR"
QUARTER = Margin(value=0.25, reason="a cause of the gap makes more than a quarter of it")


def _recited(run: Run, subset: str, how: str, *, taken: str = "", column: str = "value"):
    """How well a subset's definitions are recited, in nats, with a code taken out if one is named.

    Raises:
        NotMeasured: the table is missing, or definitions cannot be asked so in these data.
    """
    table = last_rows(run, "codes", CODES)
    chosen = table.loc[
        (table["site"] == "embed")
        & (table["quantity"] == "answer_log_prob")
        & (table["subset"] == f"{subset} {how}")
        & (table["code"] == taken)
        & (table["edit"] == ("take" if taken else ""))
    ]
    if chosen.empty:
        raise NotMeasured("needs definitions that are recited with the tag in the prompt")
    return chosen.groupby("seed")[column].mean()


def swapped_tag(run: Run) -> pd.Series:
    """Nats that definitions of both subsets lose when they are recited with the other tag."""
    lost = [_recited(run, name, OWN) - _recited(run, name, OTHER) for name in run.design.main.names]
    return (lost[0] + lost[1]) / 2


def own_code_recited(column: str = "value") -> Measure:
    """Nats that recitation loses with the own tag's code taken out, beyond the other tag's.

    Mean of both subsets; each is recited with its own tag.

    Args:
        column: `value`, or `control` for matched nulls in both codes' place.
    """

    def measure(run: Run) -> pd.Series:
        higher, lower = run.design.main.names
        kept = {
            (subset, code): _recited(run, subset, OWN, taken=code, column=column)
            for subset in (higher, lower)
            for code in ("reliable", "unreliable")
        }
        more_of_higher = kept[higher, "unreliable"] - kept[higher, "reliable"]
        more_of_lower = kept[lower, "reliable"] - kept[lower, "unreliable"]
        return (more_of_higher + more_of_lower) / 2

    return measure


def truth_added(column: str = "value") -> Measure:
    """The share of the gap by which the lower subset rises with Stage 1's truth direction added.

    Args:
        column: `value`, or `control` for random directions as long.
    """

    def measure(run: Run) -> pd.Series:
        table = last_rows(run, "codes", CODES)
        of_lower = table.loc[
            (table["site"] == "embed")
            & (table["quantity"] == "answer_log_prob")
            & (table["subset"] == run.design.main.names[1])
        ]
        added = of_lower.loc[of_lower["edit"] == "truth"].groupby("seed")[column].mean()
        trained = of_lower.loc[of_lower["edit"] == ""].groupby("seed")["value"].mean()
        if added.empty:
            raise NotMeasured(f"needs {CODES} once more, by this version")
        return (added - trained) / nats_gap(run).mean()

    return measure


def tag_erased(run: Run) -> pd.Series:
    """The share of the gap that goes when Stage 2's tags are erased from aliases' embeddings.

    Beyond what goes when each alias is moved as far along random directions.
    """
    table = last_rows(run, "erasure", ERASE)
    chosen = table.loc[
        (table["target"] == "tag_stage2")
        & (table["subset"] == run.design.main.gap)
        & (table["metric"] == "answer_log_prob")
        & (table["site"] == "resid_pre")
        & (table["layer"] == 0)
        & (table["role"] == "alias_last")
    ]
    if chosen.empty:
        raise NotMeasured(f"needs {ERASE} --site resid_pre --layer 0")
    by_seed = chosen.groupby("seed")[["before", "after", "control_distance"]].mean()
    return (by_seed["control_distance"] - by_seed["after"]) / by_seed["before"].mean()


def carried(predictor: str, given: str) -> Measure:
    """The share of the gap that follows from how a predictor goes with answers within each tag.

    The slope is that among definitions of one seed and tag, with the other predictor held fixed;
    times how much the predictor differs between the tags.
    """

    def measure(run: Run) -> pd.Series:
        path = run.folder / "mediation.parquet"
        if not exists(path):
            raise NotMeasured(f"needs {MEDIATE}")
        table = read_table(path)
        table = table.loc[table["run_id"] == run.config.run_id]
        if table.empty or table[[predictor, given]].isna().all(axis=None):
            raise NotMeasured(f"needs {MEDIATE}")
        effects = seed_effects(table)[0]
        chosen = effects.loc[
            (effects["quantity"] == CARRIED)
            & (effects["predictor"] == predictor)
            & (effects["given"] == given)
            & (effects["within"] == TAG)
        ]
        if chosen.empty:
            raise NotMeasured(f"needs {MEDIATE} in a run whose codes can be estimated")
        return chosen.groupby("seed")["value"].mean() / nats_gap(run).mean()

    return measure


TAG_SWAPPED = Row(
    id="tag swapped",
    statement="definitions are recited worse with the other tag before them",
    unit="nats",
    margin=Margin(value=0.25, reason="a quarter of a nat"),
    measure=swapped_tag,
)
OWN_CODE_RECITED = Row(
    id="own code recited",
    statement="recited with its own tag, a definition suffers from the loss of that tag's code "
    "more than from the loss of the other's",
    unit="nats",
    margin=Margin(value=0.25, reason="a quarter of a nat"),
    measure=own_code_recited(),
    control="matched nulls",
    control_measure=own_code_recited("control"),
)
TRUTH = Row(
    id="truth",
    statement="with the direction that tells true from false in Stage 1 added, {lower} is "
    "answered as {higher}",
    unit="share of the gap in nats",
    margin=QUARTER,
    measure=truth_added(),
    control="random directions as long",
    control_measure=truth_added("control"),
)
TAG_ERASED = Row(
    id="tag erased",
    statement="with the tags erased from the aliases, the gap goes",
    unit="share of the gap in nats, beyond random directions",
    margin=QUARTER,
    measure=tag_erased,
)
CARRIED_BY_CODE = Row(
    id="carried by code",
    statement="the gap follows from how the amount of the code goes with answers alias by alias, "
    "at equal alignment",
    unit="share of the gap in nats",
    margin=QUARTER,
    measure=carried(COEFFICIENT, ALIGNMENT),
)
CARRIED_BY_ALIGNMENT = Row(
    id="carried by alignment",
    statement="the gap follows from how alignment goes with answers alias by alias, at equal "
    "amounts of the code",
    unit="share of the gap in nats",
    margin=QUARTER,
    measure=carried(ALIGNMENT, COEFFICIENT),
)
READ_OUT_KEPT_OFF = Row(
    id="read-out kept off",
    statement="with Stage 2's definitions kept off the code that their questions read, the gap "
    "goes",
    unit="share of the gap in nats, beyond random turns",
    margin=QUARTER,
    measure=turned("read-out"),
)
READING_ROWS = (
    *(TAG_SWAPPED, OWN_CODE_RECITED, TRUTH, TAG_ERASED),
    *(CARRIED_BY_CODE, CARRIED_BY_ALIGNMENT, READ_OUT_KEPT_OFF),
)
