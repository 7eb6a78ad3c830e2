"""Tables that say with which settings their rows were measured, through commands and the report."""

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from data.errors import DamagedError
from interp.cli import main
from interp.figures.settings_note import settings_words
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.grids.settings import KEY, joined, table_settings, unrecorded
from interp.hooked.model import load_hooked
from interp.probes.analysis import ProbeAnalysis
from interp.probes.cross_validation import INVERSE_PENALTIES, QUICK_INVERSE_PENALTY
from interp.report.page import report_html
from interp.report.reproduction import analysis_commands, reproduction_commands
from training.runs.run import Run, read_table

PATCH = ["--confidence", "0", "--limit", "2", "--layer", "0", "--site", "resid_pre"]
"""A model that was hardly trained is sure of nothing."""
SURE = ["--confidence", "0.0005", *PATCH[2:]]


@pytest.fixture
def folder(copied_run: Path) -> Path:
    """A run of seeds 1000 and 1001 with its null twin."""
    return copied_run


def iml(name: str, folder: Path, *words: str) -> None:
    assert main([name, str(folder), *words]) == 0


def entries_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return table_settings(read_table(folder / f"{name}.parquet"))


def commands_of(folder: Path) -> list[str]:
    """Of the analyses only."""
    run = Run.load(folder)
    analyses = reproduction_commands(run)[1:-1]
    return [line.replace(f"runs/{run.config.recipe}", "RUN") for line in analyses]


def seeds_by(entries: list[dict[str, Any]], setting: str) -> dict[Any, list[int]]:
    return {e["analysis"][setting]: [s for c in e["covers"] for s in c["seeds"]] for e in entries}


def test_seeds_that_were_patched_otherwise_are_told_apart_until_they_are_alike(folder: Path):
    iml("patch", folder, *SURE, "--seed", "1000")
    iml("patch", folder, *PATCH, "--seed", "1001")

    for name in ("patching", "patching_summary"):
        entries = entries_of(folder, name)
        assert seeds_by(entries, "confidence") == {0.0005: [1000], 0.0: [1001]}
    table = read_table(folder / "patching.parquet")
    for entry in entries_of(folder, "patching"):
        (first, last) = entry["rows"][0]
        assert set(table.iloc[first:last]["seed"]) == set(entry["covers"][0]["seeds"])
    assert not unrecorded(table)
    assert commands_of(folder) == [
        f"iml patch RUN --seed {seed} --site resid_pre --layer 0 --limit 2 --confidence {least}"
        for seed, least in ((1000, "0.0005"), (1001, "0.0"))
    ]
    page = report_html(Run.load(folder))
    caption = re.findall("Settings: ([^<]*)", page)[0]
    assert "limit 2" in caption
    assert re.search(r"seed 1000 at Stage 1, step \d+: confidence 0.0005", caption)
    assert re.search(r"seed 1001 at Stage 1, step \d+: confidence 0.0\.", caption)

    iml("patch", folder, *PATCH, "--seed", "1000")

    assert seeds_by(entries_of(folder, "patching"), "confidence") == {0.0: [1000, 1001]}
    assert len(commands_of(folder)) == 1
    assert "--seed" not in commands_of(folder)[0]


