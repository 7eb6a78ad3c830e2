"""Changes, ranks and means over seeds, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from interp.circuits.necessity_summary import changes_of, summarize_necessity
from interp.circuits.necessity_wording import necessity_found

RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2}
RUN |= {"step": 200, "word_order": None}
D5, D6, RECITED = "D5_CONS", "D6_CONS", "recite D5_CONS"
GAPS = {"none": 0.5, "all": 0.0, "h0": 0.1, "h1": 0.4, "h2": 0.45, "h3": 0.6, "m1": 0.2}
"""By part; each seed adds a little to all of them."""
SEEDS = range(6)


def row(seed: int, part: str, subset: str, value: float, untouched: float, label: str) -> dict:
    mode = "untouched" if part == "none" else "frozen"
    kind = "1 head of layer 0" if part.startswith("h") else part
    both = {"exact_match": value, "answer_log_prob": 2 * value}
    both |= {"untouched_exact_match": untouched, "untouched_answer_log_prob": 2 * untouched}
    about = {"mode": mode, "part": part, "subset": subset, "label": label, "kind": kind}
    return RUN | about | both | {"seed": seed, "distance": 0.0, "n": 40}


def table(leading: str = "h0") -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        for part, gap in GAPS.items():
            label = {leading: "a0.leading"}.get(part, "" if part.startswith("h") else part)
            low, more = 0.1, 0.01 * seed
            rows.append(row(seed, part, D5, low + gap + more, low + 0.5 + more, label))
            rows.append(row(seed, part, D6, low, low, label))
            rows.append(row(seed, part, RECITED, 1.0 - (part == "h0"), 1.0, label))
    return pd.DataFrame(rows)


def cell(summary: pd.DataFrame, part: str, subset: str = "gap", metric: str = "exact_match"):
    found = summary.loc[(summary["part"] == part) & (summary["subset"] == subset)]
    ((_, each),) = found.loc[found["metric"] == metric].iterrows()
    return each


def test_a_change_is_from_the_untouched_training_of_the_same_seed():
    changes = changes_of(table())
    gaps = changes.loc[(changes["subset"] == "gap") & (changes["metric"] == "exact_match")]
    for part, gap in GAPS.items():
        of_part = gaps.loc[gaps["part"] == part]
        assert of_part["change"].tolist() == pytest.approx([gap - 0.5] * 6)
        assert of_part["value"].tolist() == pytest.approx([gap + 0.01 * seed for seed in SEEDS])
    doubled = changes.loc[(changes["subset"] == "gap") & (changes["metric"] != "exact_match")]
    assert doubled["change"].to_numpy() == pytest.approx(2 * gaps["change"].to_numpy())


def test_a_head_is_ranked_among_the_others_of_its_layer_within_each_seed():
    changes = changes_of(table("h2"))
    gaps = changes.loc[(changes["subset"] == "gap") & (changes["label"] == "a0.leading")]
    exact = gaps.loc[gaps["metric"] == "exact_match"]
    assert exact["n_null"].tolist() == [3] * 6
    assert exact["p_value"].tolist() == [3 / 4] * 6  # h0 and h1 lose more, h3 does not
    assert exact["control"].tolist() == pytest.approx([(0.1 + 0.4 + 0.6) / 3 - 0.5] * 6)


def test_over_seeds_the_ranks_are_combined_and_the_change_has_an_interval():
    summary = summarize_necessity(table())
    found = cell(summary, "a0.leading")
    assert found["difference"] == pytest.approx(-0.4)
    assert found["ci_low"] <= found["difference"] <= found["ci_high"]
    assert found["p_value"] < 0.01
    assert found["p_smallest"] == pytest.approx(4.0**-6, rel=0.2)
    assert (found["n_null"], found["n_tested"], found["n_seeds"], found["n"]) == (3, 6, 6, 240)
    assert cell(summarize_necessity(table("h3")), "a0.leading")["p_value"] > 0.9
    assert set(summary["part"]) == {"none", "all", "m1", "a0.leading"}


def test_what_has_no_other_has_no_p():
    found = cell(summarize_necessity(table()), "m1")
    assert found["difference"] == pytest.approx(-0.3)
    assert found["n_null"] == 0
    assert np.isnan(found["p_value"])
    assert np.isnan(found["p_corrected"])
    assert np.isnan(found["control"])


def test_sets_that_share_more_than_half_are_not_held_against_each_other():
    renamed = table().replace({"part": {"h0": "x+y", "h1": "x+z", "h2": "v+w", "h3": "x+y+z"}})
    changes = changes_of(renamed)
    one = changes.loc[(changes["label"] == "a0.leading") & (changes["subset"] == "gap")]
    assert set(one["n_null"]) == {2}  # not x+y+z


def test_a_training_that_counts_twice_is_one_other():
    twice = pd.concat([table(), table().query("part == 'h1'").assign(label="a0.h1")])
    summary = summarize_necessity(twice.reset_index(drop=True))
    assert cell(summary, "a0.leading")["n_null"] == 3
    assert cell(summary, "a0.h1")["n_null"] == 3
    assert (
        cell(summary, "a0.leading")["control"]
        == cell(summarize_necessity(table()), "a0.leading")["control"]
    )


def test_the_sentences_say_what_is_needed_and_that_it_is_not_recited_either():
    said = necessity_found(summarize_necessity(table()))
    assert said[0].startswith("More of the gap D5 − D6 is lost than with others")
    assert "leading head of layer 0 frozen (exact match, corrected p" in said[0]
    assert "definitions of D5_CONS are recited at 0.00 instead of 1.00" in said[1]
    changes = next(text for text in said if text.startswith("Gap in exact match"))
    assert "+0.525 after Stage 2 as it was, +0.025 before it" in changes
    assert changes.index("leading head") < changes.index("MLP of layer 1 frozen -0.300")
    assert any("equals the run's own bit for bit, in 6 of 6 seeds" in text for text in said)


def test_a_null_result_is_said_as_one_and_a_training_of_another_machine_too():
    other = table("h3")
    other.loc[other["part"] == "none", "distance"] = 1e-3
    said = necessity_found(summarize_necessity(other))
    assert "is not shown to cost more of the gap" in said[0]
    assert "the least possible p is 0.0" in said[0]
    assert any("differs from the run's own in a weight by up to 0.001" in text for text in said)
