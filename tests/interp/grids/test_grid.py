import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, load_file

from data.errors import DamagedError, InputError
from data.tokens import TokenizedRow
from interp.grids.grid import Measured, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.lenses.analysis import LensAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.report.page import build_report
from training.columns import RUN_COLUMNS
from training.recipes import find_recipe
from training.runs.integrity import run_damage
from training.runs.publication import listed
from training.runs.publication import read as published
from training.runs.requests import RunRequest
from training.runs.run import Run, read_table
from training.runs.runner import run_seeds

TreeHash = Callable[[Path], dict[str, str]]
KilledAt = Callable[[int, Path, Callable[[], object]], bool]
MINI = {"aliases_per_subset": 20, "aliases_qa3": 10, "aliases_stage2": 10, "entities": 8} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}
PROBES = ProbeAnalysis(quick=True, n_permutations=2, targets=("tag",))


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """An analysis so plain that its tables can be told beforehand: the width of the stream."""

    factor: float = 1.0
    fails_at_seed: int | None = None
    withdraws_at_seed: int | None = None
    """There it measures the first site only, and withdraws the last."""
    meanwhile: Callable[[], object] | None = None
    """What happens while it measures."""

    name = "weighing"
    coordinates = ("site", "layer")

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        if self.meanwhile is not None:
            self.meanwhile()
        if seed == self.fails_at_seed:
            raise InputError("this seed cannot be weighed; take another")
        table = pd.DataFrame(
            [
                {"site": s.name, "layer": s.layer, "weight": model.d_model * self.factor + seed}
                for s in sites
            ]
        )
        vectors = {f"{s.name}.{s.layer}": np.full(2, self.factor) for s in sites}
        if seed == self.withdraws_at_seed:
            gone = {"site": sites[-1].name, "layer": sites[-1].layer}
            return Measured(table=table.iloc[:1], withdrawn=(gone,))
        return Measured(table=table, vectors=vectors)

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        run = [name for name in RUN_COLUMNS if name != "seed"]
        return table.groupby([*run, "site", "layer"]).agg(weight=("weight", "mean")).reset_index()


@dataclass(frozen=True, kw_only=True)
class Named(Weighing):
    """The same under another name."""

    name: str = "other"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    requests = [
        RunRequest(
            config=find_recipe("alias-toy")(**MINI, word_order=order),
            folder=folder / order,
            seeds=(0, 1),
        )
        for order in ("tae", "ate")
    ]
    return {run.folder.name: run for run in run_seeds(requests, workers=1)}


@pytest.fixture
def runs(trained: dict[str, Run], tmp_path: Path) -> tuple[Run, Run]:
    """Two word orders, to be changed."""
    folders = [shutil.copytree(run.folder, tmp_path / order) for order, run in trained.items()]
    tae, ate = (Run.load(folder) for folder in folders)
    return tae, ate


def read(run: Run, name: str) -> pd.DataFrame:
    return pd.read_parquet(run.folder / f"{name}.parquet")


def test_rows_begin_with_the_run_columns(runs: tuple[Run, Run]):
    tae, ate = runs
    run_grid(Weighing(), GridSelection(runs=runs, layers=(1,)), workers=1)
    last = tae.steps(0, 1)[-1]

    assert list(read(tae, "weighing").columns) == [*RUN_COLUMNS, "site", "layer", "weight"]
    assert RUN_COLUMNS == ["recipe", "run_id", "model", "seed", "word_order", "stage", "step"]
    for run, order in ((tae, "tae"), (ate, "ate")):
        head = ["alias-toy", run.config.run_id, "gpt_neox-L2-d8-h1-tied"]
        assert read(run, "weighing").to_numpy().tolist() == [
            [*head, seed, order, 1, last, "resid_post", 1, 8.0 + seed] for seed in (0, 1)
        ]


def test_what_can_no_longer_be_measured_is_withdrawn_there_and_nowhere_else(runs: tuple[Run, Run]):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    run_grid(Weighing(withdraws_at_seed=1), selection, workers=1)

    for run in runs:
        known = read(run, "weighing")
        cells = {(r["seed"], r["site"], r["layer"]) for r in known.to_dict("records")}
        assert cells == {
            (0, "resid_pre", 0),
            (0, "resid_post", 0),
            (0, "resid_post", 1),
            (1, "resid_pre", 0),
            (1, "resid_post", 0),
        }


