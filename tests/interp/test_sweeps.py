import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from data.errors import InputError
from interp.cli import main
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.probes.targets import Target
from interp.report.sweep_page import readable_section
from interp.sweep_folders import FinishedSweep
from interp.sweep_plans import SWEEPS, Cell, Sweep, find_sweep
from interp.sweeps import run_sweep
from training.claims.all_claims import CLAIMS
from training.claims.verdicts import claims_of_group
from training.config import Value
from training.files import damage
from training.registry import find_recipe
from training.runs import Run, read_table

TreeHash = Callable[[Path], dict[str, str]]


def analyses() -> tuple[ProbeAnalysis, LensAnalysis]:
    probes = ProbeAnalysis(quick=True, n_permutations=1, targets=(Target.TAG,))
    return probes, LensAnalysis(tuned=False)


SWEEP = Sweep(
    name="two-orders",
    question="Does a sweep join what it should?",
    figures=("4b",),
    varies="word_order",
    claims=("O1", "A3"),
    cells=tuple(
        Cell(recipe="alias-toy", arguments={"word_order": order, "epochs_stage2": 1})
        for order in ("tae", "ate")
    ),
    analyses=analyses,
    stage=1,
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("sweep") / "out"
    return folder, run_sweep(SWEEP, folder, (1000, 1001), smoke=True, workers=1)


def test_every_cell_is_a_run_folder_named_after_its_parameters(swept: tuple[Path, pd.DataFrame]):
    folder, cells = swept
    runs = [Run.load(path) for path in sorted((folder / "cells").iterdir())]

    assert sorted(run.config.run_id for run in runs) == sorted(cells["run_id"])
    assert [run.folder.name for run in runs] == [run.config.run_id for run in runs]
    assert {run.config.parameters["word_order"] for run in runs} == {"tae", "ate"}
    assert [run.seeds for run in runs] == [[1000, 1001]] * 2


@pytest.mark.parametrize("name", ["metrics", "probes", "probes_summary", "lens", "lens_summary"])
def test_joined_tables_hold_the_rows_of_every_cell(swept: tuple[Path, pd.DataFrame], name: str):
    folder, cells = swept
    joined = pd.read_parquet(folder / f"{name}.parquet")
    parts = [
        pd.read_parquet(folder / "cells" / run_id / f"{name}.parquet") for run_id in cells["run_id"]
    ]

    assert len(parts) == 2
    assert min(map(len, parts)) > 0
    pd.testing.assert_frame_equal(joined, pd.concat(parts, ignore_index=True))


def test_cells_tell_their_parameters_and_gaps(swept: tuple[Path, pd.DataFrame]):
    folder, cells = swept
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "cells.parquet"), cells)

    assert cells["word_order"].tolist() == ["tae", "ate"]
    for record in cells.to_dict("records"):
        gap = Run.load(folder / "cells" / record["run_id"]).summary["iml_gap"]["exact_match"]
        assert record["iml_gap_mean"] == gap["mean"]
        assert record["iml_gap_n_seeds"] == 2


def test_a_sweep_says_what_it_is_and_its_page_reads_the_same_gaps(
    swept: tuple[Path, pd.DataFrame],
):
    folder, cells = swept
    sweep = FinishedSweep.load(folder)
    gaps = sweep.gaps()

    assert json.loads((folder / "sweep.json").read_text()) == {
        "name": "two-orders",
        "question": "Does a sweep join what it should?",
        "figures": ["4b"],
        "varies": "word_order",
        "claims": ["O1", "A3"],
        "smoke": True,
        "seeds": [1000, 1001],
        "cells": cells["run_id"].tolist(),
    }
    for prefix, metric in (("iml_gap", "exact_match"), ("iml_gap_nats", "answer_log_prob")):
        rows = gaps.loc[gaps["metric"] == metric]
        assert rows["setting"].tolist() == cells["word_order"].tolist()
        assert rows["mean"].tolist() == cells[f"{prefix}_mean"].tolist()
        assert rows["ci_low"].tolist() == cells[f"{prefix}_ci_low"].tolist()


def test_its_page_shows_where_each_target_is_best_read(swept: tuple[Path, pd.DataFrame]):
    sweep = FinishedSweep.load(swept[0])
    section = readable_section(sweep)
    assert section is not None
    probes = read_table(swept[0] / "probes_summary.parquet")
    probes = probes.loc[probes["probe"] == "logistic"]
    for run in sweep.runs:
        cells = probes.loc[
            (probes["run_id"] == run.config.run_id)
            & (probes["target"] == "tag")
            & (probes["role"] == "alias_last")
        ]
        best = cells.loc[cells["accuracy"].idxmax()]
        assert f"{best['accuracy']:.2f} [" in section
        assert f"] {best['site']}.{best['layer']}<" in section
    assert "planted" not in section
    assert "<b>" not in section  # p of two seeds is .5 at least


