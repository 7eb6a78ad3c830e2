"""Tables of a run folder that their manifest vouches for and that are not what they should be."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data.tokenizers import TrainedTokenizer
from interp.cli import main
from tests.hostile.inputs import RECIPE, save_model
from training.files import write_manifest
from training.recipes import find_recipe
from training.runs.run import analysis_files

Change = Callable[[pd.DataFrame], pd.DataFrame]
TABLES: dict[str, Change] = {
    "no column": lambda table: table.drop(columns="stage"),
    "no row": lambda table: table.iloc[:0],
    "text for numbers": lambda table: table.assign(value="much"),
    "lists for numbers": lambda table: table.assign(seed=[[1, 2]] * len(table)),
    "numbers for text": lambda table: table.assign(subset=5),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_that_holds_no_measurements_is_damage(
    name: str, copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    path = copied_run / "metrics.parquet"
    TABLES[name](pd.read_parquet(path)).to_parquet(path, index=False)
    write_manifest(copied_run, analysis_files(copied_run))
    assert main(["summary", str(copied_run)]) == 3
    assert "holds no measurements" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"iml_gap": None},
        {"iml_gap": {"exact_match": 5}},
        {"stage1_gap": {"exact_match": {"mean": "much"}}},
        {"null_equivalence": {"mean": 0}},
    ],
)
def test_summary_without_its_numbers_is_damage(
    change: dict[str, object], copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    path = copied_run / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    write_manifest(copied_run, analysis_files(copied_run))
    assert main(["summary", str(copied_run)]) == 3
    assert "lacks a gap of the run" in capsys.readouterr().err


def test_path_of_control_characters_is_shown_escaped_everywhere(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    odd = copied_run.rename(copied_run.with_name("two\nlines\x1b[31m"))
    assert main(["summary", str(odd)]) == 0
    assert main(["verify", str(odd)]) == 0
    assert main(["report", str(odd)]) == 0
    assert main(["data", str(odd), "--seed", "1"]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "\x1b" not in text
        assert r"two\nlines\x1b[31m" in text


@pytest.mark.parametrize(
    "what", ["weights cut short", "more tokens than rows", "too few positions"]
)
def test_a_model_that_cannot_be_used_is_refused_before_the_folder_is_begun(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model, out = tmp_path / "model", tmp_path / "out"
    save_model(model)
    words = [*RECIPE, "--set", f"model={model}", "--set", "table=generated", "--out", str(out)]
    match what:
        case "weights cut short":
            path = model / "model.safetensors"
            path.write_bytes(path.read_bytes()[:-1_000])
            says = "cannot be loaded"
        case "more tokens than rows":
            texts = (" ".join(map(chr, range(200, 900))),)
            tokenizer = TrainedTokenizer(texts=texts, vocabulary_size=800).load()
            tokenizer.save_pretrained(tmp_path / "tokenizer")
            words += ["--set", f"tokenizer={tmp_path / 'tokenizer'}"]
            says = "embedding rows; use the tokenizer that belongs to the model"
        case _:
            words += ["--set", "block_size=300"]
            says = "reads 256 tokens, 300 are needed"
    assert main(words) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_numbers_that_no_sum_is_meant_for_are_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "alias-toy", "--set", f"entities={'9' * 400}"]) == 2
    assert "a number of 400 digits" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a number of 400 digits"):
        find_recipe("alias-toy")(alpha=10**399)


@pytest.mark.parametrize("path", ["p" * 300, "a/" * 3_000, "nul\0byte"])
def test_paths_that_no_system_has_are_bad_input(path: str, capsys: pytest.CaptureFixture[str]):
    for command in ("summary", "verify", "data", "report", "probe", "align"):
        assert main([command, path]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "Error" not in error
