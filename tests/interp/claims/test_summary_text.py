import pytest

from interp.claims.summary_text import TWIN_NOT_LEARNED, null_text, summary_text
from interp.claims.verdicts import claims_of_run
from interp.verdicts.rule import Word
from training.designs import recipe_design
from training.runs.run import Run

IML = recipe_design("alias-toy")


def test_text_shows_every_subset_gap_and_the_null_twin(tiny_run: Run) -> None:
    text = summary_text(tiny_run)
    for name in ("D1_CONS_QA1", "QA4_NOT_REPLACED", "D8_CONS", "QA7_UNSEEN"):
        assert name in text
    assert text.count("iml_gap") == 3  # two metrics and the null twin's sentence
    assert text.count("ocl_gap") == 2
    assert "alias-toy, 2 seeds (1000-1001)" in text


def test_text_says_the_numbers_of_the_summary(tiny_run: Run) -> None:
    gap = tiny_run.summary["iml_gap"]["answer_log_prob"]
    line = next(
        line
        for line in summary_text(tiny_run).splitlines()
        if line.startswith("iml_gap") and "nats" in line
    )
    numbers = f"{gap['mean']:+.3f} [{gap['ci_low']:+.3f}, {gap['ci_high']:+.3f}]"
    assert numbers in line
    assert line.split()[-2:] == [f"{gap['p_value']:.4f}", f"{gap['p_smallest']:.4f}"]


def test_a_new_tag_stands_beside_the_headlines_and_the_tag_beside_the_twin(tiny_run: Run) -> None:
    lines = summary_text(tiny_run).splitlines()
    for start, n in (("trust_gap", 2), ("distrust_gap", 2), ("D1 - D2", 2), ("D8 - D6", 2)):
        assert sum(line.startswith(start) for line in lines) == n
    assert "run minus null twin, by seed: what the tag does" in lines
    assert TWIN_NOT_LEARNED in lines  # so few updates teach nothing


def test_the_null_twins_own_summary_says_nothing_of_a_tag(tiny_run: Run) -> None:
    assert tiny_run.null is not None
    text = summary_text(tiny_run.null)
    assert (
        "a null twin: tags shuffled over the definitions of D1 and D2; a gap is no effect" in text
    )
    verdicts = {v.id: v for v in claims_of_run(tiny_run.null)}
    assert {verdicts[name].word for name in ("M1", "M4", "S8")} == {Word.NOT_MEASURED}
    assert "run minus null twin, by seed" not in text


@pytest.mark.parametrize(("passed", "words"), [(True, ": none by"), (False, ": not shown to be")])
def test_verdict_says_what_was_shown(passed: bool, words: str) -> None:
    verdict = {"mean": 0.01, "ci_low": -0.02, "ci_high": 0.04, "margin": 0.08, "passed": passed}
    text = null_text(verdict, IML)
    assert words in text
    assert "+0.010, 90% CI [-0.020, +0.040]" in text
    assert "±0.08" in text


def test_verdict_of_one_seed_has_no_interval() -> None:
    verdict = {"mean": 0.01, "ci_low": None, "ci_high": None, "margin": 0.08, "passed": False}
    assert "[?, ?]" in null_text(verdict, IML)
