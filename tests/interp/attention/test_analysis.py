from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.tasks.iml import IML_GAP, STAGE1_GAP
from data.tokens import TokenizedRow
from interp.attention.analysis import (
    COORDINATES,
    AttentionAnalysis,
    attention_contrast,
    summarize_attention,
)
from interp.attention.heads import read_heads
from interp.attention.patterns import attention_by_role
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.model import HookedModel, load_hooked
from interp.hooked.sites import choose_sites
from training.columns import RUN_COLUMNS
from training.designs import recipe_design
from training.runs.run import Run, read_table
from training.statistics import t_interval

STAGE2 = AttentionAnalysis.of(IML_GAP)


@pytest.fixture(scope="module")
def model(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, 1000, 2)


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> list[TokenizedRow]:
    return tiny_run.tokenized_rows(1000)


@pytest.fixture(scope="module")
def table(model: HookedModel, rows: list[TokenizedRow]) -> pd.DataFrame:
    return STAGE2.measure(model, rows, choose_sites(model), seed=1000).table


def test_it_is_an_analysis_of_the_subsets_of_a_stage():
    assert isinstance(STAGE2, Analysis)
    assert AttentionAnalysis.of(STAGE1_GAP).subsets == (
        "D1_CONS_QA1",
        "D2_INCONS_QA2",
        "QA3",
    )
    assert STAGE2.subsets == ("D5_CONS", "D6_CONS", "QA7_UNSEEN")


def test_every_kind_has_its_cells_once(table: pd.DataFrame):
    assert list(table.columns) == [*COORDINATES, "value", "control", "n"]
    assert not table.duplicated(COORDINATES).any()
    assert not table.isna().any().any()
    rows = {"pattern", "value_norm", "direct_logit"}
    texts = table.groupby("text")["kind"].agg(set).to_dict()
    assert texts == {
        "qa": rows,
        "definition": rows,
        "random": {"induction", "previous_token"},
        "weights": {f"composition_{reader}" for reader in "qkv"},
    }
    defined = set(table.loc[table["text"] == "definition", "subset"])
    assert defined == {"D5_CONS", "D6_CONS"}


def test_a_heads_pattern_is_its_mean_over_the_rows(
    table: pd.DataFrame, model: HookedModel, rows: list[TokenizedRow]
):
    asked = [r for r in rows if r.row.subset.name == "D6_CONS" and r.row.is_evaluated]
    expected = attention_by_role(model, asked).mean()
    expected = expected.set_index(["layer", "head", "destination", "source"])
    cells = table.loc[
        (table["subset"] == "D6_CONS") & (table["text"] == "qa") & (table["kind"] == "pattern")
    ].set_index(["layer", "head", "destination", "source"])

    for key in ((0, 0, "question", "alias"), (1, 1, "prompt_last", "other")):
        cell = cells.loc[(key[0], str(key[1]), *key[2:])]
        assert cell["value"] == pytest.approx(expected.loc[key, "attention"])
        assert cell["control"] == pytest.approx(expected.loc[key, "uniform"])
        assert cell["n"] == len(asked)


def test_the_heads_of_a_layer_are_summed_for_logits_and_averaged_elsewhere(
    table: pd.DataFrame, model: HookedModel, rows: list[TokenizedRow]
):
    asked = [r for r in rows if r.row.subset.name == "D5_CONS" and r.row.is_evaluated]
    found = read_heads(model, asked)
    cells = table.loc[(table["subset"] == "D5_CONS") & (table["text"] == "qa")]
    cells = cells.loc[(cells["source"] == "alias") & (cells["destination"] == "prompt_last")]
    values = cells.set_index(["kind", "layer", "head"])["value"]
    counted = np.isfinite(found.direct_logit_control[:, 0, 0, 0])

    expected = found.direct_logit[counted, 1, :, 0].sum(1).mean()
    assert values.loc[("direct_logit", 1, "all")] == pytest.approx(expected)
    expected = found.value_norm[:, 1, :, 0].mean()
    assert values.loc[("value_norm", 1, "all")] == pytest.approx(expected)


def test_pairs_that_leave_no_choice_are_left_out(table: pd.DataFrame):
    of_questions = table.loc[(table["kind"] == "pattern") & (table["text"] == "qa")]
    pairs = set(zip(of_questions["destination"], of_questions["source"], strict=True))

    assert ("other", "other") not in pairs  # the first token sees itself alone
    assert ("alias", "question") not in pairs  # which lies ahead
    assert ("alias", "other") in pairs


