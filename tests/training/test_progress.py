import pytest

from data.errors import InputError
from training.progress import PLAIN_LINES, is_spokesman, launched_processes, show_progress


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
