"""Summary, sentences and pages of tables whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from interp.dictionaries.plots import plot_dictionaries
from interp.dictionaries.rows import LOG_PROB, OF_PAGE
from interp.dictionaries.sections import feature_pages
from interp.dictionaries.summary import summarize_dictionaries
from interp.dictionaries.wording import dictionary_sentences, found
from tests.interp.dictionaries.hand_made_tables import D5, D6, dictionaries_table


@pytest.fixture(scope="module")
def summary() -> pd.DataFrame:
    return summarize_dictionaries(dictionaries_table())


def test_a_summary_has_means_intervals_and_differences(summary: pd.DataFrame):
    assert not set(summary["quantity"]) & set(OF_PAGE)
    cell = summary.loc[
        (summary["quantity"] == LOG_PROB)
        & (summary["target"] == "tag")
        & (summary["subset"] == f"{D5}-{D6}")
    ]
    assert cell["value"].item() == pytest.approx(-1.0)
    assert cell["difference"].item() == pytest.approx(-0.9)
    assert cell["n_seeds"].item() == 6
    # Six seeds, each .01 apart: t(5) = 2.571 times .01871 / root 6.
    assert cell["value_high"].item() == pytest.approx(-1.0 + 2.571 * 0.01871 / 6**0.5, abs=1e-4)
    pca = summary.loc[summary["dictionary"] == "pca", "difference"]
    assert np.isnan(pca).all()


def test_sentences_say_the_sparsest_that_recovers_and_what_is_beside_it(summary: pd.DataFrame):
    first, beside, *_ = found(summary)
    assert "TopK with 8.0 features a vector recovers 97%" in first
    assert "the sparsest of those tried that does" in first
    assert "first principal components 80% and 80%" in beside
    worse = summary.assign(value=summary["value"].where(summary["quantity"] == "l0", 0.5))
    assert "none that was tried recovers 95%" in found(worse)[0]


def test_sentences_tell_what_is_found_from_what_is_not(summary: pd.DataFrame):
    twin = summarize_dictionaries(dictionaries_table(lost=-0.5))
    said = " ".join(found(summary, twin))
    assert "entity 0.90 (features that fire as often 0.50, null twin 0.90)" in said
    silent = said.partition("No feature is shown to carry ")[2].partition(" beyond")[0]
    assert set(silent.split(", ")) == {"compared subset", "phantom tag"}
    assert "Without the features of tag the gap D5 − D6 changes by -1.00 nats" in said
    assert "in the null twin -0.50: more than features alike" in said
    assert "Codes of questions moved (1 - cosine): D5 0.30, D6 0.20; aliases never defined" in said

    alike = summarize_dictionaries(dictionaries_table(lost=0.0))
    assert "no more than features alike in rate and norm are shown to do" in " ".join(found(alike))


def test_places_are_named_where_there_are_several():
    table = dictionaries_table(kind="batch_topk")
    both = pd.concat([table, table.assign(layer=1)])
    said = dictionary_sentences(summarize_dictionaries(both))
    assert said[0].startswith("Resid_post of layer 0 at all tokens: BatchTopK with 8.0")
    assert any(each.startswith("Resid_post of layer 1") for each in said)
    with pytest.raises(Exception, match="a table of one place and kind is needed, this has 2"):
        plot_dictionaries(both)


def test_a_page_escapes_texts_and_colours_roles(summary: pd.DataFrame):
    (page,) = feature_pages(dictionaries_table(), summary)
    assert "Features of seed 0" in page
    assert "&lt;abc&gt;" in page
    assert "<abc>" not in page
    assert 'title="alias"' in page
    assert "<b>" in page
    assert "25%" in page
    assert "a, b;<br>c, d" in page
    without = dictionaries_table()
    assert feature_pages(without.loc[without["feature"] < 0], summary) == []
