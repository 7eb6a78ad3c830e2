"""What commands print, from made-up findings: as much as a screen holds, all of it, or JSON."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interp.commands.output import (
    MOST_CELLS,
    Findings,
    Said,
    largest_first,
    print_findings,
    print_json,
)

Capture = pytest.CaptureFixture[str]
LONG = "A sentence of numbers that takes more than one line, as sentences with controls do, " * 3


def made_up_run(name: str) -> Any:
    return SimpleNamespace(folder=Path(name), config=SimpleNamespace(run_id=name))


def cells(n: int, **changes: Any) -> pd.DataFrame:
    values: dict[str, Any] = {"run_id": "run-0", "place": [f"place-{i}" for i in range(n)]}
    values |= {"kind": "alias", "difference": np.linspace(-1, 1, n), "ci_low": np.nan}
    values |= {"ci_high": np.nan, "p_corrected": 0.5, "p_smallest": 0.0078, "n_seeds": 8}
    return pd.DataFrame(values | changes)


def findings(said: list[Said], table: pd.DataFrame, **changes: Any) -> Findings:
    values: dict[str, Any] = {"analysis": "weights", "said": said, "summary": table, "cells": table}
    columns = ["place", "kind", "difference", "ci_low", "ci_high", "p_corrected", "n_seeds"]
    return Findings(**values | {"columns": columns, "legend": "What columns mean."} | changes)


def said(run: Any, *sentences: str, step: int = 9, details: tuple[str, ...] = ()) -> Said:
    return Said(run=run, stage=1, step=step, sentences=sentences, details=details)


def printed(what: Findings, capsys: Capture, *, full: bool = False) -> list[str]:
    print_findings(what, argparse.Namespace(full=full, json=False))
    return capsys.readouterr().out.splitlines()


def test_sentences_come_first_then_a_short_table_that_says_of_how_many(capsys: Capture):
    run = made_up_run("one")
    lines = printed(findings([said(run, "It is found.", "It is small.")], cells(40)), capsys)

    assert lines[:3] == ["It is found.", "It is small.", ""]
    assert "".join(lines[3:5]).startswith(f"{MOST_CELLS} of 40 cells (those that differ")
    assert lines[-1] == "What columns mean."
    assert len([line for line in lines if "place-" in line]) == MOST_CELLS


def test_what_all_cells_of_the_short_table_share_is_said_once(capsys: Capture):
    lines = printed(findings([said(made_up_run("one"), "So.")], cells(5)), capsys)

    assert "; kind alias); --full for all:" in " ".join(lines)
    assert not [line for line in lines if "place-" in line and "alias" in line]


def test_full_prints_every_sentence_and_cell(capsys: Capture):
    run = made_up_run("one")
    what = findings([said(run, *[LONG] * 20, details=("A detail.",))], cells(99))
    short, lines = printed(what, capsys), printed(what, capsys, full=True)

    assert len(short) <= 60
    assert "A detail." in lines
    assert "A detail." not in short
    assert sum("place-" in line for line in lines) == 99
    assert sum(line.startswith("A sentence of numbers") for line in lines) == 20


@pytest.mark.parametrize("n_runs", [2, 5, 30])
def test_many_runs_have_their_share_of_a_screen(n_runs: int, capsys: Capture):
    runs = [made_up_run(f"run-{i}") for i in range(n_runs)]
    what = findings([said(run, *[LONG] * 8) for run in runs], cells(99))
    lines = printed(what, capsys)

    assert len(lines) <= 60
    assert lines[0] == f"{runs[0].folder}:"
    n_told = sum(line.endswith(":") and "run-" in line for line in lines)
    assert n_told == n_runs or f"{n_runs - n_told} more runs or checkpoints" in "\n".join(lines)
    assert "n = 8 seeds can give no p below 0.0078." in " ".join(lines)  # whatever was cut


def test_checkpoints_of_one_run_are_told_apart_by_step(capsys: Capture):
    run = made_up_run("one")
    lines = printed(findings([said(run, "A.", step=1), said(run, "B.", step=2)], cells(2)), capsys)

    assert lines[:4] == ["Stage 1, step 1:", "A.", "Stage 1, step 2:", "B."]


def test_two_analyses_of_one_command_fit_together(capsys: Capture):
    run = made_up_run("one")
    second = findings([said(run, *[LONG] * 8)], cells(99))
    both = findings([said(run, *[LONG] * 8)], cells(99), further={"second": second})

    assert len(printed(both, capsys)) <= 60


def test_cells_that_survive_correction_come_first_then_the_largest():
    table = cells(3, difference=[0.1, -0.9, 0.5], p_corrected=[0.01, 0.2, np.nan])

    assert largest_first(table)["place"].tolist() == ["place-0", "place-1", "place-2"]
    assert largest_first(table.assign(p_corrected=1.0))["place"].iloc[0] == "place-1"


def test_json_has_null_for_what_is_no_number(capsys: Capture):
    value = {"a": np.float64("nan"), "b": [float("inf"), np.int64(3)], "c": Path("x"), 4: "–"}
    print_json(value | {"d": np.bool_(True), "e": None, "f": (0.5,)})

    assert json.loads(capsys.readouterr().out) == (
        {"a": None, "b": [None, 3], "c": "x", "4": "–", "d": True, "e": None, "f": [0.5]}
    )