def test_tables_are_those_of_every_run_together(runs: tuple[Run, Run]):
    table, summary = run_grid(Weighing(), GridSelection(runs=runs), workers=1)

    assert len(table) == 2 * 2 * 3
    assert len(summary) == 2 * 3
    for run in runs:
        of_run = table.loc[table["run_id"] == run.config.run_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(read(run, "weighing"), of_run)
        of_summary = summary.loc[summary["run_id"] == run.config.run_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(read(run, "weighing_summary"), of_summary)
        assert read(run, "weighing_summary")["weight"].tolist() == [8.5] * 3


def test_probes_have_the_columns_of_the_contract(runs: tuple[Run, Run]):
    run_grid(PROBES, GridSelection(runs=runs[:1], layers=(1,)), workers=1)
    row, summary = read(runs[0], "probes"), read(runs[0], "probes_summary")

    assert list(row.columns[:12]) == [*RUN_COLUMNS, "target", "site", "layer", "role", "probe"]
    assert {"accuracy", "control_accuracy", "selectivity", "p_value", "n_train", "n_test"} <= set(
        row.columns
    )
    assert list(summary.columns[:11]) == [
        *(name for name in RUN_COLUMNS if name != "seed"),
        *("target", "site", "layer", "role", "probe"),
    ]
    assert {"accuracy", "selectivity", "ci_low", "ci_high", "p_value", "p_corrected"} <= set(
        summary.columns
    )
    assert {"min_detectable", "n_seeds"} <= set(summary.columns)
    assert bool(row["twin_accuracy"].isna().all())  # no null twin was run
    assert not row.drop(columns="twin_accuracy").isna().any(axis=None)


def test_lenses_have_the_columns_of_the_contract(runs: tuple[Run, Run]):
    lens = LensAnalysis(tuned=False)
    run_grid(lens, GridSelection(runs=runs[:1], layers=(1,)), workers=1)

    where = ["subset", "lens", "site", "layer", "role", "quantity"]
    assert list(read(runs[0], "lens").columns) == [*RUN_COLUMNS, *where, "rank", "log_prob", "n"]
    assert {*where, "rank", "log_prob", "ci_low", "ci_high", "n_seeds"} <= set(
        read(runs[0], "lens_summary").columns
    )


def test_directions_are_named_by_checkpoint_and_cell(runs: tuple[Run, Run]):
    tae = runs[0]
    run_grid(PROBES, GridSelection(runs=(tae,), layers=(1,)), workers=1)
    last = tae.steps(0, 1)[-1]
    vectors = load_file(tae.folder / "probes_vectors.safetensors")

    assert sorted(vectors) == [
        f"seed-{seed}/stage-1/step-{last}/tag/resid_post.1/{role}/logistic"
        for seed in (0, 1)
        for role in ("alias_last", "question_last")
    ]


def test_the_numbers_do_not_depend_on_the_number_of_workers(
    trained: dict[str, Run], tmp_path: Path, tree_hash: TreeHash
):
    folders = [
        Path(shutil.copytree(trained["tae"].folder, tmp_path / name)) for name in ("one", "two")
    ]
    for workers, folder in enumerate(folders, 1):
        selection = GridSelection(runs=(Run.load(folder),), layers=(1,))
        run_grid(PROBES, selection, workers=workers)

    assert tree_hash(folders[0]) == tree_hash(folders[1])


def test_progress_counts_checkpoints(runs: tuple[Run, Run]):
    seen: list[tuple[int, int]] = []
    run_grid(
        Weighing(),
        GridSelection(runs=runs),
        workers=1,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# ---- a second call ---------------------------------------------------------------------------


def test_asking_again_replaces_rows_and_vectors(runs: tuple[Run, Run]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,))
    run_grid(Weighing(), selection, workers=1)
    run_grid(Weighing(factor=2), selection, workers=1)

    assert sorted(read(tae, "weighing")["weight"]) == [16.0] * 3 + [17.0] * 3
    assert read(tae, "weighing_summary")["weight"].tolist() == [16.5] * 3
    vectors = load_file(tae.folder / "weighing_vectors.safetensors")
    assert {tuple(vector) for vector in vectors.values()} == {(2.0, 2.0)}
    assert len(vectors) == 6


def test_asking_again_for_the_same_writes_the_same_bytes(
    runs: tuple[Run, Run], tree_hash: TreeHash
):
    selection = GridSelection(runs=(runs[0],))
    run_grid(Weighing(), selection, workers=1)
    before = tree_hash(runs[0].folder)
    run_grid(Weighing(), selection, workers=1)

    assert tree_hash(runs[0].folder) == before


@pytest.mark.parametrize("other", [{"stage": 2}, {"step": 0}], ids=["stage", "step"])
def test_rows_and_vectors_of_other_checkpoints_stay(runs: tuple[Run, Run], other: dict[str, int]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,))
    run_grid(Weighing(), selection, workers=1)
    rows, vectors = read(tae, "weighing"), load_file(tae.folder / "weighing_vectors.safetensors")
    run_grid(Weighing(factor=2), replace(selection, **other), workers=1)  # pyright: ignore[reportArgumentType]
    again = read(tae, "weighing")
    last = tae.steps(0, 1)[-1]
    is_old = (again["stage"] == 1) & (again["step"] == last)

    pd.testing.assert_frame_equal(again.loc[is_old].reset_index(drop=True), rows)
    assert sorted(again.loc[~is_old, "weight"]) == [16.0] * 3 + [17.0] * 3
    assert len(read(tae, "weighing_summary")) == 6
    now = load_file(tae.folder / "weighing_vectors.safetensors")
    assert len(now) == 12
    assert all(np.array_equal(now[name], vector) for name, vector in vectors.items())


def test_rows_and_vectors_of_other_seeds_stay_and_the_summary_covers_them(runs: tuple[Run, Run]):
    tae = runs[0]
    for seed, factor in ((0, 1.0), (1, 2.0)):
        run_grid(Weighing(factor=factor), GridSelection(runs=(tae,), seeds=(seed,)), workers=1)

    assert sorted(read(tae, "weighing")["weight"]) == [8.0] * 3 + [17.0] * 3
    assert read(tae, "weighing_summary")["weight"].tolist() == [12.5] * 3
    vectors = load_file(tae.folder / "weighing_vectors.safetensors")
    assert sorted(vector[0] for vector in vectors.values()) == [1.0] * 3 + [2.0] * 3


def test_what_was_written_is_in_the_manifest(runs: tuple[Run, Run]):
    run_grid(Weighing(), GridSelection(runs=runs), workers=1)

    assert [run_damage(run.folder) for run in runs] == [[], []]
    assert (runs[0].folder / "weighing_vectors.safetensors").is_file()


# ---- nothing is left half written ------------------------------------------------------------


def test_an_error_at_the_last_checkpoint_leaves_every_byte(
    runs: tuple[Run, Run], tree_hash: TreeHash
):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    before = [tree_hash(run.folder) for run in runs]

    with pytest.raises(InputError, match="this seed cannot be weighed"):
        run_grid(Weighing(factor=2, fails_at_seed=1), selection, workers=1)
    assert [tree_hash(run.folder) for run in runs] == before


@pytest.mark.parametrize("name", ["weighing", "weighing_summary"])
def test_a_damaged_table_of_the_second_run_leaves_the_first_as_it_was(
    runs: tuple[Run, Run], tree_hash: TreeHash, name: str
):
    selection = GridSelection(runs=runs)
    run_grid(Weighing(), selection, workers=1)
    (runs[1].folder / f"{name}.parquet").write_bytes(b"damaged")
    before = [tree_hash(run.folder) for run in runs]

    with pytest.raises(DamagedError, match=f"{name}.parquet does not match its checksum"):
        run_grid(Weighing(factor=2), selection, workers=1)
    assert [tree_hash(run.folder) for run in runs] == before


def test_a_damaged_checkpoint_leaves_every_byte(runs: tuple[Run, Run], tree_hash: TreeHash):
    tae = runs[0]
    weights = tae.folder / f"seed-1/stage-1/step-{tae.steps(1, 1)[-1]}/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    before = tree_hash(tae.folder)

    with pytest.raises(DamagedError, match="does not match its checksum"):
        run_grid(Weighing(), GridSelection(runs=(tae,)), workers=1)
    assert tree_hash(tae.folder) == before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["summary.json", "metrics.parquet", "run.json", "null.parquet"])
