import numpy as np
import pandas as pd
import pytest

from interp.circuits.evaluation import Criterion
from interp.circuits.summary import COORDINATES, MEASURED, plain, record, summarize_circuits
from training.columns import NO_RUN

WHERE = {"circuit": "answer D5", "ablation": "mean"}


def table(*records: dict) -> pd.DataFrame:
    return pd.DataFrame([{**NO_RUN, **WHERE, **each} for each in records])


def ranked(seed: int, value: float, null: list[float], quantity: str = "faithfulness") -> dict:
    found = np.array(null)
    p = (1 + (found >= value).sum()) / (1 + len(found))
    criterion = Criterion(value=value, null=found, p_value=float(p))
    return {"seed": seed, **record(quantity, criterion, 10, unit="m0@alias")}


def test_a_record_has_its_null_beside_it() -> None:
    found = ranked(0, 0.5, [0.0, 0.1, 0.2])
    assert (found["value"], found["n_null"], found["n"]) == (0.5, 3, 10)
    assert found["control"] == pytest.approx(0.1)
    assert found["null_low"] == pytest.approx(0.01)
    assert found["null_high"] == pytest.approx(0.19)
    assert found["p_value"] == 0.25


def test_of_an_empty_null_nothing_is_known() -> None:
    found = ranked(0, 0.5, [])
    assert found["n_null"] == 0
    assert np.isnan([found[name] for name in ("control", "null_low", "null_high", "p_value")]).all()
    assert set(found) - {"seed"} == {"quantity", "unit", "subset", *MEASURED}


def test_seeds_are_averaged_and_their_ranks_combined() -> None:
    summary = summarize_circuits(
        table(*(ranked(seed, 0.5 + 0.1 * seed, [0.0] * 19) for seed in range(4)))
    )
    (cell,) = summary.to_dict("records")
    assert cell["value"] == pytest.approx(0.65)
    assert cell["difference"] == pytest.approx(0.65)
    assert cell["ci_low"] < 0.65 < cell["ci_high"]
    assert cell["p_value"] < 0.001
    assert cell["p_smallest"] <= cell["p_value"]
    assert (cell["n"], cell["n_null"], cell["n_seeds"]) == (40, 19, 4)


def test_seeds_without_matched_circuits_are_counted_and_left_out_of_the_test() -> None:
    tested, alone = ranked(0, 0.5, [0.1] * 19, "disruption"), ranked(1, 0.9, [], "disruption")
    (cell,) = summarize_circuits(table(tested, alone)).to_dict("records")
    assert (cell["n_null"], cell["n_tested"], cell["n_seeds"]) == (0, 1, 2)
    assert cell["value"] == pytest.approx(0.7)
    assert cell["difference"] == pytest.approx(0.4)
    assert cell["p_value"] == pytest.approx(0.05, abs=0.01)


def test_where_no_seed_has_matched_circuits_nothing_is_tested() -> None:
    (cell,) = summarize_circuits(table(ranked(0, 0.5, [], "disruption"))).to_dict("records")
    assert cell["n_tested"] == 0
    assert np.isnan(cell["p_value"])


def test_minimality_is_corrected_over_its_circuit_and_the_rest_over_the_quantity() -> None:
    rows = []
    for circuit in ("answer D5", "answer D6"):
        for quantity in ("minimality", "transfer"):
            for unit in ("m0@alias", "m1@alias"):
                for seed in range(3):
                    found = ranked(seed, 1.0, [0.0] * 19, quantity)
                    rows.append({**found, "circuit": circuit, "unit": unit})
    summary = summarize_circuits(table(*rows)).set_index("quantity")
    corrected = summary["p_corrected"] / summary["p_value"]
    assert corrected["minimality"].tolist() == pytest.approx([2.0] * 4)
    assert corrected["transfer"].tolist() == pytest.approx([4.0] * 4)


def test_what_is_held_against_nothing_has_an_interval_and_no_p() -> None:
    rows = [{"seed": s, **plain("inclusion", 0.2 * s, 10, unit="m0@alias")} for s in range(4)]
    (cell,) = summarize_circuits(table(*rows)).to_dict("records")
    assert cell["difference"] == cell["value"] == pytest.approx(0.3)
    assert np.isnan(cell["p_corrected"])
    assert set(COORDINATES) <= set(cell)
