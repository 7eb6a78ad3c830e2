"""What is found of circuits that were written by hand, and of models without one."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from interp.circuits.ablated import AblatedRows
from interp.circuits.edges import AblatedEdges, edges_of
from interp.circuits.matched import matched_circuits
from interp.circuits.ranks import randomized_rank_p, rank_p
from interp.circuits.scores import ScoreMethod, unit_scores
from interp.circuits.units import units_of
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from interp.planted.hand_written import HandWritten, planted_circuit, without_circuit

MEAN = AblationKind.MEAN
CHOSEN = 6


@cache
def written(seed: int) -> tuple[HandWritten, UnrolledModel]:
    made = planted_circuit(seed)
    return made, UnrolledModel(HookedModel.from_hf(made.model))


def test_the_circuit_carries_the_answer_and_nothing_else_does():
    made, unrolled = written(0)
    units = units_of(unrolled.model, made.rows)
    truth = torch.tensor([unit in made.units for unit in units])
    ablated = AblatedRows(unrolled, made.rows, units, MEAN)
    whole, without, alone = ablated.answers(torch.stack([truth & False, truth, ~truth]))
    assert whole[:, 0].mean() == 1.0
    assert without[:, 0].mean() < 0.2
    assert (alone[:, 1] - whole[:, 1]).abs().mean() <= 0.01
    scores = unit_scores(ablated, ScoreMethod.EXACT).mean(0)
    assert scores[~truth].abs().max() <= 0.01 < scores[truth].min()


def test_what_is_not_of_the_circuit_changes_the_stream():
    made, unrolled = written(0)
    tokens = torch.tensor([row.input_ids for row in made.rows])
    trace = unrolled.trace(tokens)
    held = {(unit.layer, unit.head) for unit in made.units}
    sizes, mlps = {True: [], False: []}, []
    for layer in range(unrolled.n_layers):
        spread = (trace["z"][layer] - trace["z"][layer].mean(0))[:, [0, 2]]
        said = torch.einsum("bphk,hkd->bphd", spread, unrolled.W_O[layer]).norm(dim=-1)
        for head in range(said.shape[2]):
            sizes[(layer, head) in held].append(said[:, :, head].mean().item())
        mlp = trace["mlp_out"][layer] - trace["mlp_out"][layer].mean(0)
        mlps.append(mlp[:, [0, 2]].norm(dim=-1).mean().item())
    # Heads outside it say a twentieth of what those in it do, MLPs a fifth and more.
    assert min(sizes[False]) > 0.01
    assert min(mlps) > 0.1 * np.median(sizes[True])


@pytest.mark.parametrize("method", [ScoreMethod.EXACT, ScoreMethod.EAP_IG])
def test_planted_units_stand_above_all_others(method: ScoreMethod):
    made, unrolled = written(1)
    units = units_of(unrolled.model, made.rows)
    scores = unit_scores(AblatedRows(unrolled, made.rows, units, MEAN), method).mean(0)
    assert roc_auc_score([unit in made.units for unit in units], scores.abs()) >= 0.95


@pytest.mark.parametrize(
    "method", [pytest.param(ScoreMethod.EXACT, marks=pytest.mark.slow), ScoreMethod.EAP_IG]
)
def test_planted_edges_stand_above_all_others(method: ScoreMethod):
    made, unrolled = written(1)
    edges = edges_of(unrolled.model)
    scores = unit_scores(AblatedEdges(unrolled, made.rows[::8], edges, MEAN), method, ig_steps=5)
    truth = [edge in made.edges for edge in edges]
    assert sum(truth) == len(made.edges)
    assert roc_auc_score(truth, scores.mean(0).abs()) >= 0.95


def test_disruption_of_the_planted_circuit_is_beyond_matched_ones():
    made, unrolled = written(0)
    rows = made.rows[::4]
    units = units_of(unrolled.model, rows)
    truth = torch.tensor([unit in made.units for unit in units])
    null = matched_circuits(truth, units, np.zeros((len(units), 1)))
    assert len(null.sets) == 500
    answers = AblatedRows(unrolled, rows, units, MEAN).answers(torch.cat([truth[None], null.sets]))
    lost = -answers[..., 1].mean(1).numpy()
    assert rank_p(lost[0], lost[1:]) <= 0.01


def null_p(seed: int, *, same_task: bool) -> float:
    """Of the circuit chosen for half of the names, disruption of the other half, or of its own."""
    made = without_circuit(seed)
    unrolled = UnrolledModel(HookedModel.from_hf(made.model))
    rows = made.rows[::4]
    half = len(rows) // 2
    units = units_of(unrolled.model, rows)
    on, tested = (rows[:half:2], rows[1:half:2]) if same_task else (rows[:half], rows[half:])
    scores = unit_scores(AblatedRows(unrolled, on, units, MEAN), ScoreMethod.EXACT).mean(0)
    circuit = torch.zeros(len(units), dtype=torch.bool)
    circuit[scores.argsort(descending=True)[:CHOSEN]] = True
    null = matched_circuits(circuit, units, np.zeros((len(units), 1)), n=150, seed=seed)
    sets = torch.cat([circuit[None], null.sets])
    lost = -AblatedRows(unrolled, tested, units, MEAN).answers(sets)[..., 1].mean(1).numpy()
    return randomized_rank_p(lost[0], lost[1:], np.random.default_rng(seed))


@pytest.mark.slow
def test_a_circuit_tested_on_what_it_was_chosen_for_has_a_small_p_without_being_special():
    assert max(null_p(seed, same_task=True) for seed in range(3)) <= 0.05


@pytest.mark.slow
def test_disruption_keeps_its_level_where_no_part_is_special():
    ps = [null_p(seed, same_task=False) for seed in range(200)]
    assert np.mean(np.array(ps) <= 0.05) <= 0.09
    assert kstest(ps, "uniform").pvalue > 0.01
