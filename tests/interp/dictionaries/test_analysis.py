"""A whole grid on a small run: rows, the report, the command, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from interp.cli import main
from interp.dictionaries.analysis import DictionaryAnalysis
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.quality import QUALITIES
from interp.dictionaries.rows import ALIKE, AUROC, COORDINATES, EXAMPLE, LOG_PROB, MOVED
from interp.dictionaries.sections import dictionaries_section
from interp.grids.grid import measure_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import TokenRole
from training.runs.run import Run

SEED = 1000
QUICK = {"ks": (1, 2), "n_features": 12, "n_steps": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def measured(tiny_run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All tokens and one role of one seed's last checkpoint."""
    analysis = DictionaryAnalysis(folder=tiny_run.folder, stage=2, **QUICK)
    selection = GridSelection(
        runs=(tiny_run,), stage=2, seeds=(SEED,), sites=("resid_post",), layers=(0,)
    )
    return measure_grid(analysis, selection, workers=1)


def test_rows_tell_every_quality_target_and_change(tiny_run: Run, measured):
    table, summary = measured
    assert not table.duplicated(["seed", *COORDINATES, "text"]).any()
    assert set(QUALITIES) <= set(table["quantity"])
    assert {AUROC, LOG_PROB, ALIKE, MOVED, EXAMPLE} <= set(table["quantity"])
    assert set(table.loc[table["quantity"] == "l0", "dictionary"]) == {
        *("topk", "pca", "pca_own", "random")
    }
    of_gap = table.loc[(table["quantity"] == LOG_PROB)]
    assert tiny_run.design.main.gap in set(of_gap["subset"])
    known = table.loc[table["quantity"] == EXAMPLE, "text"].map(json.loads)
    assert all(len(each["words"]) == len(each["roles"]) > each["at"] for each in known)
    assert set(summary["n_seeds"]) <= {0, 1}


def test_the_same_grid_gives_the_same_rows_and_an_unchanged_run(tiny_run: Run):
    before = sorted(path.name for path in tiny_run.folder.iterdir())
    analysis = DictionaryAnalysis(
        folder=tiny_run.folder, stage=1, roles=(TokenRole.PROMPT_LAST,), **QUICK
    )
    selection = GridSelection(
        runs=(tiny_run,), stage=1, seeds=(SEED,), sites=("mlp_out",), layers=(1,)
    )
    first, again = (measure_grid(analysis, selection, workers=1)[0] for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert ALIKE not in set(first["quantity"])  # nothing was before the first stage
    assert sorted(path.name for path in tiny_run.folder.iterdir()) == before


def test_the_command_writes_tables_features_and_a_section(
    tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    command = ["sae", str(folder), "--k", "2", "--features", "12", "--steps", "2", "--layer", "0"]
    assert main([*command, "--seed", str(SEED), "--workers", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["analysis"] == "dictionaries"
    assert "TopK with 2.0 features" in record["runs"][0]["found"][0]["sentences"][0]

    arrays = load_file(folder / "dictionaries_vectors.safetensors")
    prefix = next(iter(arrays)).rpartition("/")[0]
    parts = {k.rpartition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{prefix}/")}
    kept = Dictionary.from_arrays(parts)
    assert kept.n_features == 12
    np.testing.assert_allclose(kept.decoder.norm(dim=1), 1, rtol=1e-5)

    section = dictionaries_section(Run.load(folder))
    assert section is not None
    assert "Sparse autoencoders" in section
    assert f"Features of seed {SEED}" in section
    assert section == dictionaries_section(Run.load(folder))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--k", "300"], "300 features a vector of 256; choose a k from 1 to 256"),
        (["--k", "0"], "0 features a vector of 256"),
        (["--features", "99999999999"], "weights of 16 bytes make"),
        (["--kind", "relu"], "relu"),
        (["--site", "pattern"], "pattern"),
        (["--site", "resid_mid"], "has no resid_mid"),
        (["--role", "verb"], "verb"),
        (["--role", "tag"], "has no tag"),
        (["--layer", "9"], "no layer 9 in a model of"),
        (["--steps", "0"], "--steps 0; choose 1 or more"),
        (["--tokens", "5"], "--tokens does nothing here"),
        (["--along"], "--along does nothing here"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    options: list[str], words: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]
):
    assert main(["sae", str(tiny_run.folder), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_model_on_a_text(tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = str(tiny_run.checkpoint(SEED, 1))
    words = [row.row.rendered.text for row in tiny_run.tokenized_rows(SEED)]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(words * 40), "utf-8")
    out = tmp_path / "out"
    command = ["sae", model, "--text", str(text), "--k", "2", "--k", "4", "--steps", "2"]
    assert main([*command, "--features", "16", "--tokens", "4000", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "topk" in printed.out
    assert "training 16 features, 4 a vector" in printed.err
    table = pd.read_parquet(out / "dictionaries.parquet")
    assert set(table["dictionary"]) == {"topk", "random", "pca", "pca_own"}
    arrays = load_file(out / "dictionaries_vectors.safetensors")
    assert {name.partition("/")[0] for name in arrays} == {"2", "4"}

    text.write_text("too short", "utf-8")
    assert main(command) == 2
    assert "the text has" in capsys.readouterr().err.splitlines()[-1]
    text.write_bytes(b"\xff\xfe\x00")
    assert main(command) == 2
    assert "give a text in UTF-8" in capsys.readouterr().err
    assert main(["sae", model, "--text", str(text), "--role", "alias_last"]) == 2
    assert "a text has no roles" in capsys.readouterr().err
