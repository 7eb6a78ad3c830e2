"""Every figure takes what the analysis of one model returns, without a run around it."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from data.pairs import PairKind, make_pairs
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.alignment.analysis import measure_alignment
from interp.alignment.pairs import PairMode, make_alignment_pairs
from interp.alignment.plots import plot_alignment, plot_alignment_steps
from interp.attention.analysis import AttentionAnalysis
from interp.attention.pattern_plots import plot_attention
from interp.attention.patterns import token_attention
from interp.attention.plots import plot_attention_contrast, plot_heads
from interp.gradients.options import GradientOptions
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis
from interp.interventions.plots import plot_ablation, plot_erasure
from interp.lenses.analysis import LensAnalysis, lens_checkpoint
from interp.lenses.attribution import attribute_logits
from interp.lenses.plots import plot_attribution, plot_lens
from interp.patching.analysis import patch_pairs
from interp.patching.plots import plot_attribution_patching, plot_patched_heads, plot_patching
from interp.probes.analysis import ProbeAnalysis, probe_checkpoint
from interp.probes.plots import plot_probes
from interp.transplants.analysis import asked_rows, transplant_weights
from interp.transplants.differences import measure_changes, modules_of
from interp.transplants.parts import weights_of
from interp.transplants.plots import plot_transplants, plot_weight_differences
from tests.interp.figure_texts import heading

Rows = list[TokenizedRow]


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., Rows]) -> Rows:
    return toy_rows()


def plain(rows: Rows, seed: int = 0) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPTNeoXConfig(
            vocab_size=max(max(row.input_ids) for row in rows) + 1,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
        )
        return GPTNeoXForCausalLM(config).eval()


@pytest.fixture(scope="module")
def model(rows: Rows) -> HookedModel:
    return HookedModel.from_hf(plain(rows))


def test_patching(model: HookedModel, rows: Rows):
    pairs = make_pairs(rows, PairKind.ALIAS, subset="D5_CONS", limit=4, seed=0)
    table = patch_pairs(model, pairs)
    grid: Any = plot_patching(table)

    effects = table.query("head < 0 and direction == 'denoise'").set_index("layer")["effect"]
    assert sorted(grid.data[0].z) == pytest.approx(sorted(effects))
    assert "one model" in heading(grid)
    assert "dropped" not in grid.to_json()
    assert "one model" in heading(plot_patched_heads(table))
    assert "one model" in heading(plot_attribution_patching(table))


def test_patching_of_a_subset_of_ones_own(model: HookedModel, rows: Rows):
    pairs = make_pairs(rows, PairKind.ALIAS, subset="D5_CONS", limit=4, seed=0)
    table = patch_pairs(model, pairs).assign(subset="mine")

    assert "mine" in (plot_patching(table).to_json() or "")
    assert "mine" in (plot_patched_heads(table).to_json() or "")
    assert "mine" in (plot_attribution_patching(table).to_json() or "")


def test_lens_and_attribution(model: HookedModel, rows: Rows):
    sites = choose_sites(model)
    table = lens_checkpoint(model, rows, sites, LensAnalysis(tuned=False), seed=0)
    figure: Any = plot_lens(table)

    is_shown = (
        "subset == 'D5_CONS' and role == 'alias_last' and quantity == 'answer' and layer == 1"
    )
    (last,) = table.query(is_shown)["log_prob"]
    (curve,) = [t for t in figure.data if t.name == "D5_CONS, logit lens" and t.showlegend]
    assert curve.y[-1] == pytest.approx(last)
    assert "one model" in heading(figure)
    own = table.loc[table["subset"] == "D1_CONS_QA1"].assign(subset="mine")
    assert "mine" in (plot_lens(own).to_json() or "")
    assert plot_attribution(attribute_logits(model, asked_rows(rows)[:4])).data


def test_probes(model: HookedModel, rows: Rows):
    analysis = ProbeAnalysis(quick=True, n_permutations=3)
    table = probe_checkpoint(model, rows, choose_sites(model), analysis, seed=0).table

    assert "one model" in heading(plot_probes(table))


def test_attention(model: HookedModel, rows: Rows):
    analysis = AttentionAnalysis(subsets=("D5_CONS", "D6_CONS"))
    table = analysis.measure(model, rows, choose_sites(model, ["z"]), seed=0).table

    assert "one model" in heading(plot_heads(table, subset="D5_CONS"))
    assert "one model" in heading(plot_attention_contrast(table, "D5_CONS", "D6_CONS"))
    row = asked_rows(rows)[0]
    assert plot_attention(token_attention(model, row), list(map(str, row.input_ids))).data


def test_ablation(model: HookedModel, rows: Rows):
    sites = choose_sites(model, ABLATED_SITES)
    table = AblationAnalysis(n_random=1).measure(model, rows, sites, seed=0).table

    assert "one model" in heading(plot_ablation(table, ["D5_CONS", "D6_CONS"]))


def test_erasure():
    """Its probes take more aliases than a quick test has; these are its columns."""
    at = {"target": "tag", "site": "resid_post", "layer": 1, "role": "alias_last"}
    levels = {"before": 0.9, "after": 0.5, "control": 0.8, "control_distance": 0.7, "n": 10}
    cells = [("all", "probe_accuracy"), ("D5_CONS", "answer_log_prob")]
    records = [{**at, "subset": subset, "metric": metric, **levels} for subset, metric in cells]

    assert "one model" in heading(plot_erasure(pd.DataFrame(records)))


def test_transplants_and_weight_differences(rows: Rows):
    here, there = plain(rows), plain(rows, seed=1)
    asked = [row for row in asked_rows(rows)]
    table = transplant_weights(here, there, asked, parts=["embeddings", "blocks"], seed=0)
    changes = measure_changes(weights_of(here), weights_of(there), modules_of(here))

    assert "one model" in heading(plot_transplants(table))
    assert heading(plot_transplants(table.loc[table["subset"] != "D6_CONS"]))
    assert plot_weight_differences(changes).data


def test_alignment(rows: Rows):
    pairs = make_alignment_pairs(
        rows, PairMode.OWN, subsets=("D5_CONS", "D6_CONS"), limit=3, seed=0
    )
    options = GradientOptions(policy=LossPolicy.ANSWER)
    table = measure_alignment(plain(rows), pairs, options=options)

    assert "one model" in heading(plot_alignment(table))
    assert plot_alignment_steps(table).data
