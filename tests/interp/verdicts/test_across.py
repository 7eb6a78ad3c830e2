"""Claims about several runs, and about gradients, from hand-made tables."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from data.vocabulary import Stage, WordOrder
from interp.claims.verdicts import claims_of_run, claims_of_sweep
from interp.verdicts.across import WORD_ORDER, comparable, is_of, model_size
from interp.verdicts.rule import Word
from tests.interp.hand_made_runs import by_id, make_run, rows_of
from training.runs.run import Run


def alpha_runs(gaps: Mapping[float, list[float]]) -> list[Run]:
    """D5 and D6 at two stages, by alpha their gap in each seed."""
    return [
        make_run(
            rows_of({"D5_CONS": [0.5 + each for each in of], "D6_CONS": [0.5] * len(of)}, stage=2),
            alpha=alpha,
        )
        for alpha, of in gaps.items()
    ]


def test_a_slope_is_fitted_within_each_seed():
    # By hand over alpha .5 .75 1: slope = (last - first) / .5 where the middle is on any line.
    runs = alpha_runs({0.5: [0.0, 0.1, 0.0], 0.75: [0.1, 0.1, 0.2], 1.0: [0.2, 0.3, 0.3]})

    found = by_id(claims_of_sweep(runs, ["A1"]))

    slope = found["A1.slope"].estimate
    assert slope is not None
    assert slope.per_seed == pytest.approx({0: 0.4, 1: 0.4, 2: 0.6})
    assert found["A1.no_tag"].estimate is not None
    assert found["A1.no_tag"].estimate.mean == pytest.approx(0.1 / 3)


def test_a_slope_needs_seeds_that_all_runs_have():
    runs = alpha_runs({0.5: [0.0, 0.1, 0.0], 1.0: [0.2, 0.3]})

    estimate = by_id(claims_of_sweep(runs, ["A1"]))["A1.slope"].estimate

    assert estimate is not None
    assert set(estimate.per_seed) == {0, 1}
    assert claims_of_sweep(runs[:1], ["A3"])[0].word is Word.NOT_MEASURED


def test_seeds_that_differ_between_runs_are_no_pairs():
    rows = rows_of({"D5_CONS": [0.5], "D6_CONS": [0.5]}, stage=2)
    other = rows_of({"D5_CONS": [0.9], "D6_CONS": [0.5]}, stage=2, first_seed=7)
    runs = [make_run(rows, alpha=0.5), make_run(other, alpha=1.0)]

    found = by_id(claims_of_sweep(runs, ["A1"]))["A1.slope"]

    assert (found.word, found.reason) == (Word.NOT_MEASURED, "the runs have no seed in common")


def test_a_question_that_was_not_asked_is_named_as_tables_name_it():
    rows = rows_of({"D5_CONS": [0.8], "D6_CONS": [0.5]}, stage=2)
    runs = [make_run(rows, word_order=str(order)) for order in WordOrder]
    reasons = [each.reason for each in claims_of_sweep(runs, ["O1"]) if each.id == "O1.aet"]
    assert reasons == ["no question 'attribution' about D5_CONS"]


def test_objectives_of_one_sweep_are_judged_apart():
    rows = rows_of({"D5_CONS": [0.8, 0.9], "D6_CONS": [0.5, 0.6]}, stage=2)
    policies = ("text", "answer")
    runs = [
        make_run(rows, word_order=str(order), loss_policy=policy)
        for order in (WordOrder.TAE, WordOrder.EAT)
        for policy in policies
    ]

    verdicts = claims_of_sweep(runs, ["O1", "M1"])

    assert set(comparable(runs, WORD_ORDER)) == {f"loss_policy={policy}" for policy in policies}
    assert [each.runs for each in verdicts if each.id == "O1"] == sorted(
        {f"loss_policy={policy}" for policy in policies}, reverse=True
    )
    found = {(each.id, each.runs): each for each in verdicts}
    assert found["O1.tae", "loss_policy=text"].word is Word.HOLDS
    assert found["O1.eat", "loss_policy=text"].word is Word.FAILS
    assert found["O1.tea", "loss_policy=text"].reason == "no run at tea"
    assert "M1" not in {each.id for each in verdicts}


def test_a_larger_batch_is_compared_per_doubling():
    gaps = {16: [0.4, 0.4], 64: [0.2, 0.22], 256: [0.0, 0.02]}
    runs = [
        make_run(
            rows_of({"D5_CONS": [0.5 + each for each in of], "D6_CONS": [0.5, 0.5]}, stage=2),
            batch_size=size,
        )
        for size, of in gaps.items()
    ]

    found = by_id(claims_of_sweep(runs, ["B1", "B2"]))

    def per_seed(name: str) -> dict[int, float]:
        estimate = found[name].estimate
        assert estimate is not None
        return estimate.per_seed

    assert per_seed("B1.gap") == pytest.approx({0: -0.1, 1: -0.095})
    assert found["B1.gap"].word is Word.HOLDS
    assert per_seed("B1.full") == pytest.approx({0: 0.0, 1: 0.02})
    assert per_seed("B2") == pytest.approx({0: 0.2, 1: 0.18})
    assert found["B2"].word is Word.FAILS


def test_alignment_is_read_after_x1_of_own_pairs_with_aliases_counted_equally(
    bears_on, tmp_path: Path
):
    bears_on("G1")
    run = make_run(rows_of({"D5_CONS": [0.5, 0.5]}, stage=1), tmp_path)
    common = {"run_id": run.config.run_id, "loss_policy": str(run.config.loss_policy)}
    common |= {"component": "all", "pairing": "own", "stage": int(Stage.ONE), "step": 10}
    values = [("D5_CONS", "a", 0.4), ("D5_CONS", "a", 0.2), ("D5_CONS", "b", 0.5)]
    values += [("D6_CONS", "c", 0.1)]
    rows = [
        {"seed": seed, "subset": subset, "alias": alias, "row_a": alias, "row_b": i}
        | {"value": value + 0.1 * seed * (subset == "D5_CONS"), "measure": measure, **common}
        for seed in (0, 1)
        for i, (subset, alias, value) in enumerate(values)
        for measure in ("grad_cosine", "grad_dot")
    ]
    noise = [
        row | {"value": -9.0} | other
        for row in rows
        for other in (
            {"step": 5},
            {"stage": 2},
            {"pairing": "other"},
            {"component": "embed_in"},
            {"run_id": "another"},
            {"loss_policy": "all"},
        )
    ]
    missing = claims_of_run(run)
    pd.DataFrame(rows + noise + rows).to_parquet(tmp_path / "alignment.parquet")

    found = by_id(claims_of_run(run))

    assert missing[0].reason == "run iml align --stage 1 first"
    assert found["G1.cosine"].estimate is not None
    assert found["G1.cosine"].estimate.per_seed == pytest.approx({0: 0.3, 1: 0.4})
    assert found["G1.dot"].word is Word.UNDECIDED


def test_model_names_say_size_and_family():
    assert model_size("EleutherAI/pythia-70m-deduped") == 70e6
    assert model_size("meta-llama/Llama-2-7b-hf") == 7e9
    assert model_size("tiny-gpt-neox") is None
    assert is_of("EleutherAI/gpt-neo-1.3B", "gpt-neo")
    assert not is_of("gpt-neox-20b", "gpt-neo")
