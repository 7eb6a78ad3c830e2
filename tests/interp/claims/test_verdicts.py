"""Verdicts from hand-made tables: every kind, every word, every claim."""

import json
import math

import pytest

from data.tasks.iml import D5_CONS
from interp.claims.all_claims import CLAIMS, HEADINGS
from interp.claims.text import claims_text
from interp.claims.verdicts import claims_of_group, claims_of_run, claims_of_sweep
from interp.verdicts.quantities import level
from interp.verdicts.rule import Word
from interp.verdicts.wording import WIDTH, found_text
from tests.interp.hand_made_runs import by_id, make_run, margin_of, rows_of
from training.recipes import find_recipe
from training.registry import RECIPES
from training.schedules import Schedule

PAPER = {
    **{f"S{i}": i for i in range(1, 9)},
    **{f"M{i}": i for i in range(1, 7)},
    **{f"A{i}": i for i in range(1, 4)},
    **{f"O{i}": i for i in range(1, 5)},
    **{f"Z{i}": i for i in range(1, 4)},
    **{f"G{i}": i for i in range(1, 5)},
} | dict.fromkeys(("B1", "B2", "I1", "T1", "T2", "F4"))
FAMILY = ("OCR", "TRUTH", "BIO", "K1", "K2", "K3", "K4", "R1", "R2", "R3", "R4", "R5")
FAMILY += ("H1", "H2", "H3", "H4", "H5", "H6", "C1", "C2", "C3")
"""Claims of other papers, and of none, about the out-of-context family."""
IN_CONTEXT = {"D5_CONS": [0.8, 0.9, 0.7], "D6_CONS": [0.3, 0.4, 0.2], "QA7_UNSEEN": [0.3, 0.4, 0.2]}


def test_every_claim_of_the_paper_is_there_once():
    ids = [each.id for each in CLAIMS]

    assert len(ids) == len(set(ids))
    assert {each.group for each in CLAIMS} == {*PAPER, *FAMILY}
    assert set(HEADINGS) == {each.group for each in CLAIMS if "." in each.id}
    for name in PAPER:
        parts = claims_of_group(name)
        assert len(parts) == 1 or all("." in part.id for part in parts)
        assert len({part.across is None for part in parts}) == 1


def test_every_recipe_bears_on_claims_that_exist():
    find_recipe("alias-toy")

    assert {name for each in RECIPES.values() for name in each.claims} <= {*PAPER, *FAMILY}


def test_a_claim_is_measured_at_its_stage_and_pairs_seeds(bears_on):
    bears_on("M1", "S3")
    rows = rows_of({"D5_CONS": [0.8, 0.5, 0.6], "D6_CONS": [0.5, 0.4, 0.4]}, stage=2)
    rows += rows_of({"D5_CONS": [0.1] * 3, "D6_CONS": [0.9] * 3}, stage=1)
    rows += rows_of({"D1_CONS_QA1": [0.9] * 3, "D2_INCONS_QA2": [0.5, 0.6, 0.4]}, stage=1)

    found = by_id(claims_of_run(make_run(rows)))

    assert found["M1"].estimate is not None
    assert found["M1"].estimate.per_seed == pytest.approx({0: 0.3, 1: 0.1, 2: 0.2})
    half = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert found["M1"].estimate.ci_low == pytest.approx(0.2 - half)
    assert found["M1"].word is Word.UNDECIDED
    assert found["S3"].word is Word.HOLDS


def test_stage_2_seeds_are_averaged_first(bears_on):
    bears_on("M1")
    rows = rows_of({"D5_CONS": [0.9, 0.8], "D6_CONS": [0.1, 0.1]}, stage=2)
    again = [row | {"stage2_seed": 1, "value": 0.1} for row in rows if row["step"] == 10]

    found = by_id(claims_of_run(make_run(rows + again)))["M1"]

    assert found.estimate is not None
    assert found.estimate.per_seed == pytest.approx({0: 0.4, 1: 0.35})


def test_seeds_that_stop_at_different_steps_are_read_at_their_own_last():
    rows = rows_of({"D5_CONS": [0.8, 0.5]}, stage=2)
    longer = rows_of({"D5_CONS": [0.3]}, stage=2, first_seed=2)
    rows += [row | {"step": 12} for row in longer if row["step"] == 10]

    assert level(make_run(rows), D5_CONS).to_dict() == {0: 0.8, 1: 0.5, 2: 0.3}


