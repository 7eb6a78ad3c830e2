from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from interp.claims.text import RULE
from interp.report.claims_section import claims_section
from training.recipes import find_recipe
from training.registry import RECIPES
from training.runs.run import Run


def make_run() -> Run:
    common = {"question": "all", "metric": "exact_match", "step": 1, "stage2_seed": 0, "stage": 2}
    rows = [
        {"subset": subset, "seed": seed, "value": value + 0.01 * seed, **common}
        for subset, value in (("D5_CONS", 0.5), ("D6_CONS", 0.2), ("QA7_UNSEEN", 0.1))
        for seed in range(3)
    ]
    rows += [row | {"stage": 1, "value": 0.1} for row in rows]
    config = find_recipe("alias-toy")()
    return Run(folder=Path("nowhere"), info={}, config=config, given_metrics=pd.DataFrame(rows))


def test_every_claim_has_a_row_with_its_verdict_in_words(monkeypatch: pytest.MonkeyPatch):
    recipe = replace(find_recipe("alias-toy"), claims=("M1", "M6", "S1", "S5"))
    monkeypatch.setitem(RECIPES, "alias-toy", recipe)

    html = claims_section(make_run())

    assert html is not None
    assert RULE in html
    words = "2 hold (M1, M6); 1 is not measured (S1); 1 is undecided (S5)."
    assert f"Of 4 claims {words}" in html
    assert "<td><b>M1</b></td>" in html
    assert "<b>holds</b></td><td>+0.300 [+0.300,\N{NO-BREAK SPACE}+0.300]</td><td>3</td>" in html
    assert "<b>not measured</b></td><td>no D1_CONS_QA1</td>" in html
    assert "&emsp;D8_CONS</span></td>" in html
    assert "±0.08: what the recipe counts as no gap" in html


def test_a_recipe_without_claims_has_no_section(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(RECIPES, "alias-toy", replace(find_recipe("alias-toy"), claims=()))

    assert claims_section(make_run()) is None
