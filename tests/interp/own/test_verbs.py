"""A verb for each analysis of a person's own prompts: tables that figures take."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.pairs import PromptPair
from data.tokens import TokenizedRow, word_tokenizer
from interp.attention.pattern_plots import plot_attention
from interp.attention.patterns import attention_by_role
from interp.attention.view import plot_pattern, show_attention
from interp.figures.grid_tables import with_run_columns
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from interp.lenses.analysis import lens_log_probs
from interp.lenses.plots import plot_attribution, plot_lens
from interp.own.ablating import ablate
from interp.own.texts import prompts
from interp.own.verbs import attend, attribute, lens, patch, probe
from interp.patching.plots import plot_patched_heads, plot_patching
from interp.probes.plots import NOT_READ, plot_probes
from interp.probes.summary import summarize_own
from tests.interp.figure_texts import heading
from tests.interp.own.words import ANSWERS, TEXTS, WORDS
from training.runs.run import Run


def test_lens(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = lens(model, rows)
    site = Site("resid_post", 1)
    last = collect_activations(model, rows, sites=[site], roles=[TokenRole.PROMPT_LAST])
    log_probs = lens_log_probs(model, torch.tensor(last.at(site, TokenRole.PROMPT_LAST)))
    answers = [row.input_ids[row.answer_positions[0]] for row in rows]
    moved = [*answers[1:], answers[0]]
    expected, control = (
        np.mean([float(log_probs[i, token]) for i, token in enumerate(tokens)])
        for tokens in (answers, moved)
    )

    at_end = table.query("layer == 1 and role == 'prompt_last'")
    cell, other = at_end.sort_values("quantity").to_dict("records")
    assert cell["log_prob"] == pytest.approx(expected, rel=1e-5)
    assert other["quantity"] == "other_answer"
    assert other["log_prob"] == pytest.approx(control, rel=1e-5)
    assert (cell["subset"], cell["n"]) == ("prompts", 3)
    assert set(table["role"]) == {"hero_last", "prompt_last"}
    page = plot_lens(table).to_json() or ""
    assert "last hero token" in page
    assert "prompts, logit lens" in page
    assert "another prompt's answer (control)" in page
    assert set(lens(model, rows[:1])["quantity"]) == {"answer"}
    assert set(lens(model, rows, roles=["hero_first"])["role"]) == {"hero_first"}


def test_probe_reads_what_the_token_says(model: HookedModel):
    who = ["w0", "w1"] * 15
    rows = prompts(
        model, [f"w{2 + i} {w} w36" for i, w in enumerate(who)], answers="w35", roles={"who": who}
    )
    labels = ["even" if word == "w0" else "odd" for word in who]
    table = probe(model, rows, labels, layers=[0], n_permutations=19)

    embedded = table.query("site == 'resid_pre'").set_index("role")
    assert embedded.loc["who_last", "accuracy"] == 1  # the word is the label
    assert embedded.loc["who_last", "p_value"] == pytest.approx(1 / 20)
    assert embedded.loc["prompt_last", "accuracy"] == 0.5  # it is the same in all
    assert set(table["chance"]) == {0.5}
    assert set(table["n_read"]) == {30}
    by_word = probe(model, rows, labels, groups=range(30), layers=[0], n_permutations=0)
    assert by_word["accuracy"].tolist() == table["accuracy"].tolist()
    figure: Any = plot_probes(table)
    assert "one model" in heading(figure)
    said = " ".join(each.text for each in figure.layout.annotations)
    assert "unseen rows" in said
    assert "30 rows in 5 folds" in said
    assert "alias" not in said
    assert "seed" not in said


def test_probe_wants_a_label_for_each_row(model: HookedModel, rows: Sequence[TokenizedRow]):
    with pytest.raises(InputError, match="3 rows and 2 labels"):
        probe(model, rows, [0, 1])
    with pytest.raises(InputError, match="one class only"):
        probe(model, rows, [1, 1, 1])


def test_patch(model: HookedModel, pairs: Sequence[PromptPair]):
    table = patch(model, pairs)

    assert set(table["role"]) == {"hero_last", "prompt_last", "all"}
    assert set(table["pair_kind"]) == {"own"}
    whole = table.query("site == 'resid_pre' and layer == 0 and role in ('all', 'hero_last')")
    assert whole["effect"].to_numpy() == pytest.approx(1, abs=1e-4)  # they differ in that word only
    page = plot_patching(table).to_json() or ""
    assert "2 pairs of one model" in page
    assert "last hero token" in page
    assert "own pairs" in page
    assert "one model" in heading(plot_patched_heads(table))
    assert set(patch(model, pairs, roles=["hero_first"], layers=[1])["role"]) == {"hero_first"}


def test_attend(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = attend(model, rows[1])
    figure: Any = plot_attention(table)

    sums = table.groupby(["layer", "head", "dest_pos"])["attention"].sum()
    assert np.array(sums) == pytest.approx(1, abs=1e-5)
    assert table.query("dest_pos == 2 and src_pos == 1")["src_token"].unique().tolist() == ["w4"]
    assert list(figure.layout.xaxis.ticktext) == ["w3", "w4", "w5", "w6", "w11"]
    several = attend(model, rows, layers=[1])
    assert several["row"].unique().tolist() == ["prompt 0", "prompt 1", "prompt 2"]
    assert set(several["layer"]) == {1}
    with pytest.raises(InputError, match="of several rows"):
        plot_attention(several)
    with pytest.raises(InputError, match="does not say its tokens"):
        plot_attention(table.drop(columns="src_token"))


def test_many_heads_have_short_titles(model: HookedModel, rows: Sequence[TokenizedRow]):
    few = attend(model, rows[0])
    many = pd.concat([few.assign(head=few["head"] + 4 * i) for i in range(2)])
    figures: list[Any] = [plot_attention(table) for table in (few, many)]
    titles = [{each.text for each in figure.layout.annotations} for figure in figures]

    assert "layer 0, head 3" in titles[0]
    assert titles[1] == {f"head {head}" for head in range(8)}
    assert [axis.title.text for axis in figures[1].select_yaxes(col=1)] == [
        "<b>layer 0</b><br>at token",
        "<b>layer 1</b><br>at token",
    ]


def test_views_and_means_of_attention_know_own_roles(
    model: HookedModel, rows: Sequence[TokenizedRow]
):
    table = attention_by_role(model, rows).mean()

    assert set(table["source"]) == {"hero", "other"}
    assert "hero" in (plot_pattern(model, rows[0]).to_json() or "")
    shown: Any = show_attention(model, rows)
    assert "hero" in heading(shown)
    assert shown.layout.updatemenus[0].buttons[0].label == "1. w0 w1 w2"


def test_every_architecture(any_model: HookedModel):
    view = replace_tokenizer(any_model)
    rows = prompts(view, TEXTS, answers=ANSWERS, roles={"hero": ["w1", "w4 w5", "w8"]})

    for table in (lens(view, rows), attend(view, rows), ablate(view, rows), attribute(view, rows)):
        assert len(table)


def replace_tokenizer(model: HookedModel) -> HookedModel:
    view = copy.copy(model)
    view.tokenizer = word_tokenizer(WORDS)
    return view


def test_a_role_that_no_row_has_is_refused(model: HookedModel, rows: Sequence[TokenizedRow]):
    bare = replace(rows[0], spans={})

    with pytest.raises(InputError, match="no role 'villain_last'"):
        lens(model, rows, roles=["villain_last"])
    with pytest.raises(InputError, match="no role 'hero_last'"):
        lens(model, [rows[0], bare], roles=["hero_last"])


def test_probes_are_corrected_for_the_number_of_cells(
    model: HookedModel,
):
    who = ["w0", "w1"] * 15
    rows = prompts(
        model, [f"w{2 + i} {w} w36" for i, w in enumerate(who)], answers="w35", roles={"who": who}
    )
    table = probe(model, rows, who, layers=[0], n_permutations=199)
    summary = summarize_own(with_run_columns(table, **NOT_READ)).set_index(["site", "role"])

    assert len(table) == 4
    read = summary.loc[("resid_pre", "who_last")]
    assert read["p_value"] == pytest.approx(0.005)
    assert read["p_corrected"] == pytest.approx(0.02)
    assert summary.loc[("resid_pre", "prompt_last"), "p_corrected"] == 1
    cells: Any = plot_probes(table).data[0]
    marked = [
        (x, y) for x, y, text in zip(cells.x, cells.y, cells.text, strict=True) if "▲" in text
    ]
    assert ("last who token", "stream before layer 0") in marked
    assert ("last prompt token", "stream before layer 0") not in marked


# Logit attribution.


def sums_by_row(table: pd.DataFrame) -> np.ndarray:
    return table.pivot_table(index="row", values=["logit", "control"], aggfunc="sum")[
        ["logit", "control"]
    ].to_numpy()


def test_attribute_adds_up_to_the_answers_logit(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = attribute(model, rows)

    sums = sums_by_row(table)
    for i, row in enumerate(rows):
        prompt = torch.tensor([row.input_ids[: row.answer_positions[0]]])
        logits = model.logits(prompt)[0, -1]
        answers = [r.input_ids[r.answer_positions[0]] for r in (row, rows[(i + 1) % 3])]
        expected = (logits[answers] - logits.mean()).tolist()
        assert sums[i].tolist() == pytest.approx(expected, abs=1e-4)
    assert set(table["subset"]) == {"prompts"}
    figure: Any = plot_attribution(table)
    assert "over 3 prompts of one model" in heading(figure)
    assert [trace.name for trace in figure.data] == [
        "prompts",
        "control: another prompt's answer, prompts",
    ]


def test_attribute_against_other_answers(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = attribute(model, rows, against=["w20", "w21", "w22"])

    logits = model.logits(torch.tensor([rows[0].input_ids[:3]]))[0, -1]
    first = sums_by_row(table)[0]
    # Words follow three special tokens: w20 is token 23; the next answer is w11 against w21.
    assert first == pytest.approx(
        [(logits[13] - logits[23]).item(), (logits[14] - logits[24]).item()], abs=1e-4
    )
    assert set(table["quantity"]) == {"logit difference"}
    with pytest.raises(InputError, match="prompt 1: 'w11' and the answer against it begin with"):
        attribute(model, rows, against="w11")
    with pytest.raises(InputError, match="no rows to attribute"):
        attribute(model, [])


def test_attribution_has_no_control_where_all_have_one_answer(model: HookedModel):
    table = attribute(model, prompts(model, ["w0 w1", "w2 w3"], answers="w4"))

    assert np.isnan(table["control"].to_numpy()).all()
    figure: Any = plot_attribution(table)
    assert "no control, as all have one answer" in heading(figure)
    assert len(figure.data) == 1


# Rows of another tokenizer.


def test_rows_of_another_tokenizer_are_refused_by_every_verb(
    model: HookedModel, rows: Sequence[TokenizedRow], pairs: Sequence[PromptPair]
):
    other = copy.copy(model)
    other.tokenizer = word_tokenizer(WORDS[::-1])
    calls: list[Any] = [
        lambda: lens(other, rows),
        lambda: probe(other, rows, [0, 1, 0]),
        lambda: attend(other, rows),
        lambda: attribute(other, rows),
        lambda: ablate(other, rows),
        lambda: patch(other, pairs),
    ]
    for call in calls:
        both = "has tokens of a tokenizer of 40 tokens; to a tokenizer of 40 tokens, which is this"
        with pytest.raises(InputError, match=both) as refused:
            call()
        assert "\n" not in str(refused.value)


def test_rows_of_one_seed_are_refused_by_the_model_of_another(tiny_run: Run):
    rows = tiny_run.tokenized_rows(1000)
    here, there = (load_hooked(tiny_run, seed=seed, stage=2) for seed in (1000, 1001))
    asked = [row for row in rows if row.row.is_evaluated]

    assert len(lens(here, asked, roles=["prompt_last"]))
    with pytest.raises(InputError, match=r"to .*seed-1001.*, which is this model's"):
        lens(there, asked, roles=["prompt_last"])


def test_a_larger_vocabulary_that_reads_the_texts_alike_is_no_other_tokenizer(
    model: HookedModel, rows: Sequence[TokenizedRow]
):
    grown = copy.copy(model)
    grown.tokenizer = word_tokenizer([*WORDS, "and", "more"])

    pd.testing.assert_frame_equal(lens(grown, rows), lens(model, rows))
