import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp.cli import main
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import TokenRole
from interp.hooked.model import load_hooked
from interp.patching.analysis import Direction, PatchAnalysis
from interp.patching.pair_batches import PatchMetric
from training.columns import RUN_COLUMNS
from training.recipes import find_recipe
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds

TreeHash = Callable[[Path], dict[str, str]]
Capture = pytest.CaptureFixture[str]
MINI = {"aliases_per_subset": 12, "aliases_qa3": 6, "aliases_stage2": 4, "entities": 8} | {
    "d_model": 8,
    "heads": 2,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}
COORDINATES = ["pair_kind", "subset", "site", "layer", "head", "role", "direction", "metric"]
ANY = ["--confidence", "0", "--limit", "3"]
"""A model that was hardly trained is sure of nothing."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = find_recipe("alias-toy")(**MINI)
    run_seeds([RunRequest(config=config, folder=folder, seeds=(0, 1))], workers=1)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a run of two seeds."""
    return shutil.copytree(trained, tmp_path / "run")


def last_line(capsys: Capture) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def read(run: Path, name: str = "patching") -> pd.DataFrame:
    return pd.read_parquet(run / f"{name}.parquet")


def test_patch_writes_and_prints_the_grid(run: Path, capsys: Capture):
    assert main(["patch", str(run), *ANY, "--full"]) == 0
    printed = capsys.readouterr().out
    table = read(run)

    assert run_damage(run) == []
    assert list(table.columns) == [
        *("recipe", "run_id", "model", "seed", "word_order", "stage", "step"),
        *("pair_kind", "subset", "site", "layer", "head", "role", "direction", "metric"),
        *("effect", "attribution", "control", "gap", "n", "dropped"),
    ]
    assert not table.isna().any(axis=None)
    assert not table[["seed", *COORDINATES]].duplicated().any()
    assert set(table["seed"]) == {0, 1}
    assert set(table["stage"]) == {1}
    assert set(table["pair_kind"]) == {"alias"}
    assert set(table["subset"]) == {"D1_CONS_QA1", "D2_INCONS_QA2"}
    assert set(table["site"]) == {"resid_pre", "attn_out", "mlp_out", "z"}
    assert set(table["direction"]) == {"denoise", "noise"}
    assert set(table["metric"]) == {"logit_diff", "answer_log_prob"}
    assert set(table.loc[table["site"] == "z", "head"]) == {0, 1}
    assert set(table["n"]) == {3}
    assert {"all", "alias_last"} < set(table["role"])
    everything = table.loc[
        (table["site"] == "resid_pre") & (table["layer"] == 0) & (table["role"] == "all")
    ]
    assert everything["effect"].tolist() == pytest.approx([1.0] * len(everything), abs=0.01)
    assert "Attribution patching, denoising, against the exact effect" in printed
    assert "slope" in printed
    assert "alias pairs of D1_CONS_QA1: kept by seed 3, 3 of 3 pairs; 0% dropped" in printed
    assert "p_corrected" in printed


def test_the_summary_has_one_row_for_each_cell(run: Path):
    main(["patch", str(run), *ANY, "--site", "mlp_out", "--metric", "logit_diff"])
    rows, summary = read(run), read(run, "patching_summary")

    assert list(summary.columns) == [
        *(name for name in RUN_COLUMNS if name != "seed"),
        *COORDINATES,
        *("effect", "attribution", "control", "gap", "dropped", "difference", "ci_low", "ci_high"),
        *("p_value", "p_corrected", "p_smallest", "n", "n_seeds", "kept_by_seed"),
    ]
    assert len(summary) == len(rows) / 2
    assert set(summary["n_seeds"]) == {2}
    assert set(summary["n"]) == {6}
    assert set(summary["p_smallest"]) == {0.5}
    means: Any = rows.groupby(COORDINATES).mean(numeric_only=True)
    found = summary.set_index(COORDINATES).sort_index()
    effect, control = means[["effect", "control"]].to_numpy().T
    assert found.index.equals(means.index)
    assert found["effect"].tolist() == pytest.approx(effect)
    assert found["difference"].tolist() == pytest.approx(effect - control)


def test_patch_takes_its_selectors(run: Path):
    words = ["--site", "z", "--site", "mlp_out", "--layer", "1", "--head", "1", "--seed", "1"]
    words += ["--role", "ALIAS_LAST", "--role", "all", "--pairs", "question", "--pairs", "alias"]
    words += ["--stage", "2", "--step", "0", "--subset", "D6_CONS", "--direction", "noise"]
    assert main(["patch", str(run), *ANY, *words, "--metric", "probability"]) == 0

    assert read(run)[["seed", "stage", "step", *COORDINATES]].to_numpy().tolist() == [
        [1, 2, 0, kind, "D6_CONS", site, 1, head, role, "noise", "probability"]
        for kind in ("question", "alias")
        for site, head in (("z", 1), ("mlp_out", -1))
        for role in ("alias_last", "all")
    ]


def test_in_stage_2_the_new_definitions_are_asked_for(run: Path):
    words = ["--stage", "2", "--site", "mlp_out", "--layer", "0", "--role", "alias_last"]
    assert main(["patch", str(run), *ANY, *words]) == 0

    assert set(read(run)["subset"]) == {"D5_CONS", "D6_CONS"}


def test_definitions_can_be_patched_by_their_tags(run: Path):
    words = ["--pairs", "tag", "--site", "z", "--role", "tag", "--metric", "answer_log_prob"]
    assert main(["patch", str(run), *ANY, *words]) == 0

    table = read(run)
    assert set(table["pair_kind"]) == {"tag"}
    assert set(table["role"]) == {"tag"}


