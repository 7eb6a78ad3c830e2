"""Each analysis of two small runs: sentences first, a screenful at most, the same as JSON."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp.cli import main
from interp.grids import grid
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from training.recipes import find_recipe
from training.runs.requests import RunRequest
from training.runs.runner import run_seeds

Tables = tuple[pd.DataFrame, pd.DataFrame]
Capture = pytest.CaptureFixture[str]
MINI = {"aliases_per_subset": 12, "aliases_qa3": 6, "aliases_stage2": 4, "entities": 8} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}
COMMANDS = {
    "probe": ["--quick", "--layer", "1"],
    "lens": ["--layer", "1"],
    "patch": ["--confidence", "0", "--limit", "3", "--layer", "1"],
    "attention": ["--layer", "1"],
    "ablate": ["--layer", "1", "--site", "mlp_out"],
    "align": ["--limit", "3"],
}
SAYS = {
    "probe": "tag (which tag the alias was defined with): nothing found",
    "lens": "D1_CONS_QA1, logit lens: the answer's log-probability is ",
    "patch": "D1_CONS_QA1, denoising (clean into corrupted",
    "attention": "D1_CONS_QA1, layer 1: at the prompt's last token the heads spend ",
    "ablate": "D1_CONS_QA1: none of ",
    "align": "Gradient cosine with own questions (Stage 1",
}
"""How the first sentence begins."""
ANALYSES = ("probe", "lens", "patch", "attention", "ablate")
"""Commands that take several runs."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one seed."""
    folder = tmp_path_factory.mktemp("answers")
    requests = [
        RunRequest(
            config=find_recipe("alias-toy")(**{**MINI, "word_order": order}),
            folder=folder / order,
            seeds=(0,),
        )
        for order in ("tae", "ate")
    ]
    run_seeds(requests, workers=1)
    return [request.folder for request in requests]


@pytest.fixture(scope="module")
def measured(runs: list[Path]) -> Iterator[dict[str, Tables]]:
    """What was measured of both runs, by analysis: each is measured once for all these tests."""
    known: dict[str, Tables] = {}

    def once(analysis: Any, selection: GridSelection, **options: Any) -> Tables:
        if analysis.name not in known:
            known[analysis.name] = run_grid(analysis, selection, **options)
        ids = [run.config.run_id for run in selection.runs]
        table, summary = known[analysis.name]
        return table.loc[table["run_id"].isin(ids)], summary.loc[summary["run_id"].isin(ids)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "run_grid", once)
        patch.setattr("interp.probes.analysis.N_PERMUTATIONS", 2)
        patch.setattr("interp.lenses.analysis.TUNED_STEPS", 2)
        yield known


@pytest.fixture
def say(runs: list[Path], measured: dict[str, Tables], capsys: Capture) -> Callable[..., str]:
    """What a command prints on stdout."""

    def run(command: str, *more: str, folders: list[Path]) -> str:
        if command not in ("align", *measured) and command in ANALYSES:
            main([command, *map(str, runs), *COMMANDS[command]])  # of both
            capsys.readouterr()
        assert main([command, *map(str, folders), *COMMANDS[command], *more]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_one_run(command: str, runs: list[Path], say: Callable[..., str]):
    lines = say(command, folders=runs[:1]).splitlines()
    table = next(i for i, line in enumerate(lines) if re.match(r"\d+ of [\d,]+ cells \(", line))

    assert " ".join(lines).startswith(SAYS[command])
    assert len(lines) <= 60
    assert table > 2
    assert "--full for all" in " ".join(lines[table : table + 3])


@pytest.mark.parametrize("command", ANALYSES)
def test_several_runs(command: str, runs: list[Path], say: Callable[..., str]):
    lines = say(command, folders=runs).splitlines()

    assert len(lines) <= 60
    assert [line for line in lines if line.endswith(":")][:2] == [f"{run}:" for run in runs]
    assert " ".join(lines[1:]).startswith(SAYS[command])


@pytest.mark.parametrize("command", COMMANDS)
def test_json(command: str, runs: list[Path], say: Callable[..., str]):
    found = json.loads(say(command, "--json", folders=runs[:1]))
    (run,) = found["runs"]
    (at_step,) = run["found"]

    assert list(found) == ["analysis", "runs", "summary"]
    assert list(run) == ["folder", "run_id", "settings", "found"]
    assert list(at_step) == ["stage", "step", "sentences"]
    assert run["folder"] == str(runs[0])
    assert at_step["sentences"][0].startswith(SAYS[command])
    assert run["settings"][0]["analysis"]
    assert "device" not in run["settings"][0]["selection"]  # as in tables of before
    summary = pd.read_parquet(runs[0] / f"{found['analysis']}_summary.parquet")
    assert len(found["summary"]) == len(summary)
    assert found["summary"][0]["ci_low"] is None  # one seed has no interval


@pytest.mark.parametrize("command", ["probe", "patch"])
def test_full(command: str, runs: list[Path], say: Callable[..., str]):
    short = say(command, folders=runs[:1]).splitlines()
    lines = say(command, "--full", folders=runs[:1]).splitlines()

    assert len(lines) > len(short)
    assert any(line.endswith(" cells:") for line in lines)


def test_full_and_json_exclude_each_other(runs: list[Path], capsys: Capture):
    assert main(["probe", str(runs[0]), "--full", "--json"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
