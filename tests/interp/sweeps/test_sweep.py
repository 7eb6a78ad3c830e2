import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from data.errors import InputError
from data.vocabulary import Part, Stage
from interp.claims.all_claims import CLAIMS
from interp.claims.verdicts import claims_of_group
from interp.cli import main
from interp.figures.places import site_words
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.report.sweep_page import readable_section
from interp.sweeps.folders import FinishedSweep, require_place_for, sweep_damage
from interp.sweeps.plans import SWEEPS, Sweep, SweepCell, find_sweep
from interp.sweeps.sweep import run_sweep
from training.config import RunConfig
from training.recipes import find_recipe
from training.runs.publication import published_damage, require_intact
from training.runs.run import Run, read_table

TreeHash = Callable[[Path], dict[str, str]]


def analyses() -> tuple[ProbeAnalysis, LensAnalysis]:
    probes = ProbeAnalysis(quick=True, n_permutations=1, targets=("tag",))
    return probes, LensAnalysis(tuned=False)


SWEEP = Sweep(
    name="two-orders",
    question="Does a sweep join what it should?",
    figures=("4b",),
    varies="word_order",
    claims=("O1", "A3"),
    cells=tuple(
        SweepCell(recipe="alias-toy", arguments={"word_order": order, "epochs_stage2": 1})
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
        assert f"], {site_words(best['site'], int(best['layer']))}<" in section
    assert "planted" not in section
    assert "nan" not in section  # what two seeds could have found is nothing, which is said
    assert "With so few seeds nothing, however strong, could be found." in section
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
    assert published_damage(swept[0]) == []


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


@pytest.fixture
def copy(swept: tuple[Path, pd.DataFrame], tmp_path: Path) -> Path:
    """The folder of a copy of the sweep that a test may change."""
    return Path(shutil.copytree(swept[0], tmp_path / "sweep"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchange_cells(folder: Path) -> None:
    one, other = sorted((folder / "cells").iterdir())
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)


def first_cell(folder: Path) -> Path:
    return min((folder / "cells").iterdir())


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed sweep.json": (lambda f: flip(f / "sweep.json"), "sweep.json does not match"),
    "no sweep.json": (lambda f: (f / "sweep.json").unlink(), "sweep.json is missing"),
    "a changed joined table": (lambda f: flip(f / "lens.parquet"), "lens.parquet does not match"),
    "a lost joined table": (lambda f: (f / "cells.parquet").unlink(), "cells.parquet is missing"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
    "a manifest that is none": (lambda f: (f / "manifest.json").write_text("["), "is unreadable"),
    "a stray file": (lambda f: (f / "notes.txt").write_text(""), "notes.txt is not in the"),
    "a stray folder": (lambda f: shutil.copytree(f / "cells", f / "more"), "is not in the man"),
    "a stray file among cells": (
        lambda f: (f / "cells" / "notes.txt").write_text(""),
        "notes.txt is no cell of the sweep",
    ),
    "an extra cell": (
        lambda f: shutil.copytree(first_cell(f), f / "cells" / "extra"),
        "extra is no cell of the sweep",
    ),
    "a lost cell": (lambda f: shutil.rmtree(first_cell(f)), " is missing"),
    "no cells": (lambda f: shutil.rmtree(f / "cells"), " is missing"),
    "a hollow cell": (lambda f: (shutil.rmtree(c := first_cell(f)), c.mkdir()), "is no run folder"),
    "cells that changed places": (exchange_cells, " holds run "),
    "a changed run.json": (lambda f: flip(first_cell(f) / "run.json"), "run.json does not match"),
    "no run.json": (lambda f: (first_cell(f) / "run.json").unlink(), "run.json is missing"),
    "a changed table of a cell": (lambda f: flip(first_cell(f) / "lens.parquet"), "does not match"),
}


@pytest.mark.parametrize("harm", HARM)
def test_every_harm_to_a_sweep_is_damage(harm: str, copy: Path, capsys: pytest.CaptureFixture[str]):
    do, says = HARM[harm]
    do(copy)
    assert main(["verify", str(copy)]) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "harm", ["a changed sweep.json", "a changed joined table", "a changed table of a cell"]
)
def test_no_writer_vouches_for_what_is_damaged_in_a_sweep(
    harm: str, copy: Path, monkeypatch: pytest.MonkeyPatch, tree_hash: TreeHash
):
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)
    HARM[harm][0](copy)
    before = tree_hash(copy)
    assert main(["report", str(copy)]) == 3
    assert main(["sweep", SWEEP.name, "--smoke", "--workers", "1", "--out", str(copy)]) == 3
    assert tree_hash(copy) == before


def test_a_lost_cell_is_damage_to_every_reader(copy: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(first_cell(copy))
    for command in ("summary", "report"):
        assert main([command, str(copy)]) == 3
        assert "is missing; repeat the iml sweep command" in capsys.readouterr().err


def test_a_table_that_no_command_wrote_is_not_joined(copy: Path):
    (first_cell(copy) / "stray.parquet").write_bytes((copy / "lens.parquet").read_bytes())
    run_sweep(replace(SWEEP, analyses=tuple), copy, (1000, 1001), smoke=True, workers=1)
    assert not (copy / "stray.parquet").exists()
    assert [f"{first_cell(copy)}/stray.parquet is not in the manifest"] == sweep_damage(copy)


@pytest.mark.slow
def test_killed_at_any_change_the_joined_tables_are_all_old_or_all_new(
    copy: Path, tmp_path: Path, killed_at: Callable[[int, Path, Callable[[], object]], bool]
):
    plan = replace(SWEEP, analyses=tuple, question="Another?")
    seen = []
    n = 0
    for n in count(1):
        folder = Path(shutil.copytree(copy, tmp_path / "copies" / str(n)))

        def again(folder: Path = folder) -> None:
            run_sweep(plan, folder, (1000, 1001), smoke=True, workers=1)

        if not killed_at(n, folder, again):
            break
        assert published_damage(folder) == []
        require_intact(folder)
        seen.append(FinishedSweep.load(folder).info["question"])
    assert n > 15
    assert seen == sorted(seen, key=lambda question: question == "Another?")
    assert set(seen) == {SWEEP.question, "Another?"}


FOREIGN: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a run's": (lambda f, s: shutil.copytree(first_cell(s), f), "holds a run, not a sweep"),
    "a run's null twin's": (
        lambda f, s: shutil.copytree(first_cell(s) / "seed-1000", f),
        "is not empty and no sweep's",
    ),
    "another sweep's": (
        lambda f, s: (
            shutil.copytree(s, f),
            (f / "manifest.json").unlink(),
            (f / "sweep.json").write_text((f / "sweep.json").read_text().replace("two-o", "o")),
        ),
        "holds the sweep orders, not two-orders",
    ),
    "another sweep's, not finished": (
        lambda f, s: shutil.copytree(s / "cells", f / "cells" / "another"),
        "another is no cell of two-orders",
    ),
    "with other files": (
        lambda f, s: (f.mkdir(), (f / "thesis.tex").write_text("")),
        "is not empty and no sweep's",
    ),
    "with a file named cells": (
        lambda f, s: (f.mkdir(), (f / "cells").write_text("")),
        "is not empty and no sweep's",
    ),
    "a file": (lambda f, s: f.write_text(""), "is a file, not a folder"),
    "with stray files among its cells": (
        lambda f, s: (shutil.copytree(s, f), (f / "cells" / "notes.txt").write_text("")),
        "notes.txt is no cell of two-orders",
    ),
    "within a run's": (
        lambda f, s: shutil.copytree(first_cell(s), f.parent, dirs_exist_ok=True),
        r"which has a run.json",
    ),
    "within a sweep's": (
        lambda f, s: shutil.copytree(s, f.parent, dirs_exist_ok=True),
        "which has a sweep.json",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_sweep_into_a_foreign_folder_is_refused_and_nothing_is_written(
    kind: str,
    swept: tuple[Path, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree_hash: TreeHash,
    capsys: pytest.CaptureFixture[str],
):
    make, says = FOREIGN[kind]
    monkeypatch.setitem(SWEEPS, SWEEP.name, SWEEP)
    (tmp_path / "home").mkdir()
    folder = tmp_path / "home" / "out"
    make(folder, swept[0])
    before = tree_hash(tmp_path)
    assert main(["sweep", SWEEP.name, "--smoke", "--seeds", "1", "--out", str(folder)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    with pytest.raises(InputError, match=says):
        run_sweep(SWEEP, folder, (1000,), smoke=True)
    assert tree_hash(tmp_path) == before


def test_a_full_sweep_does_not_go_on_from_a_smoke_one(swept: tuple[Path, pd.DataFrame]):
    with pytest.raises(InputError, match="is no cell of two-orders without --smoke"):
        require_place_for(SWEEP, swept[0], smoke=False)


def test_a_sweep_that_was_killed_early_or_has_new_cells_goes_on(
    swept: tuple[Path, pd.DataFrame], tmp_path: Path
):
    cell = first_cell(swept[0])
    (tmp_path / "cells" / cell.name).mkdir(parents=True)
    (tmp_path / "cells" / cell.name / ".lock").write_text("")
    require_place_for(SWEEP, tmp_path, smoke=True)
    more = SweepCell(recipe="alias-toy", arguments={"word_order": "eat"})
    require_place_for(replace(SWEEP, cells=(*SWEEP.cells, more)), swept[0], smoke=True)


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


def test_batch_sizes_go_up_to_the_full_batch_at_as_many_epochs_or_as_many_updates():
    epochs, updates, smoke = (
        [cell.config(smoke=is_smoke) for cell in SWEEPS[name].cells]
        for name, is_smoke in (
            ("toy-batch-size", False),
            ("toy-batch-size-updates", False),
            ("toy-batch-size-updates", True),
        )
    )
    data = find_recipe("alias-toy")().data.build(0)
    shown = {s: sum(row.repeats for row in data.training_rows(s)) for s in Part}

    def steps_of(config: RunConfig) -> list[int]:
        stages = {part: config.stage(Stage(part)) for part in shown}
        return [stages[s].epochs * -(-n // stages[s].batch_size) for s, n in shown.items()]

    for configs in (epochs, updates, smoke):
        sizes = [config.parameters["batch_size"] for config in configs]
        assert sizes == [16, 64, 256, 1024, 4096]
    assert steps_of(epochs[-1]) == [20, 40]  # one batch an epoch: full batch
    assert steps_of(epochs[1]) == [1200, 200]
    for config in updates:
        assert steps_of(config) == pytest.approx([1200, 200], rel=0.05)
    # A smoke run has other rows, but shows that such numbers of epochs work.
    assert [config.stage1.epochs for config in smoke] == [5, 20, 80, 300, 1200]
    assert {config.parameters["d_model"] for config in smoke} == {16}


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=list(SWEEPS))
def test_one_cell_of_every_sweep_is_a_recipe_as_it_is(sweep: Sweep):
    """So it is not said twice what the recipe's own values are."""
    cells = [cell.config(smoke=False) for cell in sweep.cells]
    recipes = {cell.recipe for cell in sweep.cells}

    assert {find_recipe(name)().run_id for name in recipes} < {cell.run_id for cell in cells}


def test_an_unknown_sweep_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match="no sweep 'toy-word-order'; did you mean toy-word-orders"):
        find_sweep("toy-word-order")
    with pytest.raises(InputError, match="no sweep 'xyz'; choose one of toy-word-orders"):
        find_sweep("xyz")
