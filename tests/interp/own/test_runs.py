"""A run from Python: opened or trained, and looked at as the commands do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.errors import InputError
from data.vocabulary import Role
from interp.cli import main
from interp.grids.grid import for_design
from interp.grids.settings import settings_of
from interp.own.runs import look, open_or_train, say
from training.runs.run import Run

MINI = {"aliases_per_subset": 20, "aliases_qa3": 10, "aliases_stage2": 10, "entities": 8} | {
    "d_model": 8,
    "heads": 1,
    "d_mlp": 8,
    "rotary_pct": 0.5,
    "epochs_stage1": 1,
    "epochs_stage2": 1,
}


class Asked(BaseException):
    """Instead of measuring a grid; a command makes exit codes of other exceptions."""


def asking(*grid: Any, **how: object) -> None:
    raise Asked(*grid)


@pytest.mark.parametrize(
    ("command", "stage", "settings"),
    [
        (("probe", "--quick"), 1, {"quick": True}),
        (("lens", "--stage", "2"), 2, {}),
        (("patch", "--stage", "2", "--confidence", ".2"), 2, {"confidence": 0.2}),
        (("attention",), 1, {}),
        (("attention", "--stage", "2"), 2, {}),
        (("ablate", "--stage", "2"), 2, {}),
        (("align",), 1, {}),
        (("align", "--test", "branches", "--limit", "5"), 1, {"limit": 5}),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_look_asks_for_what_the_command_does(
    command: tuple[str, ...],
    stage: int,
    settings: dict[str, object],
    tiny_run: Run,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("interp.grids.grid.run_grid", asking)
    monkeypatch.setattr("interp.own.runs.known_or_measured", asking)
    name = command[-3] if "--test" in command else command[0]

    with pytest.raises(Asked) as of_command:
        main([command[0], str(tiny_run.folder), *command[1:]])
    with pytest.raises(Asked) as of_look:
        look(tiny_run, name, stage=stage, **settings)

    said, asked = (
        settings_of(for_design(analysis, tiny_run.design), selection)
        for analysis, selection in (of_command.value.args, of_look.value.args)
    )
    assert said == asked
    assert of_look.value.args[1].stage == of_command.value.args[1].stage == stage


def test_look_takes_the_tables_of_the_command_and_no_others(
    copied_run: Path, tree_hash: Callable[[Path], dict[str, str]], monkeypatch: pytest.MonkeyPatch
):
    run = Run.load(copied_run)
    measured = look(run, "attention", stage=2)
    assert not (copied_run / "attention.parquet").exists()
    assert main(["attention", str(copied_run), "--stage", "2"]) == 0
    before = tree_hash(copied_run)

    with monkeypatch.context() as patch:
        patch.setattr("interp.grids.known_tables.measure_grid", asking)
        for one, other in zip(look(run, "attention", stage=2), measured, strict=True):
            pd.testing.assert_frame_equal(one, other, check_like=True)
        with pytest.raises(Asked):
            look(run, "attention", stage=2, roles=(Role.ALIAS,))
    assert tree_hash(copied_run) == before

    assert (
        main(["attention", str(copied_run), "--stage", "2", "--seed", "1000", "--role", "tag"]) == 0
    )
    again = look(run, "attention", stage=2)[0]
    pd.testing.assert_frame_equal(again, measured[0], check_like=True)


def test_a_run_is_trained_where_there_is_none_and_then_opened(
    tmp_path: Path, tree_hash: Callable[[Path], dict[str, str]], capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "runs" / "mini"
    trained = open_or_train(folder, "alias-toy", settings=MINI, n_seeds=1, with_null=True)
    assert trained.seeds == [1000]
    assert trained.finished_null is not None
    assert "null_equivalence" in trained.summary
    assert "steps" in capsys.readouterr().err
    before = tree_hash(tmp_path)

    assert open_or_train(str(folder), "alias-toy").config == trained.config
    assert tree_hash(tmp_path) == before


def test_what_cannot_be_looked_at_is_named(tiny_run: Run, tmp_path: Path):
    with pytest.raises(InputError, match="no analysis 'prob'; did you mean probe"):
        look(tiny_run, "prob")
    with pytest.raises(InputError, match="no setting of probe 'quik'; did you mean quick"):
        look(tiny_run, "probe", quik=True)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and no run folder"):
        open_or_train(tmp_path, "alias-toy")


def test_sentences_are_paragraphs_of_a_screens_width(capsys: pytest.CaptureFixture[str]):
    say("word " * 40, "second")

    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 96
    assert printed.endswith("\n\nsecond\n")
