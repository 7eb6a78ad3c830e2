"""A share of questions that a guess would reach, by an exact bound over all seeds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from data.tasks.chain import CHAINED
from interp.claims.chains import CHAIN_CLAIMS
from interp.verdicts.exact import answered, bounds
from interp.verdicts.quantities import NotMeasured
from interp.verdicts.rule import Word
from interp.verdicts.verdict import verdicts_on
from interp.verdicts.wording import verdict_lines
from training.recipes import find_recipe
from training.runs.run import Run


def run_with(hits: list[int], n: int) -> Run:
    """A run of chains whose seeds answer so many of `n` questions about CHAINED, and all STEPS."""
    common = {"question": "all", "metric": "exact_match", "stage": 1, "stage2_seed": 0, "step": 10}
    levels = [("CHAINED", [each / n for each in hits]), ("STEPS", [1.0] * len(hits))]
    levels += [("BROKEN", [0.0] * len(hits))]
    rows = [
        {"subset": subset, "seed": seed, "value": value, "n": n, **common}
        for subset, values in levels
        for seed, value in enumerate(values)
    ]
    config = find_recipe("chain")()
    return Run(
        folder=Path("nowhere"),
        info={"finished": "now"},
        config=config,
        given_metrics=pd.DataFrame(rows),
    )


@pytest.mark.parametrize(("hits", "n"), [(0, 480), (3, 480), (60, 100), (100, 100), (1, 7)])
def test_bounds_are_those_of_clopper_and_pearson(hits: int, n: int) -> None:
    lower, upper = bounds(hits, n)
    expected_low = 0.0 if hits == 0 else beta.ppf(0.05, hits, n - hits + 1)
    expected_high = 1.0 if hits == n else beta.ppf(0.95, hits + 1, n - hits)
    assert np.allclose([lower, upper], np.array([expected_low, expected_high]), atol=1e-12)
    if hits < n:  # so few or fewer hits have a probability of 5% at the bound, by definition
        assert np.isclose(binom.cdf(hits, n, upper), 0.05)


def test_hits_of_all_seeds_count_together() -> None:
    found = answered(run_with([0, 1, 0, 1, 0, 0, 0, 0], 60), CHAINED)
    assert (found.hits, found.n) == (2, 480)
    assert found.limit == 2 / 260  # of 200 chains and as many more as are held out
    assert np.isclose(found.upper, beta.ppf(0.95, 3, 478))
    assert "2 of 480 questions, at most 0.0131 at 95% (exact), to be at most 0.0077" in found.words


@pytest.mark.parametrize(
    ("hits", "word"),
    [(0, Word.HOLDS), (1, Word.UNDECIDED), (20, Word.FAILS)],
)
def test_the_verdict_is_that_of_the_bound(hits: int, word: Word) -> None:
    (claim,) = [each for each in CHAIN_CLAIMS if each.id == "K2.chained"]
    seeds = [hits, 0, 0, 0, 0, 0, 0, 0]
    (whole, part) = verdicts_on([claim], {"": run_with(seeds, 60)}, heading="")
    assert part.word is word
    assert whole.word is word
    assert part.to_json()["hits"] == hits
    assert part.share is not None
    assert part.share.words in verdict_lines(part)[0]


def test_too_few_questions_are_not_measured_and_the_reason_says_how_many_are_needed() -> None:
    with pytest.raises(NotMeasured, match=r"120 questions cannot .*1 in 260.*; ask 388 or more"):
        answered(run_with([0, 0], 60), CHAINED)


def test_a_control_that_was_not_run_is_not_measured() -> None:
    (claim,) = [each for each in CHAIN_CLAIMS if each.id == "K4"]
    run = run_with([0] * 8, 60)
    assert verdicts_on([claim], {"": run}, heading="")[0].word is Word.NOT_MEASURED
    of_control = run_with([60] * 8, 60)
    (found,) = verdicts_on([claim], {"": replace(run, given_null=of_control)}, heading="")
    assert found.word is Word.HOLDS
    assert found.estimate is not None
    assert found.estimate.mean == 1.0