def test_another_look_is_added_and_the_same_replaced(run: Path):
    first = ["patch", str(run), *ANY, "--site", "mlp_out", "--role", "alias_last"]
    main(first)
    before = read(run)
    main(["patch", str(run), *ANY, "--site", "z", "--role", "alias_last"])
    both = read(run)
    main(first)

    assert len(both) == 3 * len(before)  # two heads beside
    assert len(read(run)) == len(both)
    assert len(read(run, "patching_summary")) == len(both) / 2
    again = read(run).query("site == 'mlp_out'")
    pd.testing.assert_frame_equal(again.reset_index(drop=True), before)


def test_the_same_command_writes_the_same_bytes(run: Path, tree_hash: TreeHash):
    words = ["patch", str(run), *ANY, "--site", "z", "--layer", "1"]
    main(words)
    before = tree_hash(run)
    main(words)

    assert tree_hash(run) == before


@pytest.mark.slow
def test_the_numbers_do_not_depend_on_the_number_of_workers(
    trained: Path, tmp_path: Path, tree_hash: TreeHash
):
    analysis = PatchAnalysis(
        subsets=("D1_CONS_QA1",),
        roles=(TokenRole.ALIAS_LAST, "all"),
        directions=(Direction.DENOISE,),
        metrics=(PatchMetric.LOGIT_DIFF,),
        limit=5,
        confidence=0.0,
    )
    folders = [Path(shutil.copytree(trained, tmp_path / name)) for name in ("one", "two")]
    for workers, folder in enumerate(folders, start=1):
        selection = GridSelection(runs=(Run.load(folder),), sites=("z", "mlp_out"))
        run_grid(analysis, selection, workers=workers)

    assert (folders[0] / "patching.parquet").is_file()
    assert tree_hash(folders[0]) == tree_hash(folders[1])


# ---- bad input: one line, exit 2, nothing written --------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pairs", "twins"], "no kind of pairs 'twins'; choose one of alias, alias_across, tag"),
        (["--subset", "D7"], "no subset 'D7'; choose one of D1_CONS_QA1"),
        (["--metric", "loss"], "no metric 'loss'; choose one of logit_diff, answer_log_prob"),
        (["--direction", "up"], "invalid choice: 'up'"),
        (["--limit", "0"], "--limit must be 1 or more and --confidence in [0, 1); change them"),
        (["--confidence", "1"], "--limit must be 1 or more and --confidence in [0, 1)"),
        (["--confidence", "-0.1"], "--limit must be 1 or more and --confidence in [0, 1)"),
        (["--confidence", "nan"], "--limit must be 1 or more and --confidence in [0, 1)"),
        (["--head", "2"], "no head 2 in a layer of 2; choose from 0 to 1"),
        (["--head", "-1"], "no head -1 in a layer of 2; choose from 0 to 1"),
        (["--layer", "7"], "no layer 7 in a model of 2; choose from 0 to 1"),
        (["--site", "pattern"], "no site 'pattern'; choose one of resid_pre"),
        (["--site", "resid_mid"], "has no resid_mid: its attention and MLP read the same stream"),
        (["--role", "alias"], "no role 'alias'; did you mean alias_first or alias_last?"),
        (["--role", "tag"], "has no tag; choose other rows or another role"),
        (["--role", "answer_first"], "no prompt has the role answer_first"),
        (["--seed", "9"], "has no seed 9; choose one of 0, 1"),
        (["--step", "999"], "has no checkpoint of step 999 in stage 1"),
        (["--pairs", "entity"], "D1_CONS_QA1 has no prompts for pairs of kind entity; use one of"),
        (["--subset", "QA7_UNSEEN", "--pairs", "tag"], "no prompts for pairs of kind tag; use one"),
        (
            ["--confidence", "0.99"],
            "seed 0: the model answers none of 3 alias pairs of D1_CONS_QA1",
        ),
    ],
)
def test_a_grid_that_cannot_be_patched_is_bad_input(
    run: Path, capsys: Capture, tree_hash: TreeHash, words: list[str], message: str
):
    before = tree_hash(run)
    assert main(["patch", str(run), *ANY, *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]

    assert errors == lines[-1:]
    assert message in errors[0]
    assert ";" in errors[0]
    assert "Traceback" not in "".join(lines)
    assert tree_hash(run) == before


def test_a_grid_that_breaks_off_leaves_the_tables_as_they_were(
    run: Path, capsys: Capture, tree_hash: TreeHash
):
    assert main(["patch", str(run), *ANY, "--site", "mlp_out", "--layer", "0"]) == 0
    before = tree_hash(run)
    assert "patching.parquet" in before

    assert main(["patch", str(run), "--limit", "3", "--confidence", "0.99"]) == 2
    assert "answers none of 3" in last_line(capsys)
    assert tree_hash(run) == before


def test_an_interrupt_in_the_second_checkpoint_leaves_the_tables_as_they_were(
    run: Path, capsys: Capture, tree_hash: TreeHash, monkeypatch: pytest.MonkeyPatch
):
    words = ["patch", str(run), *ANY, "--site", "mlp_out", "--layer", "0"]
    assert main([*words, "--role", "alias_last"]) == 0
    before = tree_hash(run)
    n_loaded = 0

    def loading(*arguments: object, **options: object) -> object:
        nonlocal n_loaded
        n_loaded += 1
        if n_loaded == 2:
            raise KeyboardInterrupt
        return load_hooked(*arguments, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("interp.grids.grid.load_hooked", loading)
    assert main([*words, "--role", "all"]) == 130
    assert "interrupted" in last_line(capsys)
    assert n_loaded == 2
    assert tree_hash(run) == before
