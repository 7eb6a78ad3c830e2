"""Verdicts on planted runs: counted by hand, the stored ones good enough, none lost."""

from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.planted_verdicts import (
    CAUSES,
    GATE,
    ROW,
    SEEDS,
    rates,
    score_draw,
    storage_shares,
    texts,
    verdicts,
    wanted,
)
from benchmarks.verdict_rates import CSV, NEAR, PAGE, TOO_FEW, page
from interp.hypotheses.results import Outcome
from interp.hypotheses.rows import ROWS
from interp.planted.kinds import HYPOTHESES, KINDS
from interp.planted.truth import SHARES

DRAW = 900
"""No draw that the stored rates are of."""


def drawn(
    values: dict[str, list[float]], *, kind: str = "strength", gap: str = "True"
) -> pd.DataFrame:
    """What a draw would have left, had its rows these values."""
    gate = {"kind": kind, "draw": 0, "what": GATE, "name": "a gap", "passed": gap, "found": ""}
    rows = [
        {"kind": kind, "draw": 0, "what": ROW, "name": name, **dict(zip(SEEDS, each, strict=True))}
        for name, each in values.items()
    ]
    return pd.DataFrame([gate, *rows])


STRENGTH = {"shorter": [0.9, 0.8] * 5, "length": [0.9, 1.0] * 5, "at best": [1.0, 0.9] * 5}


def outcomes(scored: pd.DataFrame) -> dict[str, str]:
    judged = verdicts(scored)
    return dict(zip(judged["hypothesis"], judged["verdict"], strict=True))


def test_verdicts_are_given_by_the_values_of_seeds() -> None:
    found = outcomes(drawn(STRENGTH))
    assert found["strength"] == Outcome.SUPPORTED
    assert found["recency"] == Outcome.REFUTED  # which expects no gap at best
    assert found["stored_apart"] == Outcome.UNDECIDED  # nothing is known of its directions


def test_a_value_on_the_margin_decides_nothing() -> None:
    near = {**STRENGTH, "length": [0.05, 0.45] * 5}  # around .25
    assert outcomes(drawn(near))["strength"] == Outcome.UNDECIDED


def test_without_a_gap_all_is_inadmissible() -> None:
    scored = drawn(STRENGTH, kind="none", gap="False")
    assert set(outcomes(scored).values()) == {Outcome.INADMISSIBLE}
    assert wanted("none", "strength") is Outcome.INADMISSIBLE


def test_right_wrong_and_undecided_are_counted() -> None:
    said = [Outcome.SUPPORTED] * 18 + [Outcome.REFUTED, Outcome.UNDECIDED]
    judged = pd.DataFrame({"verdict": said, "wanted": Outcome.SUPPORTED})
    judged = judged.assign(kind="strength", hypothesis="strength")
    (rate,) = rates(judged)
    assert (rate.right, rate.wrong, rate.n) == (18, 1, 20)
    assert rate.is_enough
    assert not replace(rate, right=17).is_enough
    assert not replace(rate, wrong=2).is_enough


def test_the_share_of_storage_is_that_of_what_is_given_back() -> None:
    scored = drawn({"direction": [0.3] * 10, "length": [0.5, 0.7] * 5}, kind="mixture")
    assert storage_shares(scored, "mixture").tolist() == pytest.approx([0.3 / (0.3 + 0.6)])


def test_every_planted_cause_has_a_hypothesis() -> None:
    assert sorted(CAUSES.values()) == sorted(HYPOTHESES)
    assert [text.name for text in texts()] == list(CAUSES)
    assert wanted("mixture", "strength") == Outcome.SUPPORTED
    assert wanted("mixture", "recency") == Outcome.REFUTED


def test_the_page_says_what_is_stored() -> None:
    assert PAGE.read_text() == page(pd.read_csv(CSV))


def test_stored_verdicts_are_as_good_as_is_asked_for() -> None:
    scored = pd.read_csv(CSV)
    assert set(scored["kind"]) == set(KINDS)
    assert TOO_FEW not in PAGE.read_text()
    for kind, share in SHARES.items():
        assert (storage_shares(scored, kind) - share).abs().max() <= NEAR


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_verdict_is_lost(kind: str) -> None:
    scored = score_draw(kind, DRAW)
    judged = verdicts(scored)
    assert judged.loc[judged["verdict"] != judged["wanted"]].values.tolist() == []
    if kind in SHARES:
        assert abs(float(storage_shares(scored, kind).iloc[0]) - SHARES[kind]) <= NEAR
    assert set(scored.loc[scored["what"] == ROW, "name"]) <= {row.id for row in ROWS}
