"""`iml blocks` on tiny runs, and who else reads models that are no transformers or refuses them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from interp.claims.verdicts import claims_of_run
from interp.cli import main
from interp.verdicts.rule import Word
from training.runs.run import Run
from training.statistics import t_interval

RECIPES = ("one-layer-retrieval", pytest.param("truth-direction", marks=pytest.mark.slow))
OF_IML = re.compile(r"\bD[0-9]+\b|iml_gap|mplicit meta|the paper's|shuffled|\btags?\b")
REFUSING = (
    *("probe", "lens", "patch", "attention", "ablate", "erase", "circuit", "codes", "transplant"),
    *("align", "turn", "mediate", "twins"),
)
"""Commands that look inside a transformer."""


@pytest.fixture(scope="module", params=RECIPES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("one layer") / "run"
    command = ["run", request.param, "--smoke", "--seeds", "2", "--with-null", "--workers", "1"]
    assert main([*command, "--out", str(folder)]) == 0
    assert main(["blocks", str(folder)]) == 0
    return Run.load(folder)


def said(capsys: pytest.CaptureFixture[str], command: Sequence[str], code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(command)) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_the_table_has_every_checkpoint_of_run_and_control(run: Run) -> None:
    for each in (run, run.finished_null):
        assert each is not None
        table = each.table("blocks")
        assert table is not None
        places = set(map(tuple, table[["seed", "step"]].to_numpy().tolist()))
        assert places == {(seed, step) for seed in each.seeds for step in each.steps(seed, 1)}
        assert set(table["run_id"]) == {each.config.run_id}
        assert not table["value"].isna().to_numpy().any()


def test_the_summary_is_means_with_t_intervals_over_seeds(run: Run) -> None:
    table, summary = run.table("blocks"), run.table("blocks_summary")
    assert table is not None
    assert summary is not None
    cell = summary.loc[summary["quantity"] == "block"].iloc[-1]
    keys = ["step", "quantity", "part", "state"]
    own = table.loc[(table[keys] == cell[keys]).all(axis=1), "value"]
    assert len(own) == 2
    assert cell["value"] == pytest.approx(own.mean())
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx(t_interval(own.to_numpy()))


def test_measuring_again_writes_the_same_bytes(run: Run) -> None:
    path = run.folder / "blocks.parquet"
    before = path.read_bytes()
    assert main(["blocks", str(run.folder)]) == 0
    assert path.read_bytes() == before


def test_the_probability_is_that_of_the_run_s_own_evaluation(run: Run) -> None:
    """By Jensen no less than exp of the mean log-probability, which the run measured."""
    table = run.table("blocks")
    assert table is not None
    metrics = run.metrics
    for name in run.design.main.names:
        found = table.loc[(table["quantity"] == "probability") & (table["part"] == name)]
        logs = metrics.loc[
            (metrics["subset"] == name)
            & (metrics["question"] == "all")
            & (metrics["metric"] == "answer_log_prob")
        ]
        both = found.merge(logs, on=["seed", "step"], suffixes=("", "_log"))
        assert len(both) == len(found)
        assert (both["value"] >= both["value_log"].map(lambda x: 2.718281828**x) - 1e-6).all()


def test_as_json_it_says_what_it_found(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, ["blocks", str(run.folder), "--json"]))
    assert found["analysis"] == "blocks"
    assert any("Nuclear norm" in each for each in found["runs"][0]["found"][0]["sentences"])


def test_its_report_and_summary_say_nothing_of_implicit_meta_learning(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, ["summary", str(run.folder)])
    assert main(["report", str(run.folder)]) == 0
    page = (run.folder / "report.html").read_text()
    assert main(["report", str(run.folder)]) == 0
    assert (run.folder / "report.html").read_text() == page
    assert "<h2>Weights of one layer</h2>" in page
    assert "<h2>Claims</h2>" in page
    shown = re.sub("<[^>]*>", " ", re.sub("(?s)<(script|style)[^>]*>.*?</\\1>", " ", page))
    assert "word that belongs" in shown
    for where in (text, shown):
        assert not OF_IML.findall(where)


@pytest.mark.parametrize("command", REFUSING)
def test_what_looks_inside_a_transformer_refuses_it_by_name_in_one_line(
    command: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    error = said(capsys, [command, str(run.folder)], 2)
    kind = getattr(run.config.model, "model_type")  # noqa: B009  what an OwnModel has
    assert error.startswith(f"error: {run.folder} is of a {kind} model, which is no transformer;")
    assert error.count("\n") == 1
    assert files == {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}


def test_hypotheses_about_tags_are_checked_in_no_run_without_tags(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    error = said(capsys, ["hypothesis", str(run.folder)], 2)
    assert error.startswith(f"error: {run.folder} is of {run.design.name}, in which nothing")
    assert error.count("\n") == 1


def test_a_transformer_is_refused_by_name(
    tiny_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    error = said(capsys, ["blocks", str(tiny_run.folder)], 2)
    assert "is of gpt_neox-" in error
    assert "iml blocks reads models of one layer" in error
    assert error.count("\n") == 1


def test_a_claim_that_was_not_measured_says_which_command_does(run: Run) -> None:
    bare = Run(
        folder=run.folder, info=run.info, config=run.config, given_metrics=run.metrics,
        given_null=run.finished_null, given_tables={},
    )  # fmt: skip
    reasons = {each.reason for each in claims_of_run(bare) if each.word is Word.NOT_MEASURED}
    assert reasons == {"run iml blocks first"}
    assert not [each for each in claims_of_run(run) if each.word is Word.NOT_MEASURED]


def test_without_its_control_a_claim_about_it_is_not_measured(run: Run) -> None:
    control = run.finished_null
    assert control is not None
    words = {each.reason for each in claims_of_run(control)}
    assert all(word.startswith("only for ") for word in words)


@pytest.mark.slow
def test_resumed_at_a_checkpoint_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Saved, killed and read back like any other model."""
    tables = []
    for name, cut in (("whole", False), ("cut", True)):
        out = tmp_path / name
        command = ["run", "one-layer-retrieval", "--smoke", "--workers", "1", "--out", str(out)]
        assert main(command) == 0
        if cut:
            stage = next(out.glob("seed-*/stage-1"))
            last = max(stage.iterdir(), key=lambda path: int(path.name.partition("-")[2]))
            for path in sorted(last.rglob("*"), reverse=True):
                path.unlink()
            last.rmdir()
            (out / "metrics.parquet").unlink()
            assert main(command) == 0
        tables.append(pd.read_parquet(out / "metrics.parquet"))
    pd.testing.assert_frame_equal(*tables)
