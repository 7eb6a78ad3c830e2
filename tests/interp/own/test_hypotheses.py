"""Hypotheses from Python: as the command, but nothing is written into the run's folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from data.errors import InputError
from interp.cli import main
from interp.hypotheses.files import load_results
from interp.hypotheses.results import Result
from interp.own.hypotheses import check_hypotheses
from training.runs.ledger import Ledger
from training.runs.run import Run


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("IML_LEDGER", str(path))
    return path


def told(results: list[Result]) -> list[dict[str, object]]:
    return [each.to_json() for each in results]


def test_verdicts_are_those_of_the_command_and_the_folder_stays_as_it_is(
    copied_run: Path, tree_hash: Callable[[Path], dict[str, str]], ledger: Path
) -> None:
    before = tree_hash(copied_run)
    names = ("strength", "gradient_alignment")
    found = check_hypotheses(Run.load(copied_run), *names)

    assert tree_hash(copied_run) == before
    reads = [each["analysis"] for each in Ledger.load(ledger).entries]
    assert reads[-1] == "hypothesis"
    ledger.unlink()
    for name in names:
        assert main(["hypothesis", name, str(copied_run)]) == 0
    assert told(sorted(found, key=lambda each: each.name)) == told(
        load_results(Run.load(copied_run))
    )


def test_tables_that_are_given_count_in_place_of_those_of_the_folder(copied_run: Path) -> None:
    run = Run.load(copied_run)
    assert main(["align", str(copied_run), "--limit", "3"]) == 0
    table = run.table("alignment")
    assert table is not None

    def seen(tables: dict[str, pd.DataFrame] | None) -> float | None:
        (result,) = check_hypotheses(run, "gradient_alignment", tables=tables)
        return next(each.estimate for each in result.predictions if each.row == "aligned")

    turned = table.assign(value=-table["value"])
    own = seen(None)
    assert own
    assert seen({"alignment": turned}) == pytest.approx(-own)
    assert replace(run, given_tables={}).table("alignment") is None


def test_a_hypothesis_that_is_not_there_is_refused(tiny_run: Run) -> None:
    with pytest.raises(InputError, match="did you mean strength"):
        check_hypotheses(tiny_run, "strengt")