@pytest.mark.parametrize(
    "commands",
    [
        [["patch", *PATCH], ["ablate", "--site", "mlp_out", "--layer", "0"]],
        pytest.param(
            [["lens", "--stage", "2"], ["attention", "--layer", "1"], ["erase", "--layer", "1"]],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_page_says_commands_that_make_the_same_tables(
    folder: Path, tmp_path: Path, commands: list[list[str]]
):
    fresh = Path(shutil.copytree(folder, tmp_path / "fresh"))
    for name, *words in commands:
        iml(name, folder, *words, "--seed", "1000")

    lines = commands_of(folder)
    for line in lines:
        assert main(line.replace("RUN", str(fresh)).split()[1:]) == 0

    assert len(lines) == len(commands)
    for path in folder.glob("*.parquet"):
        assert (fresh / path.name).read_bytes() == path.read_bytes()
    page = report_html(Run.load(folder))
    (shown,) = re.findall("again:</p>\n<pre>(.*?)</pre>", page, re.DOTALL)
    assert html.unescape(shown).splitlines() == reproduction_commands(Run.load(folder))


def test_a_setting_that_no_flag_has_is_told_and_c_follows_from_quick(folder: Path):
    selection = GridSelection(runs=(Run.load(folder),), layers=(0,), seeds=(1000,))
    quick = ProbeAnalysis(quick=True, n_permutations=2)
    run_grid(quick, selection, workers=1)

    (entry,) = entries_of(folder, "probes")

    assert entry["analysis"]["C"] == [QUICK_INVERSE_PENALTY] != list(INVERSE_PENALTIES)
    assert commands_of(folder) == [
        "iml probe RUN --seed 1000 --layer 0 --quick  # n_permutations=2, set in Python"
    ]
    (note,) = re.findall("Settings: [^<]*quick[^<]*", report_html(Run.load(folder)))
    assert "n permutations 2" in note
    assert f"C {QUICK_INVERSE_PENALTY}" in note


def test_alignments_say_limit_and_policy(folder: Path):
    one = ["--subset", "D5_CONS", "--subset", "D6_CONS", "--seed", "1000", "--limit", "1"]
    iml("align", folder, *one, "--loss-policy", "text")

    assert commands_of(folder) == [
        "iml align RUN --seed 1000 --subset D5_CONS --subset D6_CONS --loss-policy text --limit 1"
    ]


@pytest.mark.slow
def test_all_steps_are_one_command_and_transplants_say_their_donor(folder: Path):
    seed = ["--seed", "1000"]
    iml("align", folder / "null", "--subset", "D5_CONS", *seed, "--limit", "2", "--all-steps")
    iml("transplant", folder, *seed, "--donor", str(folder / "null"), "--stage", "2")
    iml("transplant", folder, *seed, "--stage", "2", "--differences")

    assert commands_of(folder) == [
        "iml transplant RUN --seed 1000 --stage 2 --donor RUN/null",
        "iml transplant RUN --differences --seed 1000 --stage 2",
        "iml align RUN/null --seed 1000 --all-steps --subset D5_CONS --limit 2",
    ]
    assert str(folder) not in json.dumps(entries_of(folder, "transplants"))


def test_a_table_of_before_has_no_caption_and_the_page_says_so(folder: Path):
    iml("patch", folder, *PATCH)
    for name in ("patching", "patching_summary"):
        table = read_table(folder / f"{name}.parquet")
        table.attrs = {}
        table.to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "manifest.json").unlink()

    assert settings_words(read_table(folder / "patching_summary.parquet")) == ""
    assert analysis_commands(Run.load(folder), "RUN") == ["# iml patch RUN: settings not recorded"]


def test_settings_stand_in_the_metadata_of_the_file_and_metrics_have_none(folder: Path):
    iml("patch", folder, *PATCH, "--seed", "1000")

    kept = json.loads(pq.read_schema(folder / "patching.parquet").metadata[b"PANDAS_ATTRS"])
    assert json.loads(kept[KEY])[0]["analysis"]["limit"] == 2
    assert b"PANDAS_ATTRS" not in pq.read_schema(folder / "metrics.parquet").metadata


def entry(limit: int, run_id: str, rows: list[list[int]]) -> dict[str, Any]:
    covers = [{"run_id": run_id, "stage": 1, "step": 9, "seeds": [0]}]
    return {"analysis": {"limit": limit}, "selection": {}, "covers": covers, "rows": rows}


def test_tables_of_several_runs_keep_the_settings_of_each_row():
    tables = [pd.DataFrame({"x": range(n)}) for n in (3, 2, 4)]
    tables[0].attrs = {KEY: json.dumps([entry(1, "a", [[0, 1]]), entry(2, "a", [[1, 3]])])}
    tables[2].attrs = {KEY: json.dumps([entry(1, "c", [[0, 4]])])}

    whole = joined(tables)

    found = {each["analysis"]["limit"]: each for each in table_settings(whole)}
    assert found[1]["rows"] == [[0, 1], [5, 9]]
    assert [each["run_id"] for each in found[1]["covers"]] == ["a", "c"]
    assert found[2]["rows"] == [[1, 3]]
    assert unrecorded(whole)  # the second table's


@pytest.mark.parametrize("text", ["5", "[5]", "[{}]", '[{"analysis": {}, "selection": 1}]', "{", 7])
def test_settings_that_are_none_are_damage(text: object):
    table = pd.DataFrame({"x": [1]})
    table.attrs = {KEY: text}

    with pytest.raises(DamagedError, match="settings that a table carries are unreadable"):
        table_settings(table)


def test_another_device_than_the_cpu_opens_models_and_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[object] = []

    def load(*arguments: Any, device: str) -> Any:
        asked.append(device)
        return load_hooked(*arguments)

    monkeypatch.setattr("interp.grids.grid.require_device", lambda name: None)
    monkeypatch.setattr("interp.grids.grid.load_hooked", load)
    monkeypatch.setattr("interp.lenses.analysis.TUNED_STEPS", 2)
    iml("lens", folder, "--layer", "0", "--device", "cuda:1")

    assert asked == ["cuda:1", "cuda:1"]
    (entry,) = entries_of(folder, "lens_summary")
    assert entry["selection"]["device"] == "cuda:1"
    assert "device cuda:1" in settings_words(read_table(folder / "lens.parquet"))
    assert commands_of(folder) == ["iml lens RUN --layer 0 --device cuda:1"]
    iml("lens", folder, "--layer", "0")
    assert "device" not in entries_of(folder, "lens")[0]["selection"]  # as in tables of before
