import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tasks.iml import D5_CONS, D6_CONS
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.model import HookedModel, load_hooked
from interp.transplants.differences import (
    MEASURED,
    WeightDifferenceAnalysis,
    halves,
    matrix_ranks,
    measure_changes,
    measure_overlaps,
    modules_of,
    train_on_definitions,
)
from interp.transplants.parts import weights_of
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> list[TokenizedRow]:
    return tiny_run.tokenized_rows(SEED)


def test_ranks_are_those_of_the_singular_values():
    stable, entropy = matrix_ranks(torch.diag(torch.tensor([3.0, 1.0])))

    assert stable == pytest.approx(10 / 9)
    shares = (0.75, 0.25)
    assert entropy == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))


def test_an_outer_product_has_rank_1():
    matrix = torch.outer(torch.arange(1.0, 6.0), torch.tensor([1.0, -2.0, 0.5]))

    assert matrix_ranks(matrix) == pytest.approx((1, 1), abs=1e-4)


def test_changes_by_hand():
    before = {"a": torch.tensor([[3.0, 4.0], [0.0, 0.0]]), "b": torch.tensor([0.0, 12.0])}
    after = {"a": torch.tensor([[3.0, 4.0], [0.0, 2.0]]), "b": torch.tensor([1.5, 12.0])}
    modules = {"both": ["a", "b"], "matrix": ["a"], "vector": ["b"]}
    found = measure_changes(before, after, modules).set_index("module")

    assert found["n_parameters"].tolist() == [6, 4, 2]
    assert found["norm"].tolist() == pytest.approx([2.5, 2, 1.5])
    assert found["relative_norm"].tolist() == pytest.approx([2.5 / 13, 2 / 5, 1.5 / 12])
    assert found.loc["matrix", ["stable_rank", "entropy_rank"]].tolist() == pytest.approx([1, 1])
    assert np.isnan(found.loc[["both", "vector"], ["stable_rank", "entropy_rank"]]).to_numpy().all()


def test_no_change_has_no_rank():
    same = {"a": torch.eye(2)}
    found = measure_changes(same, same, {"a": ["a"]})

    assert found["norm"].tolist() == [0]
    assert np.isnan(found["stable_rank"].to_numpy()).all()


@pytest.mark.parametrize("name", ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"])
def test_every_matrix_of_the_blocks_is_a_module(
    name: str, random_model: Callable[[str], PreTrainedModel]
):
    model = random_model(name)
    modules = modules_of(model)
    single = [names[0] for names in modules.values() if len(names) == 1]
    matrices = [n for n, weight in weights_of(model).items() if weight.ndim == 2]

    assert {n for n in matrices if ".0." in n or ".1." in n} <= set(single)
    assert sorted(modules["all"]) == sorted(weights_of(model))


def test_halves_share_no_alias_and_are_of_trained_definitions(rows: list[TokenizedRow]):
    first, second = halves(rows, D5_CONS, seed=1)
    definitions = [
        r for r in rows if r.row.subset.name == "D5_CONS" and r.row.kind is Kind.DEFINITION
    ]

    assert len(first) == len(second) == len(definitions) // 2
    assert not {r.row.alias for r in first} & {r.row.alias for r in second}
    assert {r.row.row_id for r in [*first, *second]} <= {r.row.row_id for r in definitions}
    assert halves(rows, D5_CONS, seed=1) == (first, second)
    assert halves(rows, D5_CONS, seed=2) != (first, second)


def test_training_learns_the_definitions_and_leaves_the_model(
    tiny_run: Run, rows: list[TokenizedRow]
):
    model = load_model(tiny_run.checkpoint(SEED, 1))
    before = {name: weight.clone() for name, weight in weights_of(model).items()}
    random_state = torch.get_rng_state()
    chosen, _ = halves(rows, D5_CONS, seed=0)
    change = train_on_definitions(model, chosen, tiny_run.config, order_seed=1)

    assert all(torch.equal(before[name], weight) for name, weight in weights_of(model).items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), random_state)
    evaluation = EvaluationSet.of(chosen)
    losses = [np.mean(answer_metrics(model, evaluation)["loss"].to_numpy())]
    model.load_state_dict({n: before[n] + change[n] for n in before}, strict=False)
    losses.append(np.mean(answer_metrics(model, evaluation)["loss"].to_numpy()))
    assert losses[1] < losses[0]


