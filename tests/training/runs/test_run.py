import json
from pathlib import Path

import pytest

from data.errors import DamagedError, InputError
from data.tables import COLUMNS
from data.tasks.iml import SUBSETS
from training.files import write_manifest
from training.runs.run import Run, analysis_files, rows_digest, write_null_verdict
from training.summary import summarize


def edit_info(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_run_knows_its_seeds_config_and_null_twin(tiny_run: Run) -> None:
    run = Run.load(str(tiny_run.folder))
    assert run.seeds == [1000, 1001]
    assert run.is_finished
    assert run.config.parameters["aliases_per_subset"] == 40
    assert run.null is not None
    assert run.null.config.parameters["shuffle_tags"] is True
    assert run.null.null is None


def test_summary_is_that_of_the_metrics_with_the_null_twins_verdict(tiny_run: Run) -> None:
    summary = dict(tiny_run.summary)
    verdict = summary.pop("null_equivalence")
    assert summary == summarize(tiny_run.metrics, tiny_run.design)
    assert set(verdict) == {"mean", "ci_low", "ci_high", "margin", "passed"}
    assert tiny_run.config.null_margin is not None
    assert verdict["margin"] == tiny_run.config.null_margin.value


def test_rows_are_a_table_with_spans(tiny_run: Run) -> None:
    rows = tiny_run.rows(seed=1000)
    assert tuple(rows.columns) == COLUMNS
    assert rows["row_id"].is_unique
    assert set(rows["subset"]) == set(SUBSETS) - {
        "D9_INCONS_QA9",
        "D10_CONS_QA10",
        "UNIQUE_TAGS_CONS_QA",
    }
    assert len(rows) == 80 + (2 * 40 + 3 * 10) + 4 * (2 * 40 + 10 + 4 * 10)


def test_dataset_is_the_same_rows(tiny_run: Run) -> None:
    dataset = tiny_run.dataset(seed=1001)
    rows = tiny_run.rows(seed=1001).set_index("row_id")
    assert list(dataset) == ["stage1", "stage2", "evaluation"]
    for split in dataset.values():
        texts = rows.loc[list(split["row_id"]), "text"].tolist()
        assert list(split["text"]) == texts
    assert set(dataset["stage2"]["kind"]) == {"definition"}


def test_rows_of_a_tiny_config_are_golden(tiny_run: Run) -> None:
    # A change here means that runs on disk can no longer be given their rows: a new format.
    digest = rows_digest(tiny_run.tokenized_rows(1000))
    assert digest == tiny_run.info["data_sha256"]["1000"]
    assert digest == "812427ebd0731a4f69201e535a603a4607e21165aab7341e4df8fd56f5a12a2c"


def test_rows_that_this_version_draws_otherwise_are_refused(copied_run: Path) -> None:
    edit_info(copied_run, data_sha256={"1000": "0" * 64, "1001": "0" * 64})
    with pytest.raises(InputError, match="draws other rows for seed 1000"):
        Run.load(copied_run).rows(1000)


def test_checkpoint_is_the_last_of_its_stage_unless_a_step_is_named(tiny_run: Run) -> None:
    steps = tiny_run.steps(1000, 1)
    assert tiny_run.checkpoint(1000, 1).name == f"step-{steps[-1]}"
    assert tiny_run.checkpoint(1000, 1, steps[2]).name == f"step-{steps[2]}"
    assert tiny_run.checkpoint(1000, 2, 0) == tiny_run.folder / "seed-1000/stage-2/step-0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7, 1), "has no seed 7; choose one of 1000, 1001"),
        ((1000, 3), "has no stage 3; choose 1 or 2"),
        ((1000, 1, 5), "has no checkpoint of step 5; choose one of 0, "),
    ],
)
def test_what_a_run_lacks_is_bad_input(arguments, message: str, tiny_run: Run) -> None:
    with pytest.raises(InputError, match=message):
        tiny_run.checkpoint(*arguments)


def test_second_stage_2_seed_that_was_not_run_is_bad_input(tiny_run: Run) -> None:
    with pytest.raises(InputError, match="holds no checkpoint"):
        tiny_run.checkpoint(1000, 2, stage2_seed=1)


def test_interrupted_run_has_no_metrics_yet(copied_run: Path) -> None:
    edit_info(copied_run, finished=None)
    run = Run.load(copied_run)
    for read in (lambda: run.metrics, lambda: run.summary):
        with pytest.raises(InputError, match="is not finished"):
            read()


def test_unreadable_table_is_damage(copied_run: Path) -> None:
    (copied_run / "metrics.parquet").write_bytes(b"PAR1")
    (copied_run / "manifest.json").unlink()  # which would say so first
    with pytest.raises(DamagedError, match=r"metrics\.parquet cannot be read"):
        _ = Run.load(copied_run).metrics


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "alias-tox"}, "no recipe 'alias-tox'"),
        ({"parameters": {"layerz": 1}}, "no parameter 'layerz'"),
        ({"parameters": {"layers": "two"}}, "layers is 'two', which is no int"),
    ],
)
def test_run_of_an_unknown_recipe_or_parameter_is_bad_input(
    changes: dict, message: str, copied_run: Path
) -> None:
    edit_info(copied_run, **changes)
    with pytest.raises(InputError, match=message):
        Run.load(copied_run)


def test_verdict_is_written_once_and_again_only_if_it_changed(copied_run: Path) -> None:
    path = copied_run / "summary.json"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    write_null_verdict(Run.load(copied_run))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    summary = json.loads(path.read_text())
    del summary["null_equivalence"]
    path.write_text(json.dumps(summary))
    write_manifest(copied_run, analysis_files(copied_run))
    write_null_verdict(Run.load(copied_run))
    assert path.read_bytes() == before[0]


def test_runs_manifest_covers_analyses_but_neither_checkpoints_nor_the_null(
    copied_run: Path,
) -> None:
    for name in ("probes.parquet", "hypotheses/h1.json", ".hidden"):
        (copied_run / name).parent.mkdir(exist_ok=True)
        (copied_run / name).write_text("")
    assert sorted(str(path.relative_to(copied_run)) for path in analysis_files(copied_run)) == [
        "hypotheses/h1.json",
        "metrics.parquet",
        "probes.parquet",
        "run.json",
        "summary.json",
    ]
