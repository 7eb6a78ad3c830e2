from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from data.subsets import Subset
from data.tasks.iml import D2_INCONS_QA2, D8_CONS, QA3, QA4_NOT_REPLACED
from interp.figures.words import mean_text
from interp.report.reproduction import reproduction_commands
from interp.report.wording import headline_sentence, null_sentence
from training.designs import recipe_design
from training.recipes import find_recipe
from training.runs.run import Run
from training.statistics import estimate

IML = recipe_design("alias-toy")


def summary(values: list[float]) -> dict[str, Any]:
    gap = estimate(dict(enumerate(values))).to_json()
    return {"iml_gap": {"exact_match": gap, "answer_log_prob": gap}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param([0.3, 0.31, 0.32], "reliable tag are internalized more", id="above"),
        pytest.param([-0.3, -0.31, -0.32], "reliable tag are internalized less", id="below"),
        pytest.param([0.3, -0.3, 0.1], "does not show that the tag changes", id="around"),
        pytest.param([0.3], "One seed cannot show", id="one seed"),
    ],
)
def test_the_headline_follows_from_the_interval(values: list[float], words: str):
    assert words in headline_sentence(summary(values), IML)


def test_the_headline_holds_interval_seeds_and_both_p_values():
    sentence = headline_sentence(summary([0.3] * 8), IML)

    assert "is +0.300 [+0.300, +0.300]" in sentence
    assert "n = 8 Stage-1 seeds" in sentence
    assert "p = 0.0078" in sentence
    assert "no p below 0.0078" in sentence


def test_the_headline_of_one_seed_has_no_interval():
    assert "is +0.300, and" in headline_sentence(summary([0.3]), IML)
    assert mean_text(estimate({0: 0.3}).to_json()) == "0.30"


@pytest.mark.parametrize(
    ("passed", "words"), [(True, ": none by"), (False, "not shown to be none")]
)
def test_the_null_twin_is_judged_by_equivalence(passed: bool, words: str):
    verdict = {"mean": 0.01, "ci_low": -0.02, "ci_high": 0.04, "margin": 0.08, "passed": passed}

    sentence = null_sentence(verdict, IML)

    assert words in sentence
    assert "90% CI [-0.020, +0.040]" in sentence
    assert "±0.08" in sentence


@pytest.mark.parametrize(
    ("subset", "words"),
    [
        (D2_INCONS_QA2, "unreliable tag, false"),
        (D8_CONS, "novel tag, true"),
        (QA3, "none"),
        (QA4_NOT_REPLACED, "none; asked by name"),
    ],
)
def test_a_subset_is_described_by_its_definitions(subset: Subset, words: str):
    assert subset.meaning == words


def run(tmp_path: Path, seeds: list[int], **parameters: Any) -> Run:
    config = find_recipe("alias-toy")(**parameters)
    return Run(folder=tmp_path, info={"seeds": seeds}, config=config)


def test_the_commands_repeat_seeds_and_changed_settings_only(tmp_path: Path):
    changed = run(tmp_path, [3, 4, 5], layers=3, tied_embeddings=False, d_model=64)

    assert reproduction_commands(changed) == [
        "iml run alias-toy --seeds 3:6 --set layers=3 --set tied_embeddings=false",
        "iml report runs/alias-toy",
    ]


def test_seeds_with_a_gap_need_a_command_for_each_stretch(tmp_path: Path):
    assert reproduction_commands(run(tmp_path, [1, 7, 8]))[:-1] == [
        "iml run alias-toy --seeds 1:2",
        "iml run alias-toy --seeds 7:9",
    ]


def test_settings_of_the_commands_make_the_same_run(tmp_path: Path):
    made = run(tmp_path, [1], word_order="eta", learning_rate_stage1=3e-4, alpha=0.5)

    words = reproduction_commands(made)[0].split()
    settings = [word for before, word in pairwise(words) if before == "--set"]

    recipe = find_recipe("alias-toy")
    again = recipe(**recipe.parse_arguments(settings))
    assert again.run_id == made.config.run_id != replace(again, parameters={}).run_id