def test_a_damaged_neighbour_is_refused_before_anything_is_measured(
    runs: tuple[Run, Run], name: str, tree_hash: TreeHash
):
    tae = runs[0]
    run_grid(Named(name="null"), GridSelection(runs=(tae,)), workers=1)
    flip(tae.folder / name)
    before = tree_hash(tae.folder)

    def measured() -> None:
        raise AssertionError

    for _ in range(2):
        with pytest.raises(DamagedError, match=f"{name} does not match its checksum"):
            run_grid(Weighing(meanwhile=measured), GridSelection(runs=(tae,)), workers=1)
    assert tree_hash(tae.folder) == before
    assert run_damage(tae.folder)


def test_what_is_damaged_while_a_grid_is_filled_stays_damaged(runs: tuple[Run, Run]):
    tae = runs[0]
    path = tae.folder / "summary.json"
    content = path.read_bytes()
    damaging = Weighing(meanwhile=lambda: path.write_bytes(content.replace(b"mean", b"meen", 1)))
    run_grid(damaging, GridSelection(runs=(tae,)), workers=1)

    assert run_damage(tae.folder) == [f"{path} does not match its checksum"]


def test_a_table_that_is_in_no_manifest_is_not_gone_on_from(runs: tuple[Run, Run]):
    tae = runs[0]
    run_grid(Weighing(), GridSelection(runs=(tae,)), workers=1)
    (tae.folder / "weighing.parquet").rename(tae.folder / "named.parquet")

    with pytest.raises(DamagedError, match=r"named\.parquet is not in the manifest"):
        run_grid(Named(name="named"), GridSelection(runs=(tae,)), workers=1)
    assert len(run_damage(tae.folder)) == 2