@pytest.mark.parametrize(
    ("d6", "word"),
    [
        ([0.31, 0.39, 0.2], Word.HOLDS),
        ([0.0, 0.1, 0.0], Word.FAILS),  # D6 falls behind QA7: it is not like it
        ([0.9, 0.1, 0.3], Word.UNDECIDED),
    ],
)
def test_a_claim_of_parts_is_what_its_parts_make_of_it(bears_on, d6: list[float], word: Word):
    bears_on("I1")
    levels = IN_CONTEXT | {"D6_CONS": d6, "D5_CONS": [0.9, 1.0, 0.85]}
    levels |= {"D2_INCONS_QA2": [0.51, 0.4, 0.3], "QA3": [0.5, 0.4, 0.31]}
    run = make_run(rows_of(levels, stage=1), schedule=Schedule.X1_ONLY)

    verdicts = claims_of_run(run)

    assert verdicts[0].id == "I1"
    assert len(verdicts) == 5
    assert verdicts[0].estimate is None
    assert by_id(verdicts)["I1.ignored"].word is Word.HOLDS
    assert by_id(verdicts)["I1"].word is word


def test_a_claim_with_a_part_that_is_not_measured_does_not_hold(bears_on):
    bears_on("S5")
    levels = {"D5_CONS": [0.2, 0.3, 0.2], "D6_CONS": [0.2, 0.3, 0.2], "QA7_UNSEEN": [0.2, 0.3, 0.2]}

    found = by_id(claims_of_run(make_run(rows_of(levels, stage=1))))

    assert found["S5.D5_CONS"].word is Word.HOLDS
    assert found["S5.D8_CONS"].reason == "no D8_CONS"
    assert (found["S5"].word, found["S5"].reason) == (Word.UNDECIDED, "2 of 3 parts hold")


@pytest.mark.parametrize("schedule", list(Schedule))
def test_a_run_without_any_data_measures_nothing_and_says_why(bears_on, schedule: Schedule):
    for name in PAPER:
        bears_on(name)
        run = make_run([], schedule=schedule)

        verdicts = claims_of_run(run) + claims_of_sweep([run], [name])

        assert verdicts, name
        for verdict in verdicts:
            assert verdict.word is Word.NOT_MEASURED, name
            assert verdict.reason, name
            assert json.loads(json.dumps(verdict.to_json()))["verdict"] == "not measured"


def test_the_margin_is_the_recipes_where_the_claim_has_none_of_its_own(bears_on):
    bears_on("M6", "M5")
    rows = rows_of({"QA7_UNSEEN": [0.2, 0.3]}, stage=1)
    rows += rows_of({"QA7_UNSEEN": [0.21, 0.3]}, stage=2)
    rows += rows_of({"D2_INCONS_QA2": [0.0, 0.0]}, stage=1, question="attribution")
    run = make_run(rows)

    found = {name: each.to_json() for name, each in by_id(claims_of_run(run)).items()}

    assert found["M6"]["margin"] == margin_of(run.config).value
    assert found["M6"]["estimate"] == pytest.approx(0.005)
    assert found["M6"]["verdict"] == "holds"
    assert (found["M5"]["margin"], found["M5"]["verdict"]) == (0.01, "holds")
    assert found["M6"]["margin_reason"].endswith(margin_of(run.config).reason)
    assert all(each["margin_reason"] for each in found.values())


def test_each_design_and_loss_policy_has_a_margin_of_its_own_from_pilot_seeds():
    policies = ("answer", "text", "all")
    recipes = ("alias-toy", "alias-toy-tokens", "source-toy")
    configs = {name: [find_recipe(name)(loss_policy=p) for p in policies] for name in recipes}

    # Sixths of the pilots' gaps: .48, .24, .18; .36, .29, .26; .24, .08, .17.
    assert {name: [margin_of(config).value for config in of] for name, of in configs.items()} == {
        "alias-toy": [0.08, 0.04, 0.03],
        "alias-toy-tokens": [0.06, 0.05, 0.04],
        "source-toy": [0.04, 0.01, 0.03],
    }
    reasons = [margin_of(config).reason for of in configs.values() for config in of]
    assert len(set(reasons)) == 9
    assert "seeds 0 to 7, untied, 2026-11-27" in reasons[1]


