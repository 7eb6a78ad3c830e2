import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import InputError
from tests.interp.hand_made_runs import make_run
from training.runs.ledger import FIRST, Ledger, freeze, ledger_path, note_read
from training.runs.run import Run


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state" / "ledger.jsonl"
    monkeypatch.setenv("IML_LEDGER", str(path))
    return path


@pytest.fixture
def run() -> Run:
    return make_run([])


def test_each_line_holds_the_digest_of_the_one_before(ledger: Path, run: Run) -> None:
    note_read(run, "probes", [3, 1])
    freeze("mine", "ab")
    first, second = ledger.read_bytes().splitlines(keepends=True)
    assert json.loads(first)["previous"] == FIRST
    assert json.loads(second)["previous"] == hashlib.sha256(first).hexdigest()
    found = Ledger.load()
    assert found.head == hashlib.sha256(second).hexdigest()
    assert [entry["event"] for entry in found.entries] == ["read", "frozen"]
    assert found.entries[0]["seeds"] == [1, 3]


def test_a_seed_is_noted_once_for_each_analysis(ledger: Path, run: Run) -> None:
    note_read(run, "probes", [1, 2])
    before = ledger.read_bytes()
    note_read(run, "probes", [2])
    assert ledger.read_bytes() == before
    note_read(run, "probes", [2, 3])
    note_read(run, "lens", [2])
    assert [entry["seeds"] for entry in Ledger.load().entries] == [[1, 2], [3], [2]]


def test_what_was_seen_before_is_known_by_parameters_and_seed(ledger: Path, run: Run) -> None:
    note_read(run, "probes", [1, 2])
    time = freeze("mine", "ab").freezes("mine")[0]["time"]
    note_read(run, "lens", [5])
    found = Ledger.load()
    assert found.seen_before(time, run.config.run_id, [2, 5, 7]) == {2: ["probes"]}
    other = make_run([], alpha=0.5)
    assert found.seen_before(time, other.config.run_id, [2, 5, 7]) == {}
    copied = replace(run, folder=Path("elsewhere"))
    assert found.seen_before(time, copied.config.run_id, [1]) == {1: ["probes"]}


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"probes"', b'"lens"'), *lines[1:]]


def left_out(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def exchanged(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


def begun(lines: list[bytes]) -> list[bytes]:
    return [*lines, b'{"event": "re']


def other_keys(lines: list[bytes]) -> list[bytes]:
    entry = {"event": "read", "previous": hashlib.sha256(lines[-1]).hexdigest()}
    return [*lines, json.dumps(entry).encode() + b"\n"]


@pytest.mark.parametrize("harm", [changed, left_out, exchanged, begun, other_keys])
def test_a_broken_chain_is_refused(
    ledger: Path, run: Run, harm: Callable[[list[bytes]], list[bytes]]
) -> None:
    for name in ("probes", "lens", "patching"):
        note_read(run, name, [1])
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(harm(lines)))
    with pytest.raises(InputError, match=r"line \d: the chain is broken.*; restore") as error:
        Ledger.load()
    assert "\n" not in str(error.value)
    before = ledger.read_bytes()
    with pytest.raises(InputError, match="chain is broken"):
        freeze("mine", "ab")
    assert ledger.read_bytes() == before


def test_an_analysis_goes_on_where_nothing_can_be_noted(
    ledger: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.parent.write_text("a file where a folder should be")
    note_read(run, "probes", [1])
    assert capsys.readouterr().err.startswith(f"note: {ledger} cannot be written to")
    with pytest.raises(InputError, match=r"cannot be written to.*; name another"):
        freeze("mine", "ab")


def test_the_ledger_lies_in_the_state_folder_of_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IML_LEDGER")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ledger_path() == tmp_path / "iml/ledger.jsonl"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert ledger_path() == Path("/home/somebody/.local/state/iml/ledger.jsonl")
    assert Ledger.load(tmp_path / "none").entries == ()