# ---- two at once, and killed -----------------------------------------------------------------


def test_two_grids_that_overlap_keep_each_others_rows(runs: tuple[Run, Run]):
    tae = runs[0]
    inner = GridSelection(runs=(tae,), layers=(0,), seeds=(0,))
    outer = GridSelection(runs=(tae,), layers=(1,))

    def meanwhile() -> None:
        run_grid(Weighing(factor=3), inner, workers=1)

    table, summary = run_grid(Weighing(meanwhile=meanwhile), outer, workers=1)
    known = read(tae, "weighing")

    rows = [tuple(row) for row in known[["seed", "site", "layer", "weight"]].to_numpy().tolist()]
    assert sorted(rows) == [
        (0, "resid_post", 0, 24.0),
        (0, "resid_post", 1, 8.0),
        (0, "resid_pre", 0, 24.0),
        (1, "resid_post", 1, 9.0),
    ]
    pd.testing.assert_frame_equal(table, known)
    pd.testing.assert_frame_equal(read(tae, "weighing_summary"), summary)
    assert len(summary) == 3
    assert len(load_file(tae.folder / "weighing_vectors.safetensors")) == 4
    assert run_damage(tae.folder) == []


def test_another_analysis_and_a_report_that_end_meanwhile_are_kept(runs: tuple[Run, Run]):
    tae = runs[0]
    selection = GridSelection(runs=(tae,), layers=(1,))

    def meanwhile() -> None:
        run_grid(Named(), selection, workers=1)
        build_report(Run.load(tae.folder))
        assert run_damage(tae.folder) == []

    run_grid(Weighing(meanwhile=meanwhile), selection, workers=1)
    assert {"other.parquet", "report.html", "weighing.parquet"} <= set(listed(tae.folder) or {})
    assert run_damage(tae.folder) == []


def test_killed_at_any_change_the_tables_are_all_old_or_all_new(
    runs: tuple[Run, Run], tmp_path: Path, killed_at: KilledAt
):
    tae = runs[0]
    selection = GridSelection(runs=(tae,), layers=(1,))
    run_grid(Weighing(), selection, workers=1)
    measured = [  # once, so that each trial only writes
        Measured(
            table=read(tae, "weighing").query("seed == @seed").assign(weight=50.0),
            vectors={f"seed-{seed}/new": np.zeros(2)},
        )
        for seed in (0, 1)
    ]
    seen = []
    n = 0
    for n in count(1):
        folder = Path(shutil.copytree(tae.folder, tmp_path / "copies" / str(n)))

        def fill(folder: Path = folder) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("interp.grids.grid._measure_all", lambda *_: measured)
                run_grid(Weighing(), replace(selection, runs=(Run.load(folder),)), workers=1)

        if not killed_at(n, folder, fill):
            break
        rows, summary = (
            set(read_table(folder / f"weighing{end}.parquet")["weight"]) for end in ("", "_summary")
        )
        has_new = "seed-0/new" in load(published(folder / "weighing_vectors.safetensors"))
        seen.append((rows, summary, has_new))
        assert run_damage(folder) == []
    old, new = ({8.0, 9.0}, {8.5}, False), ({50.0}, {50.0}, True)
    assert n > 15
    assert all(each in (old, new) for each in seen)
    assert (seen[0], seen[-1]) == (old, new)
