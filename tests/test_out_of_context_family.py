"""Chains, reversals and two hops in the house: trained, judged, looked into, reported.

What they must show is held against fresh seeds, which takes minutes; that every tool either runs or
refuses in a line, and says nothing of implicit meta-learning, against runs too small to learn.
"""

import re
from pathlib import Path

import pytest

from interp.claims.verdicts import claims_of_run
from interp.cli import main
from interp.verdicts.rule import Word
from training.runs.run import Run

WORKERS = ["--workers", "1"]
PLAIN = ("chain", "reversal", "two-hop")
"""Those in which there is no tag."""
OURS = re.compile(r"\bD\d+\b|_CONS|iml_gap|implicit meta|\breliable|shuffled tags")
TOOLS: dict[str, list[str]] = {
    "summary": [],
    "probe": ["--quick", *WORKERS],
    "patch": WORKERS,
    "lens": WORKERS,
    "align": WORKERS,
    "attention": WORKERS,
    "transplant": WORKERS,
    "circuit": ["--limit", "20", *WORKERS],
    "codes": WORKERS,
    "report": [],
}
REFUSALS = {
    "transplant": "has no stage 2; choose 1",
    "codes": "codes are about what a later stage changes",
    "patch": "answers none of",
}
"""What a tool may say of a run of one stage, or of one that learned nothing."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    """Gives a tiny run of a recipe, with its control, once each."""
    folders: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("family") / name
            out = ["--out", str(folders[name])]
            assert (
                main(["run", name, "--smoke", "--seeds", "2", "--with-null", *out, *WORKERS]) == 0
            )
        return folders[name]

    return run


def test_a_control_that_is_to_show_something_is_named_and_judged_by_no_margin(
    small, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small("reversal")
    capsys.readouterr()
    assert main(["summary", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "run minus control, by seed: how much less is answered without the bridge" in text
    assert "null_equivalence" not in (folder / "summary.json").read_text()
    assert not OURS.search(text)
    run = Run.load(folder)
    assert run.finished_null is not None
    assert (run.config.is_control, run.finished_null.config.is_control) == (False, True)
    assert not run.finished_null.config.is_null_twin
    assert run.finished_null.config.parameters["identity_bridge"] is True
    assert main(["summary", str(folder / "null")]) == 0
    assert "a control: every word is trained to name itself, too" in capsys.readouterr().out
    again = ["run", "reversal", "--smoke", "--set", "identity_bridge=true", "--with-null"]
    assert main([*again, "--out", str(folder.parent / "other")]) == 2
    assert "identity_bridge=true makes the control itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("chain", "held_out=0.01", "too few to tell from chance (1 in"),
        ("two-hop", "phi=30", "use phi="),
        ("two-hop", "task=both", "task"),
        ("tagged-two-hop", "entities=2", "aliases have no names in 2 entities"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(
    recipe: str, setting: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["run", recipe, "--set", setting, "--seeds", "1", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PLAIN, "tagged-two-hop"])
def test_every_tool_runs_or_refuses_in_a_line_and_says_nothing_of_ours(
    name: str, small, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(name)
    for tool, flags in TOOLS.items():
        capsys.readouterr()
        code = main([tool, str(folder), *flags])
        out, err = capsys.readouterr()
        if code:
            assert code == 2, (tool, err)
            (line,) = [each for each in err.splitlines() if each.startswith("error: ")]
            assert REFUSALS[tool] in line, (tool, line)
        if name in PLAIN:
            assert not OURS.search(out), (tool, OURS.findall(out))
    if name in PLAIN:
        page = (folder / "report.html").read_text()
        shown = re.sub(r"<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL)
        assert not OURS.findall(shown)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "n_seeds", "hold"),
    [
        ("chain", [], 8, ["K1", "K2", "K3", "K4"]),
        ("reversal", [], 8, ["R1", "R2", "R3", "R4"]),
        ("reversal", ["--set", "both_directions=true"], 4, ["R1", "R5"]),
        ("two-hop", [], 4, ["H1", "H2", "H3", "H4"]),
    ],
)
def test_fresh_seeds_show_what_was_published(
    name: str, settings: list[str], n_seeds: int, hold: list[str], tmp_path: Path
) -> None:
    """Seeds from 1000 on; settings were chosen on others."""
    out = tmp_path / "run"
    twin = [] if settings else ["--with-null"]
    assert main(["run", name, "--seeds", str(n_seeds), *settings, *twin, "--out", str(out)]) == 0
    words = {verdict.id: verdict.word for verdict in claims_of_run(Run.load(out))}
    assert {each: words[each] for each in hold} == dict.fromkeys(hold, Word.HOLDS)