def test_overlaps_are_cosines_of_the_trained_changes(tiny_run: Run, rows: list[TokenizedRow]):
    """Against a plain loop in float64, of one module."""
    from training.seeds import derive_seed

    model = load_model(tiny_run.checkpoint(SEED, 1))
    modules = {"block.0": modules_of(model)["block.0"], "embeddings": ["gpt_neox.embed_in.weight"]}
    found = measure_overlaps(model, rows, tiny_run.config, modules, seed=5).set_index("module")
    vectors = {}
    for subset in (D5_CONS, D6_CONS):
        for i, half in enumerate(halves(rows, subset, seed=5)):
            order_seed = derive_seed(5, f"half {i} of {subset.name}")
            change = train_on_definitions(model, half, tiny_run.config, order_seed=order_seed)
            for module, names in modules.items():
                flat = [change[name].numpy().astype(np.float64).ravel() for name in names]
                vectors[module, subset.name, i] = np.concatenate(flat)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    for module in modules:
        d5, d6 = ([vectors[module, name, i] for i in (0, 1)] for name in ("D5_CONS", "D6_CONS"))
        same = (cosine(*d5) + cosine(*d6)) / 2
        other = sum(cosine(a, b) for a in d5 for b in d6) / 4
        row = found.loc[module]
        assert row["cosine_same_tag"] == pytest.approx(same)
        assert row["cosine_other_tag"] == pytest.approx(other)
        norms = [np.mean([np.linalg.norm(v) for v in of_tag]) for of_tag in (d5, d6)]
        assert [row["norm_reliable"], row["norm_unreliable"]] == pytest.approx(norms)


def test_one_definition_has_no_halves(rows: list[TokenizedRow]):
    definitions = [r for r in rows if r.row.subset.name == "D6_CONS"]
    alias = definitions[0].row.alias
    with pytest.raises(InputError, match="D6_CONS has 1 aliases with definitions"):
        halves([r for r in definitions if r.row.alias == alias], D6_CONS, seed=0)


def test_the_table_over_seeds(copied_run: Path):
    run = Run.load(copied_run)
    analysis = WeightDifferenceAnalysis(folder=run.folder)
    table, summary = run_grid(analysis, GridSelection(runs=(run,), stage=2), workers=1)

    assert list(table.columns[7:]) == ["module", *MEASURED]
    assert len(table) == 2 * len(modules_of(load_model(run.checkpoint(SEED, 1))))
    before, after = (weights_of(load_model(run.checkpoint(SEED, stage))) for stage in (1, 2))
    squares = sum((after[n] - before[n]).double().square().sum().item() for n in before)
    of_all = table.loc[(table["module"] == "all") & (table["seed"] == SEED), "norm"]
    assert of_all.tolist() == pytest.approx([math.sqrt(squares)])
    row = summary.loc[summary["module"] == "blocks"].iloc[0]
    seeds = table.loc[table["module"] == "blocks"]
    gaps = seeds["cosine_same_tag"] - seeds["cosine_other_tag"]
    assert row["difference"] == pytest.approx(gaps.mean())
    assert row["n_seeds"] == 2
    pd.testing.assert_frame_equal(
        pd.read_parquet(run.folder / "weight_differences_summary.parquet"), summary
    )


def test_the_hooked_model_stays_as_it_is(
    tiny_run: Run,
    rows: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    analysis = WeightDifferenceAnalysis(folder=tiny_run.folder)
    assert isinstance(analysis, Analysis)
    model = load_hooked(tiny_run, seed=SEED, stage=2)
    before = state_of(model)

    analysis.measure(model, rows, [], seed=SEED)
    assert state_of(model) == before

    def fail(self: object) -> float:
        raise FloatingPointError("diverged")

    monkeypatch.setattr("training.loop.StageTrainer.train_step", fail)
    with pytest.raises(FloatingPointError):
        analysis.measure(model, rows, [], seed=SEED)
    assert state_of(model) == before


def test_a_grid_of_stage_1_is_an_error(tiny_run: Run, rows: list[TokenizedRow]):
    model = load_hooked(tiny_run, seed=SEED, stage=1)
    with pytest.raises(InputError, match="another checkpoint than the analysis names"):
        WeightDifferenceAnalysis(folder=tiny_run.folder).measure(model, rows, [], seed=SEED)
