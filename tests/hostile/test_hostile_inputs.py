"""Five hundred inputs from a seeded generator: each is carried out rightly or refused in one line.

A third of them is valid. What must come of each is known from how it was made (see
`tests.hostile.trials`), never from the program.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest

from interp.cli import main
from tests.hostile import command_lines, inputs, run_folders
from tests.hostile.trials import Trial, Workshop
from training.runs.run import Run

TreeHash = Callable[[Path], dict[str, str]]
Capture = pytest.CaptureFixture[str]

SEED = 20261127
N_NIGHTLY, N_DEFAULT = 500, 50
PROGRESS = re.compile(r"^[\w-]+: \d+/\d+ .*\n|^note: .*\n", re.MULTILINE)
"""Lines that tell how far work is, or of what is left out of a table."""
LONGEST = 20.0
"""Seconds of processor time."""
FAMILIES = {
    command_lines.right: 20,
    run_folders.under_a_strange_name: 5,
    inputs.right_table: 3,
    inputs.right_model: 3,
    command_lines.wrong: 30,
    run_folders.with_spoiled_file: 9,
    run_folders.with_spoiled_json: 9,
    run_folders.with_spoiled_checkpoint: 7,
    run_folders.with_spoiled_table: 4,
    inputs.wrong_table: 4,
    inputs.wrong_model: 6,
}
"""How many of a hundred inputs each maker makes; the first four make valid ones."""


@pytest.fixture(scope="module")
def workshop(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Finished inputs, never changed."""
    folder = tmp_path_factory.mktemp("workshop")
    table = folder / "people.csv"
    table.write_text(inputs.people_table(60), encoding="utf-8")
    model = folder / "model"
    inputs.save_model(model)
    return Workshop(run=tiny_run.folder, table=table, model=model)


@pytest.fixture(autouse=True)
def _as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In one process, and without the tests' type checks: they look at what is not there yet."""
    monkeypatch.chdir(".")  # each trial changes into a folder of its own, which will be gone
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_fifty_inputs(workshop: Workshop, tmp_path: Path, capsys: Capture, tree_hash: TreeHash):
    assert failures(range(N_DEFAULT), workshop, tmp_path, capsys, tree_hash) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(N_DEFAULT, N_NIGHTLY, 90))
def test_all_other_inputs(
    first: int, workshop: Workshop, tmp_path: Path, capsys: Capture, tree_hash: TreeHash
):
    numbers = range(first, min(first + 90, N_NIGHTLY))
    assert failures(numbers, workshop, tmp_path, capsys, tree_hash) == []


def failures(
    numbers: range, workshop: Workshop, folder: Path, capsys: Capture, tree_hash: TreeHash
) -> list[str]:
    """What went wrong with which inputs, a line each."""
    found = []
    for number in numbers:
        home = folder / str(number)
        home.mkdir()
        rng = random.Random(f"{SEED}/{number}")
        maker = list(FAMILIES)[_deal()[number % 100]]
        trial = maker(rng, workshop, home)
        wrong = outcome(trial, home, capsys, tree_hash)
        if wrong:
            words = [word if len(word) < 90 else f"{word[:80]}…" for word in trial.words]
            found.append(f"{number} {maker.__name__} {words}: {wrong}")
    return found


def _deal() -> list[int]:
    """The place in `FAMILIES` of each of a hundred inputs, mixed."""
    hundred = [place for place, n in enumerate(FAMILIES.values()) for _ in range(n)]
    random.Random(SEED).shuffle(hundred)
    return hundred


def outcome(trial: Trial, home: Path, capsys: Capture, tree_hash: TreeHash) -> str:
    """What is wrong with what a command did; empty if nothing is."""
    before = tree_hash(home)
    capsys.readouterr()
    started = time.process_time()
    try:
        os.chdir(home)
        code = main(trial.words)
    except SystemExit as stop:
        code = stop.code
    seconds = time.process_time() - started
    printed = capsys.readouterr()
    after = tree_hash(home)
    if seconds > LONGEST:
        return f"took {seconds:.0f} s"
    if trial.check is None:
        lines = PROGRESS.sub("", printed.err).rstrip("\n").split("\n")
        if code not in trial.codes:
            return f"exit {code}, not {sorted(trial.codes)}: {printed.err[-200:]!r}"
        if len(lines) != 1 or not lines[0].startswith("error: ") or not lines[0].isprintable():
            return f"no clean line: {printed.err[:300]!r}"
        return "" if after == before else f"wrote {sorted(set(after) ^ set(before))[:3]}"
    if code != 0:
        return f"exit {code}: {printed.err[-200:]!r}"
    allowed = str(trial.may_write.relative_to(home)) if trial.may_write else None
    touched = {n for n in {*after, *before} if after.get(n) != before.get(n)}
    outside = {n for n in touched if allowed is None or not n.startswith(allowed)}
    if outside:
        return f"wrote {sorted(outside)[:3]}"
    try:
        trial.check(printed.out)
    except AssertionError as error:
        return f"printed something else: {str(error)[:200]}"
    return ""
