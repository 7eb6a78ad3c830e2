"""A run that was made before the house was rebuilt opens, verifies and is extended as before.

`tests/kept/run_of_format_2.zip` was made on 2026-11-27 (format 2) by

    iml run alias-toy --smoke --seeds 1 --with-null --set aliases_per_subset=8 --set aliases_qa3=2
        --set aliases_stage2=2 --set entities=6 --set attributes=2 --set values=3 --set d_model=8
        --set heads=1 --set d_mlp=8 --set layers=1 --set epochs_stage1=1 --set epochs_stage2=1
        --set evaluations=1 --set batch_size=256
    iml lens
"""

import json
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

from interp.cli import main
from interp.hooked import load_hooked
from training.runs import Run

KEPT = Path(__file__).parent / "kept" / "run_of_format_2.zip"
RUN_ID, SEED = "786eabcce0", 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ZipFile(KEPT) as kept:
        kept.extractall(tmp_path / "run")
    return tmp_path / "run"


def test_it_opens_and_every_file_matches(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.load(folder)
    assert (run.info["format_version"], run.config.run_id, run.seeds) == (2, RUN_ID, [SEED])
    assert len(run.rows(SEED)) == len(run.tokenized_rows(SEED)) > 60
    assert run.null is not None
    assert main(["verify", str(folder)]) == 0
    assert "every file matches its checksum" in capsys.readouterr().out
    assert main(["summary", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    stored = json.loads((folder / "summary.json").read_text())
    assert {gap: shown[gap] for gap in stored} == stored


def test_its_checkpoints_and_tables_are_read(folder: Path) -> None:
    model = load_hooked(Run.load(folder), seed=SEED, stage=2)
    assert (model.n_layers, model.n_heads) == (1, 1)
    before = pd.read_parquet(folder / "lens.parquet")
    assert main(["lens", str(folder), "--workers", "1"]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "lens.parquet"), before, atol=1e-5)
    assert main(["report", str(folder)]) == 0
    assert main(["verify", str(folder)]) == 0


def test_it_is_extended_by_a_seed_and_keeps_what_it_had(folder: Path) -> None:
    before = pd.read_parquet(folder / "metrics.parquet")
    weights = {p: p.read_bytes() for p in folder.glob("seed-*/stage-*/step-*/model.safetensors")}
    settings = Run.load(folder).config.parameters
    command = ["run", "alias-toy", "--seeds", "2", "--out", str(folder), "--workers", "1"]
    for name, value in settings.items():
        command += ["--set", f"{name}={str(value).lower()}"]
    assert main(command) == 0
    after = pd.read_parquet(folder / "metrics.parquet")
    old = after.loc[after["seed"] == SEED].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, before)
    assert set(after["seed"]) == {SEED, SEED + 1}
    assert set(after["run_id"]) == {RUN_ID}
    assert all(path.read_bytes() == content for path, content in weights.items())