def test_composition_names_both_heads(table: pd.DataFrame):
    pairs = table.loc[(table["kind"] == "composition_k") & (table["head"] != "all")]
    means = table.loc[(table["kind"] == "composition_k") & (table["head"] == "all")]

    assert set(pairs["destination"].str[0]) == {"1"}
    assert set(pairs["source"].str[0]) == {"0"}
    assert means["value"].tolist() == pytest.approx([pairs["value"].mean()])
    assert means["n"].tolist() == [len(pairs)]


def test_only_the_layers_of_the_sites_are_looked_at(model: HookedModel, rows: list[TokenizedRow]):
    sites = choose_sites(model, ["resid_post"], [1])
    table = STAGE2.measure(model, rows, sites, seed=1000).table

    assert set(table["layer"]) == {1}


def test_the_summary_has_the_cells_that_all_seeds_share(copied_run: Path):
    run = Run.load(copied_run)
    table, summary = run_grid(STAGE2, GridSelection(runs=(run,), stage=2), workers=1)

    assert list(table.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert set(summary["head"]) == {"all", "#1", "#2"}  # of two heads
    assert set(summary["n_seeds"]) == {2}
    cell = summary.iloc[7]
    key = [(table[name] == cell[name]) for name in COORDINATES]
    seeds = table.loc[np.logical_and.reduce(key)]
    excess = seeds["value"] - seeds["control"]
    assert len(seeds) == 2
    assert cell["difference"] == pytest.approx(excess.mean())
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx(t_interval(excess))
    assert cell["value"] == pytest.approx(seeds["value"].mean())
    stored = read_table(run.folder / "attention_summary.parquet")
    pd.testing.assert_frame_equal(stored, summary)


def planted_table(shift: float) -> pd.DataFrame:
    """Six seeds whose own heads are in any order: one attends by 0.9, the others by 0.3."""
    run = {"recipe": "r", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2, "step": 9}
    records = []
    for seed in range(6):
        noise = 0.01 * (seed % 3)
        for subset, extra in (("D5_CONS", shift), ("D6_CONS", 0.0)):
            values = {str(head): 0.3 for head in range(4)} | {str(seed % 4): 0.9}
            values |= {"all": 0.45, "#1": 0.9, "#2": 0.3, "#3": 0.3, "#4": 0.3}
            for head, value in values.items():
                place = {"subset": subset, "text": "qa", "kind": "pattern", "layer": 1}
                place |= {"head": head, "destination": "prompt_last", "source": "alias"}
                measured = {"value": value + extra + noise, "control": 0.3, "n": 5}
                records.append(run | {"seed": seed} | place | measured)
    return pd.DataFrame(records)


def test_a_head_that_differs_by_seed_is_found_by_its_rank():
    summary = summarize_attention(planted_table(0)).set_index(["subset", "head"])

    assert summary.loc[("D5_CONS", "#1"), "difference"] == pytest.approx(0.61)
    assert summary.loc[("D5_CONS", "#1"), "p_value"] == pytest.approx(2 / 64)


def test_a_contrast_pairs_the_subsets_by_seed():
    contrast = attention_contrast(planted_table(0.2), "D5_CONS", "D6_CONS").set_index("head")
    none = attention_contrast(planted_table(0), "D5_CONS", "D6_CONS")

    assert "subset" not in contrast.columns
    assert contrast.loc["#1", "difference"] == pytest.approx(0.2)
    assert contrast.loc["#1", "value"] == pytest.approx(1.11)
    assert contrast.loc["#1", "control"] == pytest.approx(0.91)
    assert none["difference"].tolist() == [0] * 5


def test_unknown_subsets_are_refused(model: HookedModel, rows: list[TokenizedRow]):
    table = planted_table(0)

    with pytest.raises(InputError, match="no subset 'D5'; did you mean D5_CONS"):
        AttentionAnalysis(subsets=("D5",)).of_design(recipe_design("alias-toy"))
    with pytest.raises(InputError, match="has no subset 'QA3'; choose from D5_CONS, D6_CONS"):
        attention_contrast(table, "QA3", "D6_CONS")
    absent = AttentionAnalysis(subsets=("D10_CONS_QA10",))
    with pytest.raises(InputError, match="no rows of D10_CONS_QA10"):
        absent.measure(model, rows, choose_sites(model), seed=0)


def test_measuring_changes_nothing_of_the_model(
    model: HookedModel,
    rows: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(model)
    STAGE2.measure(model, rows, choose_sites(model), seed=1000)

    assert state_of(model) == before
