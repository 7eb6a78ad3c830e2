import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from interp.alignment.analysis import gradient_options
from interp.alignment.pairs import AlignmentPair, PairMode, make_alignment_pairs
from interp.alignment.updates import OPTIMIZERS, UpdateAnalysis, measure_updates
from interp.grids.grid import Analysis
from training.examples import batch_loss, make_examples
from training.loop import StageTrainer
from training.runs.checkpoints import load_model
from training.runs.run import Run

SEED = 1000
RUN = {"recipe": "toy", "run_id": "0", "model": "m", "word_order": "tae", "stage": 1, "step": 9}


@pytest.fixture(scope="module")
def model(tiny_run: Run) -> PreTrainedModel:
    return load_model(tiny_run.checkpoint(SEED, 1))


@pytest.fixture(scope="module")
def pairs(tiny_run: Run) -> list[AlignmentPair]:
    rows, subsets = tiny_run.tokenized_rows(SEED), ("D5_CONS", "D6_CONS")
    return make_alignment_pairs(rows, PairMode.OWN, subsets=subsets, limit=2, seed=SEED)


def updates(
    run: Run, model: PreTrainedModel, pairs: list[AlignmentPair], learning_rate: float
) -> dict[str, pd.DataFrame]:
    config = replace(run.config.stage2, learning_rate=learning_rate)
    options = gradient_options(run, run.checkpoint(SEED, 1))
    table = measure_updates(model, pairs, options=options, config=config)
    return {str(name): rows for name, rows in table.groupby("optimizer")}


def test_what_sgd_does_to_first_order_is_what_the_gram_predicts(
    tiny_run: Run, model: PreTrainedModel, pairs: list[AlignmentPair]
):
    sgd = updates(tiny_run, model, pairs, 1e-3)["sgd"]
    scale = np.abs(sgd["predicted"].to_numpy()).max()
    assert sgd["first_order"].to_numpy() == pytest.approx(
        sgd["predicted"].to_numpy(), abs=1e-9 * scale
    )
    assert sgd["update_cosine"].to_numpy() == pytest.approx(sgd["grad_cosine"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_a_small_step_changes_losses_as_the_first_order_says(
    tiny_run: Run, model: PreTrainedModel, pairs: list[AlignmentPair], optimizer: str
):
    errors = []
    for learning_rate in (1e-5, 1e-6):
        rows = updates(tiny_run, model, pairs, learning_rate)[optimizer]
        error = np.abs(rows["measured"].to_numpy() - rows["first_order"].to_numpy()).max()
        errors.append(error / np.abs(rows["first_order"].to_numpy()).max())
    # What is left is of second order: ten times smaller at a tenth of the rate.
    assert errors[0] < 0.01
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.2)


def test_the_adamw_step_is_the_first_of_stage_2(
    tiny_run: Run, model: PreTrainedModel, pairs: list[AlignmentPair]
):
    config = tiny_run.config.stage2
    adamw = updates(tiny_run, model, pairs, config.learning_rate)["adamw"]
    pair = pairs[0]
    options = gradient_options(tiny_run, tiny_run.checkpoint(SEED, 1))
    trained = copy.deepcopy(model).double()
    one = make_examples([pair.definition], options.policy, end_token=options.end_token)
    asked = make_examples([pair.question], options.policy, end_token=options.end_token)
    before = batch_loss(trained, asked).item()
    StageTrainer(trained, one, config, order_seed=0).train_step()
    names = pair.definition.row.row_id, pair.question.row.row_id
    row = adamw.loc[(adamw["row_a"] == names[0]) & (adamw["row_b"] == names[1])].iloc[0]
    assert row["measured"] == pytest.approx(batch_loss(trained, asked).item() - before, abs=1e-10)


def test_the_model_is_left_as_it_was(
    tiny_run: Run, model: PreTrainedModel, pairs: list[AlignmentPair]
):
    def state() -> tuple[object, ...]:
        return (
            [(name, p.detach().numpy().tobytes(), p.grad) for name, p in model.named_parameters()],
            model.training,
            model.dtype,
            torch.get_rng_state().numpy().tobytes(),
        )

    before = state()
    updates(tiny_run, model, pairs[:2], 1e-3)
    assert state() == before


@pytest.fixture
def table() -> pd.DataFrame:
    """Two seeds; predictions of own pairs are right, those of matched pairs the wrong way round."""
    rows = [
        RUN
        | {"seed": seed, "optimizer": "sgd", "subset": subset, "pairing": pairing}
        | {"row_a": f"{subset}{i}", "row_b": f"q{i}", "grad_cosine": 0.1, "update_cosine": cosine}
        | {"predicted": float(i), "first_order": 0.0, "measured": float(i if is_right else -i)}
        for seed in (0, 1)
        for pairing, is_right in (("own", True), ("other_tag", False))
        for subset, cosine in (("D5_CONS", 0.5), ("D6_CONS", 0.2))
        for i in range(3)
    ]
    return pd.DataFrame(rows)


def summarized(
    analysis: UpdateAnalysis, table: pd.DataFrame
) -> Callable[[str, str, str], dict[str, float]]:
    summary = analysis.summarize(table)

    def cell(subset: str, pairing: str, quantity: str) -> dict[str, float]:
        is_chosen = (summary["subset"] == subset) & (summary["pairing"] == pairing)
        rows = summary.loc[is_chosen & (summary["quantity"] == quantity)]
        assert len(rows) == 1
        return rows.iloc[0].to_dict()

    return cell


def test_the_summary_correlates_by_kind_of_pair_and_compares_tags(
    tiny_run: Run, table: pd.DataFrame
):
    cell = summarized(UpdateAnalysis(folder=tiny_run.folder), table)
    assert cell("all", "own", "correlation_predicted")["value"] == pytest.approx(1.0)
    assert cell("all", "matched", "correlation_predicted")["value"] == pytest.approx(-1.0)
    assert cell("all", "all", "correlation_predicted")["value"] == pytest.approx(0.0)
    assert cell("all", "own", "correlation_first_order")["value"] == 0.0
    gap = cell("D5_CONS-D6_CONS", "own", "update_cosine")
    assert gap["value"] == pytest.approx(0.3)
    assert (gap["n"], gap["n_seeds"]) == (12, 2)


def test_it_is_an_analysis(tiny_run: Run):
    assert isinstance(UpdateAnalysis(folder=tiny_run.folder), Analysis)
