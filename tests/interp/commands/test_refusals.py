"""What no run can give is refused before a worker starts, by every command that looks inside."""

from pathlib import Path

import pytest

from data.vocabulary import Kind
from interp.cli import main
from interp.grids import grid as grids
from training.runs.run import Run

COMMANDS = ("probe", "lens", "patch", "attention", "ablate", "erase", "transplant")
ROLES = ("probe", "lens", "patch", "erase", "transplant")


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch):
    def start(*_: object) -> None:
        pytest.fail("a checkpoint was opened")

    monkeypatch.setattr(grids, "_measure_all", start)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("layer", ["2", "-1"])
def test_a_layer(command: str, layer: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]):
    error = refused(capsys, command, str(tiny_run.folder), "--layer", layer)

    assert error == f"error: no layer {layer} in a model of 2; choose from 0 to 1"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_step_and_a_seed(command: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]):
    folder = str(tiny_run.folder)

    assert "no checkpoint of step 77 " in refused(capsys, command, folder, "--step", "77")
    assert "has no seed 7; choose" in refused(capsys, command, folder, "--seed", "7")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("lens", "attention")])
def test_a_site_that_parallel_models_lack(
    command: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]
):
    error = refused(capsys, command, str(tiny_run.folder), "--site", "resid_mid")

    assert "has no resid_mid" in error


@pytest.mark.parametrize("command", ROLES)
def test_a_role_that_questions_lack(
    command: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]
):
    assert "has no tag; choose" in refused(capsys, command, str(tiny_run.folder), "--role", "tag")


@pytest.mark.parametrize("command", [*COMMANDS, "align"])
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", "this machine has no device cuda:99 ("),
        ("gpu", "gpu is no device; use cpu, cuda, cuda:N or mps"),
        ("cuda:-1", "cuda:-1 is no device; use cpu"),
    ],
)
def test_a_device(
    command: str, device: str, message: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]
):
    assert message in refused(capsys, command, str(tiny_run.folder), "--device", device)


@pytest.mark.parametrize(("command", "head"), [("patch", "4"), ("patch", "-1")])
def test_a_head(command: str, head: str, tiny_run: Run, capsys: pytest.CaptureFixture[str]):
    n_heads = tiny_run.shape.num_attention_heads
    error = refused(capsys, command, str(tiny_run.folder), "--site", "z", "--head", head)

    assert error == f"error: no head {head} in a layer of {n_heads}; choose from 0 to {n_heads - 1}"


def test_a_role_that_no_text_has(
    tiny_run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    rows = [each for each in tiny_run.tokenized_rows(1000) if each.row.kind is Kind.QA]
    monkeypatch.setattr(Run, "tokenized_rows", lambda *_: rows)
    error = refused(capsys, "attention", str(tiny_run.folder), "--role", "tag")

    assert error.endswith("has the role tag; use one of alias, question, answer")


def test_a_role_after_the_prompt(tiny_run: Run, capsys: pytest.CaptureFixture[str]):
    error = refused(capsys, "patch", str(tiny_run.folder), "--role", "answer_last")

    assert "no prompt has the role answer_last" in error


@pytest.mark.parametrize("words", [["--donor-step", "77"], ["--donor", "nowhere"]])
def test_a_donor(
    words: list[str], tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)

    assert words[1] in refused(capsys, "transplant", str(tiny_run.folder), *words)


@pytest.mark.parametrize("command", [["patch"], ["align"]])
def test_part_of_a_subsets_name(
    command: list[str], tiny_run: Run, capsys: pytest.CaptureFixture[str]
):
    error = refused(capsys, *command, str(tiny_run.folder), "--subset", "D5")

    assert error == "error: no subset 'D5'; did you mean D5_CONS?"
