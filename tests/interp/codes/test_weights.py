from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from interp.codes.aliases import CodedAliases
from interp.codes.directions import directions_of
from interp.codes.places import CodePlace
from interp.codes.projected import EMBEDDING, ChangedWeights, within, writers_of
from interp.codes.written import written_by_change
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import load_hooked
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def aliases(tiny_run: Run) -> CodedAliases:
    return CodedAliases.of(tiny_run.tokenized_rows(SEED), tiny_run.design)


@pytest.fixture(scope="module")
def weights(tiny_run: Run, aliases: CodedAliases) -> ChangedWeights:
    few = aliases.compared[:3]
    return ChangedWeights(
        before=load_model(tiny_run.checkpoint(SEED, 1)),
        after=load_model(tiny_run.checkpoint(SEED, 2)),
        rows=[row for alias in few for row in alias.questions],
        owner=[at for at, alias in enumerate(few) for _ in alias.questions],
        stop_token=None,
    )


def block_output(model: PreTrainedModel, layer: int, stream: torch.Tensor) -> torch.Tensor:
    """A block's output for one prompt, without any hook."""
    neox: Any = model.base_model
    positions = torch.arange(stream.shape[1])[None]
    rotary = neox.rotary_emb(stream, positions)
    mask = torch.full((stream.shape[1],) * 2, -torch.inf).triu(1)[None, None]
    out = neox.layers[layer](stream, attention_mask=mask, position_embeddings=rotary)
    return out[0] if isinstance(out, tuple) else out


@torch.no_grad()
def test_what_changed_weights_write_is_a_blocks_change_on_the_same_stream(
    tiny_run: Run, aliases, weights
):
    few = aliases.compared[:2]
    layer = 1
    place = CodePlace(site=Site("resid_post", layer), role=TokenRole.ALIAS_LAST, is_weights=True)
    before, after = (load_hooked(tiny_run, SEED, stage) for stage in (1, 2))
    found = written_by_change(before, after, few, place)
    for alias in few:
        each = []
        for row in alias.questions:
            tokens: Any = torch.tensor([row.input_ids])
            stream = weights.after(tokens, output_hidden_states=True).hidden_states[layer]
            at = row.spans["alias"][1]
            later, earlier = (
                block_output(model, layer, stream)[0, at]
                for model in (weights.after, weights.before)
            )
            each.append((later - earlier).numpy())
        np.testing.assert_allclose(found[alias.name], np.mean(each, axis=0), atol=1e-5)
        assert np.abs(found[alias.name]).max() > 1e-4


def test_weights_that_did_not_change_write_nothing(tiny_run: Run, aliases):
    model = load_hooked(tiny_run, SEED, 2)
    place = CodePlace(site=Site("resid_post", 0), role=TokenRole.ALIAS_LAST, is_weights=True)
    for vector in written_by_change(model, model, aliases.compared[:2], place).values():
        assert not vector.any()


def answers(model: PreTrainedModel, weights: ChangedWeights) -> np.ndarray:
    """As the run's evaluation has them, by alias."""
    evaluation = EvaluationSet.of(weights.rows)
    table = answer_metrics(model, evaluation)
    owner = dict(zip((id(row) for row in weights.rows), weights.owner, strict=True))
    by_alias = table.groupby([owner[id(row)] for row in evaluation.rows])
    names = ("exact_match", "answer_log_prob")
    return np.stack([np.asarray(by_alias[name].mean()) for name in names], axis=1)


def test_without_any_direction_the_model_answers_as_trained(weights):
    np.testing.assert_allclose(weights.without({}, {}), answers(weights.after, weights), atol=1e-5)


@pytest.mark.parametrize("group", [EMBEDDING, 1])
def test_with_every_direction_projected_out_a_group_is_what_it_was_before(weights, group: int):
    everything = {group: np.eye(weights.after.config.hidden_size)}
    found = weights.without(everything, everything)

    expected = load_model(Path(weights.after.name_or_path))
    if group == EMBEDDING:  # of the tied matrix only what is read on entering the stream
        table = weights.before.get_input_embeddings().weight.detach()
        expected.get_input_embeddings().weight = torch.nn.Parameter(table.clone())
    names = [w.name for w in writers_of(expected) if w.group == group]
    with torch.no_grad():
        for name in names:
            expected.get_parameter(name).copy_(weights.before.get_parameter(name))
    np.testing.assert_allclose(found, answers(expected, weights), atol=1e-5)
    assert np.abs(found - weights.without({}, {})).max() > 1e-5  # and the copy is whole again
    np.testing.assert_allclose(weights.without({}, {}), answers(weights.after, weights), atol=1e-5)


def test_a_null_removes_a_change_of_the_same_norm(weights):
    basis = np.linalg.qr(
        np.random.default_rng(0).normal(size=(weights.after.config.hidden_size,) * 2)
    )[0].T
    own, other = basis[:3], basis[3:6]
    parts = [torch.cat([part.flatten() for _, part in weights._removed({0: own}, {0: tried})])
             for tried in (own, other)]  # fmt: skip
    assert parts[0].norm() == pytest.approx(float(parts[1].norm()), rel=1e-5)
    assert parts[0].norm() > 0
    assert abs(float(parts[0] @ parts[1])) < 1e-5 * float(parts[0].norm()) ** 2


def test_what_lies_within_directions_is_of_the_output_side():
    change = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    first = np.array([[1.0, 0.0]])
    assert within(change, first, 0).tolist() == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    third = np.array([[0.0, 0.0, 1.0]])
    assert within(change, third, 1).tolist() == [[0.0, 0.0, 3.0], [0.0, 0.0, 6.0]]


def test_directions_hold_most_of_a_code():
    code = np.diag([3.0, 2.0, 0.1])
    assert len(directions_of(code)) == 2
    assert np.abs(directions_of(code)).round(6).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert len(directions_of(code, 1)) == 1


def test_the_matrices_that_write_are_found_in_gpt2_too():
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, n_inner=16, vocab_size=5))
    found = {(w.name.removeprefix("transformer."), w.group, w.axis) for w in writers_of(model)}
    assert found == {
        ("wte.weight", EMBEDDING, 1),
        ("h.0.attn.c_proj.weight", 0, 1), ("h.0.attn.c_proj.bias", 0, 0),
        ("h.0.mlp.c_proj.weight", 0, 1), ("h.0.mlp.c_proj.bias", 0, 0),
    }  # fmt: skip