def test_a_sweep_without_probes_has_no_such_section(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path
):
    folder = shutil.copytree(swept[0], tmp_path / "sweep")
    (folder / "probes_summary.parquet").unlink()
    assert readable_section(FinishedSweep.load(folder)) is None


def test_the_command_prints_gaps_and_claims_at_its_end(
    swept: tuple[Path, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)

    assert main(["sweep", SWEEP.name, "--smoke", "--workers", "1", "--out", str(swept[0])]) == 0
    printed = capsys.readouterr().out
    assert main(["summary", str(swept[0])]) == 0
    assert capsys.readouterr().out == printed
    assert printed.startswith("two-orders: Does a sweep join what it should?")
    assert "\nclaims of the paper\n" in printed
    assert "\nA3  " in printed


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=list(SWEEPS))
def test_every_cell_has_the_parameter_that_its_sweep_varies(sweep: Sweep):
    settings = {cell.arguments[sweep.varies] for cell in sweep.cells}

    assert len(settings) > 1
    assert all(find_recipe(cell.recipe).parameters[sweep.varies] for cell in sweep.cells)
    assert {claim for name in sweep.claims for claim in claims_of_group(name)}.isdisjoint(
        {claim for claim in CLAIMS if claim.across is None}
    )


def test_probes_of_all_cells_are_corrected_together(swept: tuple[Path, pd.DataFrame]):
    folder, _ = swept
    summary = pd.read_parquet(folder / "probes_summary.parquet")
    # Two seeds: every flip of both signs gives the same |t|, so nothing is below .5.
    assert min(summary["p_corrected"].tolist()) >= 0.5
    assert summary.groupby("word_order").size().tolist() == [14, 14]


def test_the_manifest_covers_what_lies_at_the_top(swept: tuple[Path, pd.DataFrame]):
    assert damage(swept[0]) == []


def test_a_sweep_is_verified_with_its_cells(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = shutil.copytree(swept[0], tmp_path / "sweep")
    assert main(["report", str(folder)]) == 0
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f"{folder}: every file matches its checksum\n")

    weights = sorted(folder.glob("cells/*/seed-1001/**/model.safetensors"))[-1]
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["verify", str(folder)]) == 3
    assert f"{weights} does not match its checksum" in capsys.readouterr().err


def test_asking_again_trains_nothing_and_changes_no_table(
    swept: tuple[Path, pd.DataFrame], tree_hash: TreeHash
):
    folder, _ = swept
    before = tree_hash(folder)
    told: list[tuple[str, str, int]] = []

    @contextmanager
    def show(label: str, *, unit: str = "step") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: told.append((label, unit, done))

    run_sweep(SWEEP, folder, (1000, 1001), smoke=True, workers=1, show=show)

    assert tree_hash(folder) == before
    assert [each for each in told if each[1] == "step" and each[2]] == []
    assert {label for label, unit, _ in told if unit == "checkpoint"} == {"probes", "lens"}


def test_a_sweep_into_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a folder"):
        run_sweep(SWEEP, tmp_path / "file", (0,), smoke=True)


def test_the_word_orders_are_compared_under_two_objectives():
    cells = SWEEPS["toy-word-orders"].cells
    arguments = [dict(cell.arguments) for cell in cells]
    orders = [str(a["word_order"]) for a in arguments]
    text = [a for a in arguments if a["loss_policy"] == "text"]

    assert sorted(orders) == sorted(["tae", "tea", "ate", "aet", "eat", "eta"] * 2)
    assert len(text) == 6
    assert {a["tied_embeddings"] for a in text} == {False}


def steps_of(arguments: Mapping[str, Value]) -> list[int]:
    config = find_recipe("alias-toy")(**arguments)
    data = config.data.build(0)
    stages = config.schedule.stages
    counts = {stage: sum(row.repeats for row in data.training_rows(stage)) for stage in stages}
    settings = {stage: config.stage(stage) for stage in stages}
    return [settings[s].epochs * -(-counts[s] // settings[s].batch_size) for s in stages]


def test_batch_sizes_go_up_to_the_full_batch_at_as_many_epochs_or_as_many_updates():
    epochs, updates = (SWEEPS[name].cells for name in ("toy-batch-size", "toy-batch-size-updates"))
    one_batch = steps_of({"batch_size": 64})

    assert [cell.arguments["batch_size"] for cell in epochs] == [16, 64, 256, 1024, 4096]
    assert steps_of(epochs[-1].arguments) == [20, 40]  # one batch an epoch: full batch
    assert one_batch == [1200, 200]
    for cell in updates:
        assert steps_of(cell.arguments) == pytest.approx(one_batch, rel=0.05)


def test_an_unknown_sweep_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match="no sweep 'toy-word-order'; did you mean toy-word-orders"):
        find_sweep("toy-word-order")
    with pytest.raises(InputError, match="no sweep 'xyz'; choose one of toy-word-orders"):
        find_sweep("xyz")
