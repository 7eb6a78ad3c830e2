"""Hand-made numbers of turned updates: contrasts, verdicts on what was kept, sentences, figure."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from interp.turns.plots import plot_turns
from interp.turns.summary import summarize_turns, turn_contrasts
from interp.turns.treatments import ALIGNMENT, OWN_CODE, RANDOM, TO_QUESTION, UNTREATED
from interp.turns.wording import turns_found

D1, D2, D5, D6, GAP = "D1_CONS_QA1", "D2_INCONS_QA2", "D5_CONS", "D6_CONS", "D5_CONS-D6_CONS"
SEEDS = range(1000, 1008)
UNTREATED_GAP = 0.5


def table(effect: float, control: float, lost: float = 0.0) -> pd.DataFrame:
    """The gap of each seed changes by `effect` and by `control`, what Stage 1 trains by `lost`."""
    records: list[dict[str, Any]] = []
    for seed in SEEDS:
        noise = 0.01 * (-1) ** seed
        for treatment, kind, change in (
            (UNTREATED, "", 0.0),
            (OWN_CODE, "", effect + noise),
            (OWN_CODE, RANDOM, control - noise),
            (TO_QUESTION, "", -0.4 + noise),
        ):
            dose = float(treatment != UNTREATED)
            for subset, metric, after, known, moved in (
                (GAP, "exact_match", 2, UNTREATED_GAP, change),
                (D2, "exact_match", 1, 0.9, -lost * dose),
                (D1, "exact_match", 1, 1.0, 0.0),
                (D2, "code_length", 1, 0.2, -0.15 * dose + noise * dose),
                (GAP, "coefficient", 2, 0.2, noise),
            ):
                where = {"subset": subset, "metric": metric, "after": after}
                values = {"value": known + moved, "untreated": known, "distance": 0.0}
                records.append(
                    {"treatment": treatment, "dose": dose, "control_kind": kind, "seed": seed}
                    | where
                    | values
                )
    run = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae"}
    return pd.DataFrame(records).assign(**run, stage=1, step=10)


def cell(summary: pd.DataFrame, **where: object) -> dict[str, Any]:
    shown = summary
    for name, value in where.items():
        shown = shown.loc[shown[name] == value]
    (record,) = shown.to_dict("records")
    return {str(name): value for name, value in record.items()}


def test_a_treatment_is_held_against_the_untreated_run_and_against_each_control():
    summary = summarize_turns(table(effect=-0.4, control=-0.1))
    gap = {"subset": GAP, "treatment": OWN_CODE, "metric": "exact_match"}
    real = cell(summary, **gap, control_kind="", against="untreated")
    assert real["difference"] == pytest.approx(-0.4, abs=0.01)
    assert real["null"] == pytest.approx(UNTREATED_GAP)
    assert real["ci_high"] < 0
    assert real["p_value"] == pytest.approx(2 / 2**8)
    beyond = cell(summary, **gap, control_kind="", against=RANDOM)
    assert beyond["difference"] == pytest.approx(-0.3, abs=0.02)
    control = cell(summary, **gap, control_kind=RANDOM)
    assert control["difference"] == pytest.approx(-0.1, abs=0.01)
    alone = cell(summary, treatment=UNTREATED, subset=GAP, metric="exact_match")
    assert (alone["value"], alone["null"]) == (pytest.approx(UNTREATED_GAP), 0.0)


def test_contrasts_are_of_the_same_seed():
    contrasts = turn_contrasts(table(effect=-0.4, control=-0.1))
    is_gap = (contrasts["subset"] == GAP) & (contrasts["metric"] == "exact_match")
    of_gap = contrasts.loc[is_gap & (contrasts["against"] == RANDOM)]
    assert list(of_gap["seed"]) == list(SEEDS)
    noise = [0.02 * (-1) ** seed for seed in SEEDS]
    assert of_gap["difference"].tolist() == pytest.approx([-0.3 + each for each in noise])


def test_no_effect_beyond_the_control_is_told_as_one():
    summary = summarize_turns(table(effect=-0.1, control=-0.1))
    beyond = cell(summary, subset=GAP, treatment=OWN_CODE, metric="exact_match", against=RANDOM)
    assert beyond["p_value"] > 0.2
    assert beyond["ci_low"] < 0 < beyond["ci_high"]


def test_sentences_say_gap_control_check_and_what_was_kept():
    said = "\n".join(turns_found(summarize_turns(table(effect=-0.4, control=-0.1))))
    assert "Treatment 'own code' in Stage 1" in said
    assert "gap D5 − D6 in exact match +0.100 instead of +0.500, change -0.400 [" in said
    assert "beyond 'random' (p = 0.0078 by sign flips" in said
    assert "length of the code that D2 definitions write: " in said
    assert "moved." in said
    assert f"{D1} +0.000 [+0.000, +0.000] (kept); {D2} " in said
    assert "Manipulation check 'to question code' in Stage 2" in said
    assert "not shown to have moved" in said  # of the coefficient, whose changes are noise
    assert "equal the run's own bit for bit" in said
    assert ALIGNMENT not in said


def test_one_seed_shows_neither_that_a_treatment_worked_nor_an_interval():
    alone = table(effect=-0.4, control=-0.1)
    said = "\n".join(turns_found(summarize_turns(alone.loc[alone["seed"] == 1000])))
    assert "nan" not in said
    assert ": moved" not in said
    assert f"{D2} +0.000 (kept)" in said or f"{D2} -0.000 (kept)" in said


def test_what_is_lost_is_not_kept():
    said = "\n".join(turns_found(summarize_turns(table(effect=-0.4, control=-0.1, lost=0.2))))
    assert f"{D2} -0.200 [-0.200, -0.200] (not kept)" in said


def traces_of(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}  # pyright: ignore[reportAttributeAccessIssue]


def test_the_figure_shows_treatments_controls_and_the_untreated_gap():
    rows = table(effect=-0.4, control=-0.1)
    figure = plot_turns(summarize_turns(rows), rows)
    traces = traces_of(figure)
    assert traces["untreated"].y[0] == pytest.approx(UNTREATED_GAP)
    assert list(traces["treatment"].y) == pytest.approx([0.1, 0.1], abs=0.01)
    assert list(traces["control: random"].y) == pytest.approx([0.4], abs=0.01)
    assert list(traces[D2].y) == pytest.approx([0.0])
    assert "untreated" in traces_of(plot_turns(rows))
