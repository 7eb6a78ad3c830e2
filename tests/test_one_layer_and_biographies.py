"""The thresholds of one-layer retrieval, truth directions and biographies, on fresh seeds.

Each with its control, on seeds that no setting was chosen on. They are the settings' defaults, so
that the figures of the site are of the same runs.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from interp.claims.verdicts import claims_of_run
from interp.cli import main
from interp.verdicts.rule import Word
from training.runs.run import Run

TRANSFORMER_COMMANDS: dict[str, tuple[str, ...]] = {
    "summary": (),
    "lens": (),
    "patch": (),
    "attention": (),
    "ablate": (),
    "align": (),
    "report": (),
}


def iml(*words: str) -> int:
    return main([*words, "--workers", "1"] if words[0] not in ("summary", "report") else words)


def trained(folder: Path, recipe: str, seeds: str, *settings: str) -> Run:
    sets = [word for setting in settings for word in ("--set", setting)]
    command = ["run", recipe, "--seeds", seeds, "--with-null", "--out", str(folder), *sets]
    assert main([*command, "--workers", "2"]) == 0
    return Run.load(folder)


def words_of(run: Run) -> dict[str, Word]:
    return {each.id: each.word for each in claims_of_run(run)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "seeds", "group"),
    [("one-layer-retrieval", "1000:1008", "OCR"), ("truth-direction", "1100:1108", "TRUTH")],
)
def test_a_published_result_holds_on_fresh_seeds_by_every_part(
    recipe: str, seeds: str, group: str, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", recipe, seeds)
    assert main(["blocks", str(run.folder)]) == 0
    words = words_of(run)
    assert set(words.values()) == {Word.HOLDS}, words
    assert words[group] is Word.HOLDS
    assert len(words) > 5


@pytest.mark.slow
def test_a_narrow_factorised_head_is_enough(tmp_path: Path) -> None:
    """Of 16 dimensions for 112 words, the product still carries every implication over."""
    out = tmp_path / "run"
    command = ["run", "one-layer-retrieval", "--seeds", "1000:1004", "--set", "head_size=16"]
    assert main([*command, "--out", str(out), "--workers", "2"]) == 0
    found = {each.id: each for each in claims_of_run(Run.load(out))}
    assert found["OCR.implied"].word is Word.HOLDS


@pytest.mark.slow
def test_biographies_in_several_phrasings_are_known_and_in_one_are_not(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "biographies", "1000:1004")
    words = words_of(run)
    for part in ("fitted", "extraction", "phrasings", "fitted_one"):
        assert words[f"BIO.{part}"] is Word.HOLDS, words


@pytest.mark.slow
@pytest.mark.parametrize("command", TRANSFORMER_COMMANDS)
def test_biographies_are_read_or_refused_by_name(
    command: str, biographies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    code = iml(command, str(biographies))
    shown = capsys.readouterr()
    assert code in (0, 2), shown.err
    if code:
        assert shown.err.startswith("error: ")
        assert shown.err.count("\n") == 1
    assert not said_of_iml(shown.out)


def said_of_iml(text: str) -> Sequence[str]:
    return [word for word in ("D5", "iml_gap", "mplicit meta", "the reliable tag") if word in text]


@pytest.fixture(scope="module")
def biographies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("biographies") / "run"
    command = ["run", "biographies", "--smoke", "--seeds", "2", "--with-null", "--out", str(out)]
    assert main([*command, "--workers", "1"]) == 0
    return out
