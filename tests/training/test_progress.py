import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tqdm import tqdm

from data.errors import InputError
from training.executors.executor import tell_nobody
from training.progress import (
    PLAIN_LINES,
    is_notebook,
    is_spokesman,
    launched_processes,
    show_progress,
    told,
)


def test_plain_lines_are_few_and_end_with_the_whole(capsys: pytest.CaptureFixture) -> None:
    with show_progress("alias-toy") as show:
        for done in range(0, 1001):
            show(done, 1000)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == PLAIN_LINES
    assert lines[0].startswith("alias-toy: 100/1000 steps, ")
    assert lines[-1].startswith("alias-toy: 1000/1000 steps, ")


def test_time_left_is_in_proportion(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 110.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with show_progress("run") as show:
        show(25, 100)
    assert capsys.readouterr().err == "run: 25/100 steps, 10 s, 30 s left\n"


def test_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with show_progress("run") as show:
        show(5, 10)
        show(10, 10)
    assert "10/10" in capsys.readouterr().err


@pytest.mark.parametrize("shell", [{"IPKernelApp": {}}, {"TerminalIPythonApp": {}}, None])
def test_notebook_gets_a_bar(
    shell: dict[str, object] | None,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = None if shell is None else SimpleNamespace(config=shell)
    monkeypatch.setitem(
        sys.modules, "IPython", cast(Any, SimpleNamespace(get_ipython=lambda: running))
    )
    assert is_notebook() is (shell == {"IPKernelApp": {}})
    monkeypatch.setattr("tqdm.auto.tqdm", tqdm)  # which chose when it was imported
    with show_progress("run", unit="checkpoint") as show:
        show(10, 10)
    assert ("10/10 [" in capsys.readouterr().err) is is_notebook()


def test_it_can_be_switched_off(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(tell_nobody, "run") as tell:
        tell(10, 10)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with told(None, "run") as tell:
        tell(10, 10)
    assert capsys.readouterr().err == ""


def test_work_is_told_of_unless_the_caller_wants_otherwise(capsys: pytest.CaptureFixture) -> None:
    heard: list[tuple[int, int]] = []
    with told(lambda done, total: heard.append((done, total)), "run") as tell:
        tell(5, 10)
    assert (heard, capsys.readouterr().err) == ([(5, 10)], "")
    with told(None, "run", unit="seed") as tell:
        tell(10, 10)
    assert capsys.readouterr().err.startswith("run: 10/10 seeds, ")


def test_of_several_processes_one_speaks(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with show_progress("run") as show:
        show(100, 100)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("text", "n"), [("", 1), (" ", 1), ("1", 1), ("4", 4)])
def test_empty_environment_variables_are_unset_ones(
    text: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    monkeypatch.setenv("RANK", "")
    assert launched_processes() == n
    assert is_spokesman()


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5"])
def test_number_of_processes_that_is_none_is_bad_input(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(InputError, match=f"WORLD_SIZE={text}, which is no number of processes"):
        launched_processes()
