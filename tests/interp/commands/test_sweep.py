from pathlib import Path

import pytest

from interp.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toy-word-order"], "no sweep 'toy-word-order'; did you mean toy-word-orders?"),
        (["toy-word-orders", "--seeds", "x"], "--seeds x is no number of seeds"),
        (["toy-word-orders", "--workers", "0"], "--workers 0 does nothing; use 1 or more"),
        (["toy-word-orders", "--executor", "dask"], "invalid choice: 'dask'"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
):
    assert main(["sweep", *words, "--out", str(tmp_path / "sweep")]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "sweep").exists()
