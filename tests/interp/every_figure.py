"""A figure of every function that draws one, from tables made by hand: usual ones and long ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.alignment.experiment_plots import plot_branches, plot_predictions, plot_surgery
from interp.alignment.plots import (
    plot_alignment,
    plot_alignment_modules,
    plot_alignment_steps,
    plot_alignment_tokens,
)
from interp.alignment.summary import summarize_alignment
from interp.attention.analysis import summarize_attention
from interp.attention.pattern_plots import plot_attention
from interp.attention.plots import plot_attention_contrast, plot_heads
from interp.circuits.necessity_plots import plot_necessity
from interp.circuits.necessity_summary import summarize_necessity
from interp.circuits.null_plots import plot_circuit_tests, plot_disruption
from interp.circuits.plots import plot_circuit, plot_inclusion
from interp.circuits.transfer_plots import plot_transfer
from interp.codes.plots import plot_code_edits, plot_codes
from interp.dictionaries.plots import plot_dictionaries, plot_feature_ablation, plot_features
from interp.figures.step_plots import plot_steps
from interp.hypotheses.plots import plot_matrix, plot_rows, plot_third_tag
from interp.interventions.plots import plot_ablation, plot_erasure
from interp.lenses.plots import plot_attribution, plot_lens, plot_lens_steps
from interp.mediation.plots import plot_mediation
from interp.one_layer.plots import (
    plot_blocks,
    plot_directions,
    plot_probabilities,
    plot_spectrum,
)
from interp.orders.plots import plot_orders
from interp.patching.plots import plot_attribution_patching, plot_patched_heads, plot_patching
from interp.probes.plots import plot_probes
from interp.report.compare_plots import Panel, plot_side_by_side
from interp.report.ladder_plots import plot_ladder
from interp.report.places_plots import plot_places
from interp.report.plots import plot_curves, plot_gaps
from interp.report.sweep_plots import plot_levels, plot_sweep_gaps
from interp.sweeps.ladder import ladder_contrasts
from interp.transplants.plots import plot_transplants, plot_weight_differences
from interp.turns.plots import plot_turns
from interp.turns.summary import summarize_turns
from interp.turns.treatments import CONTROLS
from interp.twins.plots import plot_twins
from tests.interp.activation_tables import (
    D5,
    D6,
    ROLES,
    SEEDS,
    attention,
    curves_along_training,
    lens,
    patching,
    places,
    probes,
)
from tests.interp.circuits.hand_made_tables import circuits_table
from tests.interp.codes.hand_made_tables import codes_table
from tests.interp.dictionaries.hand_made_tables import dictionaries_table
from tests.interp.hypotheses.tables_by_hand import third_tag_rows
from tests.interp.made_up import crossed, measured
from tests.interp.one_layer.tables_by_hand import blocks_table
from tests.interp.report.hand_made_tables import (
    gaps_of_a_sweep,
    levels_of_a_sweep,
    rungs_of_a_ladder,
)
from training.designs import recipe_design
from training.statistics import estimate
from training.summary import summarize

IML = recipe_design("alias-toy")
TOKENS = ("According", " to", " many", " texts", ",", " xyz", " refers", " to", " Cleopatra", "\n")


def ablation(layers: int = 2, heads: int = 4) -> pd.DataFrame:
    where = {"seed": SEEDS, "subset": [D5, D6], "layer": range(layers)}
    kinds = ["zero", "mean", "resample"]
    parts = crossed(**where, head=range(heads), intervention=kinds).assign(site="z", route="")
    mlps = crossed(**where, intervention=kinds).assign(site="mlp_out", head=-1, route="")
    routes = crossed(**where).assign(site="", head=-1, route="alias->prompt_last")
    table = pd.concat([parts, mlps, routes.assign(intervention="knock_out")])
    table = table.assign(kind="question", metric="answer_log_prob", n=40)
    return measured(table, effect=5, control=1)


def erasure() -> pd.DataFrame:
    where = {"seed": SEEDS, "layer": range(2), "role": ROLES[-2:]}
    answers = crossed(**where, subset=[D5, D6, f"{D5}-{D6}"]).assign(metric="answer_log_prob")
    answers = answers.assign(site="resid_post", read_at="")
    read = crossed(**where).assign(metric="probe_accuracy", subset="all", site="resid_post")
    at = [f"resid_post.{n} at {role}" for n, role in zip(read["layer"], read["role"], strict=True)]
    read = read.assign(read_at=at)
    table = pd.concat([answers, read, read.assign(site="all", layer=-1, role="all")])
    table = table.assign(target="tag", n=40)
    return measured(table, 0, 1, before=1, after=1, control=1, control_distance=1)


def transplants() -> pd.DataFrame:
    parts = ["none", "all", "alias_rows", "mlps", "block.0", "head.0.1", "alias_rows+blocks"]
    table = crossed(seed=SEEDS, part=parts, subset=[D5, D6]).assign(stage=1, step=1200)
    table = table.assign(from_stage=2, from_step=200, to_stage=1, donor="same", n=40)
    names = ("exact_match", "answer_log_prob", "control_exact_match", "control_answer_log_prob")
    return measured(table, 0, 1, **dict.fromkeys(names, 1))


def weight_differences() -> pd.DataFrame:
    modules = [f"model.layers.{n}.mlp.{name}_proj" for n in range(6) for name in ("up", "down")]
    table = crossed(seed=SEEDS, module=["all", *modules])
    return measured(table, 0, 1, relative_norm=1, cosine_same_tag=1, cosine_other_tag=1)


def alignment(component: str = "all", step: int = 200) -> pd.DataFrame:
    pairings = ["own", "other_tag", "same_tag_other_entity", "same_entity_other_tag"]
    table = crossed(seed=SEEDS, subset=[D5, D6], pairing=pairings, alias=["a", "b"])
    table = table.assign(alias=table["subset"] + table["alias"], pairs="own", step=step)
    table = table.assign(component=component, loss_policy="answer", measure="grad_cosine")
    return measured(table.assign(row_a="a", row_b="b"), value=0.5)


def parts_of(*components: str) -> pd.DataFrame:
    return summarize_alignment(pd.concat([alignment(each) for each in ("all", *components)]))


def branches() -> pd.DataFrame:
    table = crossed(seed=SEEDS, branch_step=range(3))
    return measured(table, cosine=0.1, control_cosine=0.1, iml_gap_answer_log_prob=3)


def surgery() -> pd.DataFrame:
    quantities = ["alignment", "iml_gap_exact_match", "iml_gap_answer_log_prob"]
    table = crossed(
        seed=SEEDS, direction=["questions", "random"], dose=[-1.0, 0.0, 1.0], quantity=quantities
    )
    return measured(table, value=1)


def necessity() -> pd.DataFrame:
    subsets = [D5, D6, f"recite {D5}", f"recite {D6}"]
    parts = {"untouched": ["none"], "frozen": ["all", "emb", "a0.h0", "a0.h1", "m1"]}
    parts |= {"clamped": ["a0.h0", "a0.h1"]}
    tables = [
        crossed(seed=SEEDS, mode=[mode], part=names, subset=subsets)
        for mode, names in parts.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    labels = table["part"].replace({"a0.h0": "a0.leading", "a0.h1": ""})
    kinds = table["part"].str.replace(r"\.h\d", "", regex=True)
    table = table.assign(label=labels, kind=kinds, n_weights=9, distance=0.0, n=40)
    names = ["exact_match", "answer_log_prob"]
    names += [f"untouched_{name}" for name in names]
    return measured(table, 0, 1, ablated=1, **dict.fromkeys(names, 1))


def turns() -> pd.DataFrame:
    subsets = [D5, D6, f"{D5}-{D6}", "D1_CONS_QA1", "D2_INCONS_QA2", "QA3"]
    cells = [("untreated", 0.0, "")]
    cells += [(name, 1.0, kind) for name, kinds in CONTROLS.items() for kind in ("", *kinds)]
    tables = [
        crossed(
            seed=SEEDS, subset=subsets, metric=["exact_match", "answer_log_prob"], after=[1, 2]
        ).assign(treatment=treatment, dose=dose, control_kind=kind)
        for treatment, dose, kind in cells
    ]
    return measured(pd.concat(tables, ignore_index=True).assign(distance=0.0), value=1, untreated=1)


def predictions() -> pd.DataFrame:
    table = crossed(seed=SEEDS, optimizer=["adamw", "sgd"], pairing=["own", "other_tag"])
    return measured(table.assign(row_a="a", row_b="b"), predicted=1, measured=1)


def metrics() -> pd.DataFrame:
    table = crossed(
        seed=SEEDS, stage=[1, 2], step=[0, 100], subset=[s.name for s in IML.subsets],
        metric=["exact_match", "answer_log_prob"],
    )  # fmt: skip
    table = table.assign(stage2_seed=0, question="all", n=40, epoch=table["step"] / 5)
    return measured(table, 0, 1, value=1)


def pattern(heads: int = 4, n_tokens: int = 5) -> pd.DataFrame:
    table = crossed(
        layer=[0, 1], head=range(heads), dest_pos=range(n_tokens), src_pos=range(n_tokens)
    )
    return table.assign(attention=1 / (1 + table["dest_pos"]))


def attributions() -> pd.DataFrame:
    table = crossed(component=["attn_out", "mlp_out"], layer=range(12), row=range(4))
    return measured(table.assign(subset=D5, quantity="centred logit"), logit=1)


def runs_side_by_side() -> go.Figure:
    runs = {
        name: [estimate({seed: level + seed / 50 for seed in SEEDS}) for level in (0.2, 0.5)]
        for name in ("runs/alias-toy", "runs/another-alias-toy")
    }
    panels = [
        Panel(title=unit, unit=unit, categories=["iml_gap", "stage1_gap"], runs=runs, twins=runs)
        for unit in ("exact match (share)", "answer log-probability (nats)")
    ]
    return plot_side_by_side(panels, title="Gaps of every run", what="gap")


def hypotheses() -> pd.DataFrame:
    names = ["Selective retrieval: the tag chooses where to store", "Strength", "Recency"]
    table = crossed(row=["direction", "length", "looks by mark"], hypothesis=names)
    table = table.assign(expected=["more", "none", "less"] * 3, is_core=[True, True, False] * 3)
    table = table.assign(**dict.fromkeys(("unit", "statement", "control_words"), "null twin"))
    table = table.assign(verdict=["supported", "refuted", "undecided"] * 3, n_seeds=8, margin=0.25)
    table = table.assign(whole=table["verdict"], seen=[3.0] * 3 + [float("nan")] * 3 + [9.0] * 3)
    return measured(table, control=1).assign(ci_low=table["seen"] - 1, ci_high=table["seen"] + 1)


def mediation() -> pd.DataFrame:
    aliases = [f"a{i}" for i in range(12)]
    table = crossed(seed=SEEDS, stage2_seed=[0, 1], subset=[D5, D6], alias=aliases)
    return measured(table, -3, 0, alignment=0.2, coefficient=0.3, answer_log_prob=1)


def orders() -> pd.DataFrame:
    names = ["gap", "twin", "recited", "alignment", "code", "probe"]
    table = crossed(seed=SEEDS, step=[0, 2, 5, 10, 21, 44, 94, 200], curve=names)
    noise = np.random.default_rng(0).normal(scale=0.05, size=len(table))
    return table.assign(value=np.log1p(table["step"]) * (table["curve"] != "twin") + noise)


def twins() -> pd.DataFrame:
    metrics = ["exact_match", "answer_log_prob"]
    table = crossed(seed=SEEDS, exchanged_in=[1, 2], metric=metrics)
    return measured(table, 0, 3, run=1, twin=1, paired=1)


def large_circuits() -> pd.DataFrame:
    return circuits_table(2, layers=9, heads=8, roles=("tag", "alias", "question", "other"))


FIGURES: dict[str, Callable[[], go.Figure]] = {
    "plot_ablation": lambda: plot_ablation(ablation(), [D5, D6]),
    "plot_alignment": lambda: plot_alignment(summarize_alignment(alignment())),
    "plot_alignment_modules": lambda: plot_alignment_modules(
        parts_of("gpt_neox.layers.0.mlp.dense_h_to_4h", "embed_in x lm_head")
    ),
    "plot_alignment_steps": lambda: plot_alignment_steps(
        summarize_alignment(pd.concat([alignment(step=n) for n in (0, 1, 2, 5, 10, 100, 200)]))
    ),
    "plot_alignment_tokens": lambda: plot_alignment_tokens(
        parts_of("tag x alias", "alias x question")
    ),
    "plot_attention": lambda: plot_attention(pattern(), TOKENS[:5], title="A row"),
    "plot_attention_contrast": lambda: plot_attention_contrast(attention(), D5, D6),
    "plot_attribution": lambda: plot_attribution(attributions()),
    "plot_attribution_patching": lambda: plot_attribution_patching(patching()),
    "plot_branches": lambda: plot_branches(branches()),
    "plot_circuit": lambda: plot_circuit(circuits_table(with_edges=True), "answer D5"),
    "plot_blocks": lambda: plot_blocks(blocks_table(), blocks_table(level=0.1)),
    "plot_circuit_tests": lambda: plot_circuit_tests(circuits_table()),
    "plot_code_edits": lambda: plot_code_edits(codes_table(), codes_table((0.02, 0.01))),
    "plot_codes": lambda: plot_codes(codes_table(), codes_table((0.02, -0.05, 0.01))),
    "plot_curves": lambda: plot_curves(metrics(), chance=0.1),
    "plot_dictionaries": lambda: plot_dictionaries(dictionaries_table()),
    "plot_directions": lambda: plot_directions(blocks_table(), blocks_table(has_norm=False)),
    "plot_disruption": lambda: plot_disruption(circuits_table()),
    "plot_erasure": lambda: plot_erasure(erasure()),
    "plot_feature_ablation": lambda: plot_feature_ablation(
        dictionaries_table(), dictionaries_table(lost=-0.2)
    ),
    "plot_features": lambda: plot_features(dictionaries_table(), dictionaries_table()),
    "plot_gaps": lambda: plot_gaps(summarize(metrics(), IML), IML, summarize(metrics(), IML)),
    "plot_heads": lambda: plot_heads(summarize_attention(attention()), subset=D5),
    "plot_inclusion": lambda: plot_inclusion(circuits_table()),
    "plot_ladder": lambda: plot_ladder(rungs_of_a_ladder(), ladder_contrasts(IML)),
    "plot_lens": lambda: plot_lens(lens(), guess=-2.0),
    "plot_lens_steps": lambda: plot_lens_steps(lens(steps=(0, 50, 200)), guess=-2.0),
    "plot_levels": lambda: plot_levels(levels_of_a_sweep(), "word_order", chance=0.1),
    "plot_matrix": lambda: plot_matrix(hypotheses()),
    "plot_necessity": lambda: plot_necessity(summarize_necessity(necessity()), necessity()),
    "plot_mediation": lambda: plot_mediation(mediation()),
    "plot_orders": lambda: plot_orders(orders()),
    "plot_patched_heads": lambda: plot_patched_heads(patching()),
    "plot_patching": lambda: plot_patching(patching()),
    "plot_places": lambda: plot_places(places(), {"a": "TAE", "b": "ATE (loss policy text)"}),
    "plot_predictions": lambda: plot_predictions(predictions(), by="optimizer"),
    "plot_probabilities": lambda: plot_probabilities(blocks_table(), blocks_table(level=0.1)),
    "plot_probes": lambda: plot_probes(probes()),
    "plot_rows": lambda: plot_rows(hypotheses()),
    "plot_side_by_side": runs_side_by_side,
    "plot_steps": lambda: plot_steps(curves_along_training(), title="Two hops along training"),
    "plot_spectrum": lambda: plot_spectrum(blocks_table(), blocks_table(level=0.1)),
    "plot_surgery": lambda: plot_surgery(surgery()),
    "plot_sweep_gaps": lambda: plot_sweep_gaps(gaps_of_a_sweep(), "word_order", IML.main),
    "plot_third_tag": lambda: plot_third_tag(third_tag_rows()),
    "plot_transfer": lambda: plot_transfer(circuits_table()),
    "plot_transplants": lambda: plot_transplants(transplants()),
    "plot_turns": lambda: plot_turns(summarize_turns(turns()), turns()),
    "plot_twins": lambda: plot_twins(twins()),
    "plot_weight_differences": lambda: plot_weight_differences(weight_differences()),
}
"""By the name of the function."""
LONG_FIGURES: dict[str, Callable[[], go.Figure]] = {
    "plot_ablation": lambda: plot_ablation(ablation(30, 9), [D5, D6]),
    "plot_attention": lambda: plot_attention(pattern(9, 10), TOKENS, title="A row"),
    "plot_circuit": lambda: plot_circuit(large_circuits(), "answer D5"),
    "plot_heads": lambda: plot_heads(summarize_attention(attention(16, 5)), subset=D5),
    "plot_lens": lambda: plot_lens(lens(30)),
    "plot_patched_heads": lambda: plot_patched_heads(patching(16, heads=5)),
    "plot_patching": lambda: plot_patching(patching(30, ROLES, heads=1)),
    "plot_places": lambda: plot_places(places(30), {"a": "TAE", "b": "ATE (loss policy text)"}),
    "plot_probes": lambda: plot_probes(probes(30, ROLES)),
}
"""Of models with many layers and heads, and of all roles."""
