from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from data.errors import InputError
from interp.hypotheses.freezing import (
    Freeze,
    HypothesisText,
    find_text,
    freeze_of,
    new_text,
    shipped_names,
    shipped_texts,
)
from interp.hypotheses.hypothesis import opposed
from interp.hypotheses.matrix import FEWEST_OPPOSED
from interp.hypotheses.rows import ROWS
from tests.interp.hand_made_runs import make_run
from training.runs.ledger import Ledger, freeze, note_read
from training.runs.run import Run

LONG_AGO, FAR_AHEAD = "2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IML_LEDGER", str(tmp_path / "ledger.jsonl"))


@pytest.fixture
def text(tmp_path: Path) -> HypothesisText:
    path = tmp_path / "mine.py"
    new_text(path)
    return find_text(str(path))


def run_of(*seeds: int, finished: str = FAR_AHEAD) -> Run:
    return replace(make_run([], alpha=0.5), info={"finished": finished, "seeds": list(seeds)})


def frozen(text: HypothesisText, run: Run) -> Freeze:
    return freeze_of(text, run, Ledger.load())


def changed(text: HypothesisText) -> HypothesisText:
    text.path.write_text(text.path.read_text() + "\n# another threshold, say\n")
    return find_text(str(text.path))


def test_a_template_works_as_it_is(text: HypothesisText) -> None:
    assert text.name == "mine"
    assert [each.row.id for each in text.hypothesis.predictions] == ["nats", "shorter", "constant"]
    with pytest.raises(InputError, match="is there already; choose another name"):
        new_text(text.path)


def test_what_was_never_frozen_is_exploratory(text: HypothesisText) -> None:
    found = frozen(text, run_of(7))
    assert found.time is None
    assert not found.deviation
    assert "not frozen" in found.exploratory[0]


def test_fresh_seeds_of_a_frozen_text_are_confirmatory(text: HypothesisText) -> None:
    time = freeze(text.name, text.sha256).freezes("mine")[0]["time"]
    note_read(run_of(7), "probes", [7])
    assert frozen(text, run_of(7)) == Freeze(time=time, exploratory=[])


def test_seeds_read_before_the_freeze_are_exploratory_whatever_the_date_of_the_run(
    text: HypothesisText,
) -> None:
    note_read(run_of(7), "probes", [7])
    freeze(text.name, text.sha256)
    found = frozen(text, run_of(7, 8, finished=FAR_AHEAD))
    assert not found.deviation
    assert found.exploratory == ["1 of 2 seeds were read before (by probes)"]
    assert not frozen(text, run_of(8)).exploratory


def test_a_run_made_before_the_freeze_is_exploratory_though_nothing_read_it(
    text: HypothesisText,
) -> None:
    freeze(text.name, text.sha256)
    found = frozen(text, run_of(7, finished=LONG_AGO))
    assert found.exploratory == ["the run was made before (on 2020-01-01 00:00)"]


def test_the_run_of_make_demo_is_exploratory(text: HypothesisText) -> None:
    freeze(text.name, text.sha256)
    demo = replace(make_run([]), info={"finished": FAR_AHEAD, "seeds": [1007, 1008]})
    assert "make demo" in frozen(text, demo).exploratory[0]
    other_seeds = replace(demo, info={"finished": FAR_AHEAD, "seeds": [1008, 2000]})
    assert not frozen(text, other_seeds).exploratory
    assert not frozen(text, run_of(1000)).exploratory  # of other parameters


def test_a_changed_text_deviates_until_it_is_frozen_anew(text: HypothesisText) -> None:
    freeze(text.name, text.sha256)
    other = changed(text)
    assert "is not the one that was frozen" in frozen(other, run_of(7)).deviation
    freeze(other.name, other.sha256, amendment="nothing yet")
    assert not frozen(other, run_of(7)).deviation
    assert frozen(text, run_of(7)).deviation  # the older one is no longer in force


@pytest.mark.parametrize("how", ["read", "made"])
def test_a_text_amended_after_the_data_deviates_and_says_what_had_been_seen(
    text: HypothesisText, how: str
) -> None:
    freeze(text.name, text.sha256)
    run = run_of(7, finished=LONG_AGO if how == "made" else FAR_AHEAD)
    if how == "read":
        note_read(run, "summary", [7])
    other = changed(text)
    freeze(other.name, other.sha256, amendment="the gap of seed 7")
    found = frozen(other, run)
    assert "was changed on" in found.deviation
    assert found.deviation.endswith("what had been seen: the gap of seed 7")


def raising(path: Path) -> None:
    path.write_text("1 / 0\n")


def ending(path: Path) -> None:
    path.write_text("raise SystemExit\n")


def broken(path: Path) -> None:
    path.write_text("def (\n")


def empty(path: Path) -> None:
    path.write_text("HYPOTHESIS = 3\n")


def absent(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (raising, "raises .division by zero.; mend the file"),
        (ending, "ends the program; mend"),
        (broken, "raises .*; mend the file"),
        (empty, "has no HYPOTHESIS; see what iml hypothesis new"),
        (absent, "is no file; make one: iml hypothesis new own"),
    ],
)
def test_a_file_that_is_none_is_one_line(
    tmp_path: Path, write: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "own.py"
    write(path)
    with pytest.raises(InputError, match=says) as error:
        find_text(str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_names_are_of_one_hypothesis_each(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean strength"):
        find_text("strenght")
    with pytest.raises(InputError, match="is a hypothesis of the workbench"):
        new_text(tmp_path / "strength.py")
    (tmp_path / "recency.py").write_text("")
    with pytest.raises(InputError, match="has the name of a hypothesis of the workbench"):
        find_text(str(tmp_path / "recency.py"))


def test_each_pair_of_hypotheses_is_told_apart_by_two_rows_at_least() -> None:
    texts = shipped_texts()
    assert len(texts) == len(shipped_names()) >= 7
    for first, second in combinations(texts, 2):
        rows = opposed(first.hypothesis, second.hypothesis)
        assert len(rows) >= FEWEST_OPPOSED, (first.name, second.name, rows)


def test_each_row_is_in_the_matrix_once_and_spoken_of() -> None:
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    spoken = {p.row.id for text in shipped_texts() for p in text.hypothesis.predictions}
    assert spoken == set(ids)
