"""Two hops along training: each measure is what its own tool says, by the way that is slower."""

import numpy as np
import pytest
import torch

from data.pairs import PairKind, make_pairs
from data.tokens import TokenizedRow
from interp.figures.step_plots import COLUMNS, plot_steps
from interp.hooked.addresses import TokenRole
from interp.hooked.model import HookedModel
from interp.patching import hops
from interp.patching.hops import CONTROLS, hops_along, hops_at
from training.material import SeedMaterial
from training.models.scratch import ModelConfig
from training.recipes import find_recipe


@pytest.fixture(scope="module")
def material() -> SeedMaterial:
    recipe = find_recipe("two-hop")
    return SeedMaterial.build(recipe(**recipe.smoke), 0)


@pytest.fixture(scope="module")
def model(material: SeedMaterial) -> HookedModel:
    config = ModelConfig(
        n_layers=2, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True, rotary_pct=0.5,
        parallel_residual=False,
    )  # fmt: skip
    plain = config.make(material.tokenizer, seed=1, max_length=8)
    with torch.no_grad():  # weights that do something
        for weights in plain.parameters():
            weights.mul_(8)
    return HookedModel(plain, material.tokenizer)


def test_each_measure_is_what_one_pass_and_the_models_own_end_say(
    model: HookedModel, material: SeedMaterial
) -> None:
    found = hops_at(model, material.rows, subset="ID", seed=0)
    asked = [r for r in material.rows if r.row.is_evaluated and r.row.subset.name == "ID"]
    bridge, relation = [], []
    for row in asked:
        stream = _stream(model, row)
        said = model.unembed(stream).log_softmax(-1)
        (token,) = material.tokenizer(row.row.entity).input_ids
        bridge.append(said[1, token].item())
        relation.append(said[2, row.input_ids[2]].item())
    assert np.isclose(found["bridge"], np.mean(bridge), atol=1e-5)
    assert np.isclose(found["second relation"], np.mean(relation), atol=1e-5)


def test_causal_strength_is_the_share_of_the_difference_that_goes_with_the_stream(
    model: HookedModel, material: SeedMaterial
) -> None:
    found = hops_at(model, material.rows, subset="ID", seed=0)
    pairs = make_pairs(material.rows, PairKind.ALIAS, subset="ID", limit=hops.MOST_PAIRS, seed=0)
    changes, gaps = [], []
    for pair in pairs:
        answers = [r.input_ids[r.answer_positions[0]] for r in (pair.clean, pair.corrupted)]
        donor = _stream(model, pair.clean)[1]

        def difference(row: TokenizedRow, put=None, answers=answers) -> float:
            def hook(value, hook):
                if put is not None:
                    value[0, TokenRole.ALIAS_LAST.position(row)] = put
                return value

            tokens = torch.tensor([row.input_ids[: row.answer_positions[0]]])
            with model.hooks([("blocks.1.hook_resid_pre", hook)]):
                logits = model.logits(tokens)
            return (logits[0, -1, answers[0]] - logits[0, -1, answers[1]]).item()

        base = difference(pair.corrupted)
        changes.append(difference(pair.corrupted, donor) - base)
        gaps.append(difference(pair.clean) - base)
    assert np.isclose(found["causal strength"], np.mean(changes) / np.mean(gaps), atol=1e-4)


@pytest.mark.slow
def test_along_a_run_there_is_a_value_for_each_seed_step_and_measure(tmp_path) -> None:
    from interp.own.runs import open_or_train

    run = open_or_train(tmp_path / "run", "two-hop", settings=find_recipe("two-hop").smoke,
                        n_seeds=1)  # fmt: skip
    table = hops_along(run)
    steps = run.steps(1000, 1)
    assert len(table) == len(steps) * 7
    assert set(COLUMNS) == set(table.columns)
    controls = set(table.loc[table["is_control"], "name"])
    assert controls == {"OOD", *CONTROLS.values()}
    assert not table["value"].isna().to_numpy().any()
    assert len(plot_steps(table, title="x").data) >= 7


def _stream(model: HookedModel, row: TokenizedRow) -> torch.Tensor:
    """The stream before layer 1 at each token of the prompt."""
    tokens = torch.tensor([row.input_ids[: row.answer_positions[0]]])
    _, cache = model.run_with_cache(tokens, ["blocks.1.hook_resid_pre"])
    return cache["blocks.1.hook_resid_pre"][0]