def test_a_gap_of_the_size_of_half_an_effect_is_not_called_none(bears_on):
    # Word order EAT under `text`: mean .031, 90% interval .001 to .061 of 8 seeds.
    half = 0.03 / 1.894578605  # t of 7 degrees of freedom
    spread = half * math.sqrt(8) / math.sqrt(8 / 7)
    values = [0.031 + sign * spread for sign in (1, -1) * 4]
    d1 = {"D1_CONS_QA1": [0.9] * 8, "QA7_UNSEEN": [0.1] * 8}
    rows = rows_of(d1, stage=1)
    rows += rows_of({"D5_CONS": [0.5 + v for v in values], "D6_CONS": [0.5] * 8}, stage=2)
    words = {}
    for policy in ("answer", "text"):
        run = make_run(rows, word_order="eat", loss_policy=policy)
        found = by_id(claims_of_sweep([run], ["O1"]))["O1.eat"]
        assert found.equivalence is not None
        assert found.equivalence.ci_high == pytest.approx(0.061, abs=1e-4)
        words[policy] = found.word

    assert words == {"answer": Word.HOLDS, "text": Word.UNDECIDED}


def test_a_full_batch_that_learned_nothing_has_no_gap_and_shows_none(bears_on):
    # As `iml sweep toy-batch-size` found: D1 .20 at the full batch, a guess .15.
    runs = []
    for size, d1, of in ((64, 1.0, 0.4), (4096, 0.2, 0.005)):
        rows = rows_of({"D1_CONS_QA1": [d1] * 3, "QA7_UNSEEN": [0.14, 0.15, 0.16]}, stage=1)
        levels = {"D5_CONS": [0.2 + of, 0.21 + of, 0.2 + of], "D6_CONS": [0.2, 0.2, 0.2]}
        runs.append(make_run(rows + rows_of(levels, stage=2), batch_size=size))

    found = by_id(claims_of_sweep(runs, ["B1"]))

    assert found["B1.gap"].word is Word.HOLDS
    assert (found["B1.full"].word, found["B1.full"].reason) == (
        Word.UNDECIDED,
        "Stage 1 not learned",
    )
    assert found["B1"].word is Word.UNDECIDED
    assert "Stage 1 not learned" in found_text(found["B1.full"])


def test_the_new_tag_is_expected_elsewhere_in_a_single_stage(bears_on):
    bears_on("M4")
    rows = rows_of({"D5_CONS": [0.5, 0.5], "D8_CONS": [0.4, 0.41]}, stage=1, question="name")
    rows += [row | {"stage": 2} for row in rows]

    twin_rows = [row | {"value": 0.4} for row in rows]
    found = {}
    for schedule in (Schedule.SINGLE_STAGE, Schedule.TWO_STAGE):
        twin = make_run(twin_rows, schedule=schedule)
        found[schedule] = by_id(claims_of_run(make_run(rows, schedule=schedule, null=twin)))
    single, two = found.values()

    assert single["M4.name_single_stage"].word is Word.HOLDS
    assert two["M4.name"].word is Word.FAILS
    assert "M4.name" not in single
    assert "M4.name_single_stage" not in two


def test_x2_cannot_be_read_before_its_training_in_a_single_stage(bears_on):
    bears_on("S5", "M6")
    levels = {name: [0.2, 0.3] for name in ("D5_CONS", "D6_CONS", "D8_CONS", "QA7_UNSEEN")}

    run = make_run(rows_of(levels, stage=1), schedule=Schedule.SINGLE_STAGE)

    assert {each.word for each in claims_of_run(run)} == {Word.NOT_MEASURED}


def test_text_fits_a_terminal_and_names_every_claim(bears_on):
    bears_on("S1", "I1", "M2", "S5", "A1")
    levels = IN_CONTEXT | {"D2_INCONS_QA2": [0.5, 0.4, 0.3], "QA3": [0.5, 0.4, 0.31]}
    verdicts = claims_of_run(make_run(rows_of(levels, stage=1), schedule=Schedule.X1_ONLY))

    text = claims_text(verdicts)

    assert max(map(len, text.splitlines())) <= WIDTH
    for verdict in verdicts:
        assert f"{verdict.id:<22}{verdict.word:<14}" in text
    assert "A1                    not measured  compares runs of one alpha" in text


def test_one_seed_is_shown_without_an_interval(bears_on):
    bears_on("M1")
    rows = rows_of({"D5_CONS": [0.8], "D6_CONS": [0.5]}, stage=2)

    (verdict,) = claims_of_run(make_run(rows))

    assert found_text(verdict) == "+0.300"
    assert verdict.to_json()["ci_low"] is None
    assert verdict.word is Word.UNDECIDED
