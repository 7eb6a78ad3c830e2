import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from interp.cli import main
from training.files import write_manifest, write_table
from training.recipes import find_recipe
from training.runs.checkpoints import checkpoint_damage
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run, analysis_files
from training.runs.runner import run_seeds

TreeHash = Callable[[Path], dict[str, str]]
Capture = pytest.CaptureFixture[str]
MINI = {"aliases_per_subset": 12, "aliases_qa3": 6, "aliases_stage2": 4, "entities": 8} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}


def train(folder: Path, seeds: tuple[int, ...] = (0, 1), **changes: int | str) -> Path:
    config = find_recipe("alias-toy")(**{**MINI, **changes})
    run_seeds([RunRequest(config=config, folder=folder, seeds=seeds)], workers=1)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run of two seeds, whose probes are held against few permutations."""
    monkeypatch.setattr("interp.probes.analysis.N_PERMUTATIONS", 2)
    return shutil.copytree(trained, tmp_path / "run")


def last_line(capsys: Capture) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_probe_writes_and_prints_the_grid(run: Path, capsys: Capture):
    words = ["--target", "tag", "--role", "question_last", "--layer", "1", "--quick"]
    assert main(["probe", str(run), *words]) == 0
    printed = capsys.readouterr().out
    table = pd.read_parquet(run / "probes.parquet")

    assert run_damage(run) == []
    assert set(table["target"]) == {"tag", "planted_tag"}
    assert set(table["role"]) == {"question_last"}
    assert set(table["layer"]) == {1}
    assert sorted(set(table["seed"])) == [0, 1]
    assert "p_corrected" in printed
    assert "accuracy_ci_low" in printed  # whose interval it is
    assert "n = 2 Stage-1 seeds can give no p below 0.5" in printed.replace("\n", " ")


def test_probe_reads_the_null_twin_where_there_is_one(run: Path, tmp_path: Path, capsys: Capture):
    words = ["--target", "tag", "--role", "question_last", "--layer", "1", "--quick"]
    assert main(["probe", str(run), *words]) == 0
    assert "The null twin was not measured" in capsys.readouterr().out.replace("\n", " ")
    assert bool(pd.read_parquet(run / "probes.parquet")["twin_accuracy"].isna().all())

    train(run / "null", shuffle_tags=True)
    assert main(["probe", str(run), *words]) == 0
    table = pd.read_parquet(run / "probes.parquet")
    tag = table.loc[table["target"] == "tag"]
    assert "run minus null twin" in capsys.readouterr().out.replace("\n", " ")
    assert tag["twin_accuracy"].between(0, 1).all()
    assert table.loc[table["target"] != "tag", "twin_accuracy"].isna().all()


def test_a_table_of_the_old_folds_is_replaced_whole(run: Path):
    words = ["probe", str(run), "--layer", "1", "--quick", "--target"]
    assert main([*words, "tag"]) == 0
    for name in ("probes", "probes_summary"):
        path = run / f"{name}.parquet"
        write_table(path, pd.read_parquet(path).drop(columns=["n_folds", "n_divisions", "n_read"]))
    write_manifest(run, analysis_files(run))  # as if an older version had made them
    assert main([*words, "phantom_tag"]) == 0

    for name in ("probes", "probes_summary"):
        targets = set(pd.read_parquet(run / f"{name}.parquet")["target"])
        assert targets == {"phantom_tag", "planted_tag"}


def test_probe_takes_seed_stage_step_and_sites(run: Path):
    where = ["--seed", "1", "--stage", "2", "--step", "0", "--site", "z", "--site", "mlp_out"]
    assert main(["probe", str(run), "--target", "stage", "--quick", *where]) == 0
    table = pd.read_parquet(run / "probes.parquet")

    assert set(table[["seed", "stage", "step"]].itertuples(index=False, name=None)) == {(1, 2, 0)}
    assert set(table["site"]) == {"z", "mlp_out"}


def test_lens_writes_and_prints_the_grid(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("interp.lenses.analysis.TUNED_STEPS", 2)
    assert main(["lens", str(run), "--role", "QUESTION_LAST"]) == 0
    table = pd.read_parquet(run / "lens.parquet")

    assert run_damage(run) == []
    assert set(table["lens"]) == {"logit", "tuned"}
    assert set(table["role"]) == {"question_last"}
    printed = capsys.readouterr().out
    assert "rank 1 is the most likely token" in printed
    assert "log_prob_ci_low" in printed
    assert " ci_low" not in printed


def test_several_runs_are_told_apart_by_folder(run: Path, tmp_path: Path, capsys: Capture):
    other = train(tmp_path / "other", word_order="ate")
    words = ["--target", "tag", "--layer", "1", "--quick"]
    assert main(["probe", str(run), str(other), *words]) == 0

    printed = capsys.readouterr().out
    assert str(run) in printed
    assert str(other) in printed
    for folder in (run, other):
        assert len(pd.read_parquet(folder / "probes.parquet")) == 2 * (2 * 2 + 2)
        assert run_damage(folder) == []


# ---- bad input: one line, exit 2, nothing written --------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "9"], "has no seed 9; choose one of 0, 1"),
        (["--step", "999"], "has no checkpoint of step 999 in stage 1 of seed 0; choose one of 0"),
        (["--site", "hidden"], "no site 'hidden'; choose one of resid_pre"),
        (["--site", "resid_mid"], "has no resid_mid: its attention and MLP read the same stream"),
        (["--layer", "7"], "no layer 7 in a model of 2; choose from 0 to 1"),
        (["--role", "alias"], "no role 'alias'; did you mean alias_first or alias_last?"),
        (["--role", "tag"], "has no tag; choose other rows or another role"),
        (["--role", "entity_last"], "has no entity_last; choose other rows"),
        (["--stage", "4"], "invalid choice: 4"),
    ],
)
@pytest.mark.parametrize("command", ["probe", "lens"])
def test_a_grid_that_cannot_be_filled_is_bad_input(
    run: Path, capsys: Capture, tree_hash: TreeHash, command: str, words: list[str], message: str
):
    before = tree_hash(run)
    assert main([command, str(run), *words]) == 2
    error = last_line(capsys)

    assert error.startswith("error: ")
    assert message in error
    assert ";" in error
    assert tree_hash(run) == before


def test_a_target_that_does_not_exist_is_bad_input(run: Path, capsys: Capture, tree_hash: TreeHash):
    before = tree_hash(run)
    for name, hint in (
        ("nonsense", "choose one of tag, defined"),
        ("planted_tag", "did you mean phantom_tag?"),
    ):
        assert main(["probe", str(run), "--target", name]) == 2
        assert f"no target '{name}'; {hint}" in last_line(capsys)
    assert tree_hash(run) == before


def test_a_target_that_the_run_cannot_tell_is_bad_input(
    run: Path, capsys: Capture, tree_hash: TreeHash
):
    before = tree_hash(run)

    assert main(["probe", str(run), "--target", "consistent"]) == 2
    assert "target consistent needs D9 and D10" in last_line(capsys)
    assert tree_hash(run) == before


def test_a_world_without_entities_has_none_to_read(
    tmp_path: Path, capsys: Capture, tree_hash: TreeHash
):
    folder = tmp_path / "source"
    arguments = {name: value for name, value in MINI.items() if name != "entities"}
    config = find_recipe("source-toy")(**arguments, attributes=2, held_out_questions=1)
    run_seeds([RunRequest(config=config, folder=folder, seeds=(0,))], workers=1)
    before = tree_hash(folder)

    assert main(["probe", str(folder), "--target", "entity"]) == 2
    assert "target entity needs a world of entities" in last_line(capsys)
    assert tree_hash(folder) == before


def test_fewer_groups_than_folds_are_bad_input(
    tmp_path: Path, capsys: Capture, tree_hash: TreeHash
):
    folder = train(tmp_path / "few", seeds=(0,), entities=4)
    before = tree_hash(folder)

    assert main(["probe", str(folder), "--target", "tag", "--quick"]) == 2
    assert (
        "4 entities of 24 aliases cannot be divided so that two folds hold both classes"
        in last_line(capsys)
    )
    assert tree_hash(folder) == before


def test_a_lens_outside_the_residual_stream_is_bad_input(
    run: Path, capsys: Capture, tree_hash: TreeHash
):
    before = tree_hash(run)

    assert main(["lens", str(run), "--site", "attn_out"]) == 2
    assert "a lens reads the residual stream, not attn_out" in last_line(capsys)
    assert tree_hash(run) == before


def test_a_run_without_the_checkpoint_is_bad_input(run: Path, capsys: Capture, tree_hash: TreeHash):
    shutil.rmtree(run / "seed-1" / "stage-1")
    before = tree_hash(run)

    for command in ("probe", "lens"):
        assert main([command, str(run)]) == 2
        assert "has no checkpoint in stage 1 of seed 1" in last_line(capsys)
    assert tree_hash(run) == before


def test_weights_that_are_not_finite_are_bad_input(run: Path, capsys: Capture, tree_hash: TreeHash):
    step = run / "seed-1/stage-1" / f"step-{Run.load(run).steps(1, 1)[-1]}"
    weights = load_file(step / "model.safetensors")
    name = next(name for name in weights if "layers.1" in name)
    save_file(
        weights | {name: torch.full_like(weights[name], float("nan"))},
        step / "model.safetensors",
        metadata={"format": "pt"},
    )
    write_manifest(step)
    assert checkpoint_damage(run / "seed-1") == []
    before = tree_hash(run)

    assert main(["probe", str(run), "--target", "tag"]) == 2
    assert "logits of GPTNeoXForCausalLM are not finite; the model is" in last_line(capsys)
    assert tree_hash(run) == before


@pytest.mark.parametrize("command", ["probe", "lens"])
def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path, capsys: Capture, command: str):
    assert main([command, str(tmp_path)]) == 2
    assert "is no run folder (it has no run.json); make one" in last_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"layers": 1}, "the runs' layers differ"), ({"word_order": "ate"}, "the runs' seeds differ")],
)
def test_runs_that_make_no_grid_are_bad_input(
    run: Path,
    tmp_path: Path,
    capsys: Capture,
    tree_hash: TreeHash,
    changes: dict[str, int | str],
    message: str,
):
    other = train(tmp_path / "other", seeds=(1,), **changes)
    before = tree_hash(run), tree_hash(other)

    for command in ("probe", "lens"):
        assert main([command, str(run), str(other)]) == 2
        assert message in last_line(capsys)
    assert main(["probe", str(run), str(run)]) == 2
    assert "a run was named twice" in last_line(capsys)
    assert (tree_hash(run), tree_hash(other)) == before


def test_a_damaged_checkpoint_is_exit_3(run: Path, capsys: Capture, tree_hash: TreeHash):
    step = run / "seed-0/stage-1" / f"step-{Run.load(run).steps(0, 1)[-1]}"
    (step / "model.safetensors").write_bytes(b"damaged")
    before = tree_hash(run)

    assert main(["probe", str(run), "--target", "tag"]) == 3
    assert "does not match its checksum" in last_line(capsys)
    assert tree_hash(run) == before
