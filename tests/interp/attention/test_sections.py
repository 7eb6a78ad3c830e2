import re
import shutil
from html import unescape

import pandas as pd
import pytest

from data.errors import InputError
from data.tasks.iml import IML_GAP
from interp.attention.analysis import AttentionAnalysis, summarize_attention
from interp.attention.sections import attention_section
from interp.attention.wording import (
    alias_cells,
    alias_sentence,
    attention_sentences,
    difference_sentence,
)
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from training.runs.run import Run, read_table


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the tiny run whose attention was looked at."""
    folder = tmp_path_factory.mktemp("attention") / "run"
    run = Run.load(shutil.copytree(tiny_run.folder, folder))
    run_grid(AttentionAnalysis.of(IML_GAP), GridSelection(runs=(run,), stage=2), workers=1)
    return run


def summary_of(logit: float) -> pd.DataFrame:
    """Eight seeds: 0.8 of attention on the alias, and this many logits moved, half by one head."""
    run = {"recipe": "r", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2, "step": 9}
    records = []
    for seed in range(8):
        noise = 0.02 * (seed % 3 - 1)
        for head, part in (("all", 1.0), ("#1", 0.5), ("#2", 0.25), ("#3", 0.25), ("#4", 0.0)):
            place = {"subset": "D5_CONS", "text": "qa", "layer": 1, "head": head, "seed": seed}
            place |= {"destination": "prompt_last", "source": "alias", "n": 5}
            pattern = {"kind": "pattern", "value": 0.8 + noise, "control": 0.5}
            moved = {"kind": "direct_logit", "value": 1 + logit * part + noise, "control": 1.0}
            records += [run | place | pattern, run | place | moved]
    return summarize_attention(pd.DataFrame(records))


def test_the_strongest_heads_share_is_told_where_heads_carry_the_answer():
    sentence = alias_sentence(summary_of(2.0), "D5_CONS", 1)

    assert "spend 0.80 of their attention on the alias (even attention would be 0.50" in sentence
    assert "adds +3.00 to the answer's logit and +1.00 to the answers of other rows" in sentence
    assert "gives 50% of that on the other half, where 25% would be an even share" in sentence


def test_no_share_is_told_of_nothing():
    assert "strongest" not in alias_sentence(summary_of(0.0), "D5_CONS", 1)


@pytest.mark.parametrize(
    ("corrected", "verdict"),
    [
        ([0.01, 0.5], "differs in 1 of 2 cells, most at layer 0, #1, +0.200 [+0.100, +0.300]"),
        (
            [0.2, 0.5],
            "differs in none of 2 cells; most at layer 1, all heads, -0.400 [-0.500, -0.300]",
        ),
    ],
)
def test_a_difference_is_told_with_its_correction(corrected: list[float], verdict: str):
    cells = pd.DataFrame(
        {
            "layer": [0, 1],
            "head": ["#1", "all"],
            "difference": [0.2, -0.4],
            "ci_low": [0.1, -0.5],
            "ci_high": [0.3, -0.3],
            "p_corrected": corrected,
        }
    )

    assert difference_sentence(cells, "attention").startswith(f"Attention: {verdict}")


def test_a_table_without_such_questions_is_refused():
    with pytest.raises(InputError, match="no questions about QA3; choose others"):
        alias_cells(summary_of(1.0), "QA3")


def test_a_run_without_the_table_has_no_section(tiny_run: Run):
    assert attention_section(tiny_run) is None


def test_the_section_has_its_sentences_and_figures(analysed: Run):
    html = attention_section(analysed) or ""
    tables = (read_table(analysed.folder / f"attention{end}.parquet") for end in ("", "_summary"))
    sentences = attention_sentences(*tables, compared=("D5_CONS", "D6_CONS"))

    assert len(sentences) == 2 + 2 + 2 + 1
    for sentence in sentences:
        assert sentence in unescape(html)
    assert re.findall(r'<div id="([\w-]+)" class="plotly', html) == [
        "attention-2-pattern",
        "attention-2-pattern-contrast",
        "attention-2-direct-logit",
        "attention-2-direct-logit-contrast",
    ]
    assert "http" not in html
    assert attention_section(analysed) == html
