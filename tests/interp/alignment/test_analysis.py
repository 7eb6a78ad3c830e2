import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy, Role
from interp.alignment.analysis import (
    COORDINATES,
    AlignmentAnalysis,
    Components,
    measure_alignment,
    position_roles,
)
from interp.alignment.pairs import AlignmentPair, PairMode, make_alignment_pairs
from interp.alignment.steps import alignment_over_steps
from interp.gradients.gram import GradientOptions
from interp.grids.grid import Analysis, Measured, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.model import HookedModel, load_hooked
from interp.hooked.sites import choose_sites
from training.examples import batch_loss, make_examples
from training.files import write_manifest
from training.runs.run import Run

MakeRows = Callable[..., list[TokenizedRow]]
SEED = 1000
WIDE = ["row_a", "row_b", "pairing", "component"]


@pytest.fixture(scope="module")
def pairs(toy_rows: MakeRows) -> list[AlignmentPair]:
    subsets = ("D5_CONS", "D6_CONS")
    return make_alignment_pairs(toy_rows(), PairMode.OWN, subsets=subsets, limit=3, seed=0)


@pytest.fixture(scope="module")
def model(pairs: list[AlignmentPair], random_model: Callable[[str], PreTrainedModel]):
    """Tied, random, in double precision, and large enough for the toy's words."""
    plain = random_model("neox-sequential")
    n_words = 1 + max(max(p.definition.input_ids + p.question.input_ids) for p in pairs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain.resize_token_embeddings(n_words, mean_resizing=False)
        embedding = plain.get_input_embeddings().weight
        assert isinstance(embedding, torch.Tensor)
        torch.nn.init.normal_(embedding, std=0.3)
    return plain.double()


def gradient(model: PreTrainedModel, row: TokenizedRow, policy: LossPolicy) -> torch.Tensor:
    """All parameters' gradient of a row's loss, by autograd."""
    examples = make_examples([row], policy, end_token=1, block_size=8, repeat=False)
    found = torch.autograd.grad(batch_loss(model, examples), list(model.parameters()))
    return torch.cat([each.flatten() for each in found])


@pytest.mark.parametrize("policy", list(LossPolicy))
def test_the_three_measures_are_those_of_autograd(
    model: PreTrainedModel, pairs: list[AlignmentPair], policy: LossPolicy
):
    options = GradientOptions(policy=policy, end_token=1, block_size=8)
    table = measure_alignment(model, pairs, options=options)
    keys = zip(*(table[name] for name in (*WIDE, "measure")), strict=True)
    found = dict(zip(keys, table["value"].tolist(), strict=True))
    assert len(found) == 3 * len(pairs)
    for pair in pairs:
        a, b = (gradient(model, each, policy) for each in (pair.definition, pair.question))
        names = pair.definition.row.row_id, pair.question.row.row_id, str(pair.pairing), "all"
        norms = float(a.norm() * b.norm())
        assert found[*names, "grad_dot"] == pytest.approx(float(a @ b), abs=1e-12 * norms)
        assert found[*names, "grad_cosine"] == pytest.approx(float(a @ b) / norms, abs=1e-12)
        distance = float((a - b).square().sum())
        assert found[*names, "grad_sqdist"] == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize("components", [Components.MODULE, Components.TOKENS])
def test_parts_sum_to_the_whole(
    model: PreTrainedModel, pairs: list[AlignmentPair], components: Components
):
    options = GradientOptions(policy=LossPolicy.TEXT, end_token=1)
    table = measure_alignment(model, pairs, options=options, components=components)
    for measure in ("grad_dot", "grad_cosine"):
        rows = table.loc[table["measure"] == measure]
        is_whole = rows["component"] == "all"
        sums = rows.loc[~is_whole].groupby(WIDE[:3])["value"].sum()
        whole = rows.loc[is_whole].set_index(WIDE[:3])["value"]
        assert rows["component"].nunique() > 5
        pd.testing.assert_series_equal(
            sums.sort_index(), whole.sort_index(), check_exact=False, rtol=1e-9, atol=1e-12
        )


def test_token_parts_are_named_after_the_roles_of_both_texts(
    model: PreTrainedModel, pairs: list[AlignmentPair]
):
    options = GradientOptions(policy=LossPolicy.ANSWER)
    table = measure_alignment(model, pairs, options=options, components=Components.TOKENS)
    found = set(table["component"]) - {"all"}
    # A definition "tag alias is entity" predicts its entity from the words before it.
    assert found == {
        f"{a} x {b}" for a in ("tag", "alias", "word") for b in ("word", "alias", "question")
    }


def test_token_roles_name_every_position(pairs: list[AlignmentPair]):
    assert position_roles(pairs[0].definition, 6)[:3] == ["tag", "alias", "word"]
    assert position_roles(pairs[0].definition, 6)[4:] == ["end", "end"]
    assert position_roles(pairs[0].question, 2) == ["word", str(Role.ALIAS)]


def test_chosen_and_all_pairs_give_the_same_numbers(model: PreTrainedModel, toy_rows: MakeRows):
    options = GradientOptions(policy=LossPolicy.ANSWER)
    every = make_alignment_pairs(toy_rows(), PairMode.ALL, subsets=("D5_CONS",), limit=3, seed=0)
    together = measure_alignment(model, every, options=options)
    chosen = measure_alignment(model, every[:-1], options=options)
    both = together.merge(chosen, on=[*WIDE, "measure"], validate="one_to_one")
    assert len(both) == len(chosen)
    assert both["value_x"].to_numpy() == pytest.approx(both["value_y"].to_numpy(), rel=1e-9)


def test_gradients_that_are_not_finite_are_refused(
    model: PreTrainedModel, pairs: list[AlignmentPair]
):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        next(iter(broken.parameters()))[pairs[0].question.input_ids[1]] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        measure_alignment(broken, pairs, options=GradientOptions(policy=LossPolicy.ANSWER))


def test_no_pairs_are_refused(model: PreTrainedModel):
    with pytest.raises(InputError, match="no pairs"):
        measure_alignment(model, [], options=GradientOptions(policy=LossPolicy.ANSWER))


@pytest.fixture(scope="module")
def opened(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, SEED, 1)


def measured(run: Run, model: HookedModel, **changes: object) -> Measured:
    analysis = replace(AlignmentAnalysis(folder=run.folder, limit=2), **changes)  # pyright: ignore[reportArgumentType]
    rows = run.tokenized_rows(SEED)
    return analysis.measure(model, rows, choose_sites(model, None, None), seed=SEED)


def test_it_is_an_analysis_and_its_table_has_the_contract_s_columns(
    tiny_run: Run, opened: HookedModel
):
    assert isinstance(AlignmentAnalysis(folder=tiny_run.folder), Analysis)
    table = measured(tiny_run, opened).table
    contract = {"row_a", "row_b", "subset", "pairing", "component", "loss_policy", "measure"}
    assert {*contract, "value"} <= set(table.columns)
    assert not table.duplicated(COORDINATES).any()
    assert set(table["subset"]) == {"D5_CONS", "D6_CONS", "D1_CONS_QA1", "D2_INCONS_QA2"}
    assert set(table["loss_policy"]) == {"answer"}
    known = set(tiny_run.rows(SEED)["row_id"])
    assert set(table["row_a"]) | set(table["row_b"]) <= known


def test_another_loss_policy_gives_other_gradients_under_its_name(
    tiny_run: Run, opened: HookedModel
):
    own, text = (
        measured(tiny_run, opened, loss_policy=policy).table for policy in (None, LossPolicy.TEXT)
    )
    assert set(text["loss_policy"]) == {"text"}
    assert np.abs(own["value"].to_numpy() - text["value"].to_numpy()).max() > 0.01


def test_it_changes_nothing_also_when_it_raises(
    tiny_run: Run, opened: HookedModel, state_of: Callable[[HookedModel], tuple[object, ...]]
):
    before = state_of(opened)
    measured(tiny_run, opened)
    with pytest.raises(InputError):
        measured(tiny_run, opened, subsets=("QA3",))
    assert state_of(opened) == before


def test_a_view_of_another_checkpoint_is_refused(tiny_run: Run, opened: HookedModel):
    with pytest.raises(InputError, match="another checkpoint"):
        measured(tiny_run, opened, stage=2)


def test_a_damaged_model_leaves_the_folder_as_it_was(
    copied_run: Path, tree_hash: Callable[[Path], dict[str, str]]
):
    run = Run.load(copied_run)
    checkpoint = run.checkpoint(SEED, 1)
    weights = load_file(checkpoint / "model.safetensors")
    name = next(name for name in weights if "final_layer_norm.weight" in name)
    weights[name] = torch.full_like(weights[name], torch.inf)
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    write_manifest(checkpoint, [p for p in checkpoint.iterdir() if p.name != "manifest.json"])
    before = tree_hash(copied_run)
    analysis = AlignmentAnalysis(folder=copied_run, limit=1)
    with pytest.raises(InputError, match="not finite"):
        run_grid(analysis, GridSelection(runs=(run,), seeds=(SEED,)), workers=1)
    assert tree_hash(copied_run) == before


@pytest.mark.slow
def test_every_checkpoint_of_both_stages_is_measured(copied_run: Path):
    run = Run.load(shutil.copytree(copied_run, copied_run.parent / "steps"))
    analysis = AlignmentAnalysis(folder=run.folder, limit=2, subsets=("D5_CONS", "D6_CONS"))
    summary = alignment_over_steps(run, analysis, seeds=(SEED,), workers=1)
    found = set(zip(summary["stage"].tolist(), summary["step"].tolist(), strict=True))
    assert found == {(stage, step) for stage in (1, 2) for step in run.steps(SEED, stage)}
    table = pd.read_parquet(run.folder / "alignment.parquet")
    assert set(zip(table["stage"].tolist(), table["step"].tolist(), strict=True)) == found
