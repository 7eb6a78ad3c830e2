"""Answers without sets of edges equal those of a slow pass with a stream for every reader."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.edges import AblatedEdges, Edge, edges_of
from interp.edges.graph import EDGE_SWITCHES, EdgeNode, switched_hooks
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel

SHARED_KEYS = "llama"


def heard_at(writer: EdgeNode, n_layers: int) -> str:
    return "blocks.0.hook_resid_pre" if writer.kind == "embed" else writer.hook(n_layers)


@torch.no_grad()
def by_hooks(model: HookedModel, row: TokenizedRow, edges: list[Edge]) -> float:
    """One row and one set; TransformerLens's hooks take each message out of its reader's input."""
    seen: dict[str, Tensor] = {}
    bridge, n_layers = model.bridge, model.n_layers

    def keep(name: str) -> Callable[..., None]:
        return lambda activation, hook: seen.update({name: activation})

    def message(edge: Edge) -> Tensor:
        writer = edge.writer
        said = seen[heard_at(writer, n_layers)]
        return said if writer.head is None else said[:, :, writer.head]

    def without(name: str) -> Callable[..., Tensor]:
        def edit(activation: Tensor, hook: Any) -> Tensor:
            edited = activation.clone()
            for edge in edges:
                if edge.reader.hook(n_layers) != name:
                    continue
                if edge.reader.head is None:
                    edited -= message(edge)
                else:
                    edited[:, :, edge.reader.head] -= message(edge)
            return edited

        return edit

    heard = dict.fromkeys(heard_at(edge.writer, n_layers) for edge in edges_of(model))
    hooks = [(name, keep(name)) for name in heard]
    read = dict.fromkeys(edge.reader.hook(n_layers) for edge in edges)
    hooks += [(name, without(name)) for name in read]
    with switched_hooks(model, *EDGE_SWITCHES):
        logits = bridge.run_with_hooks(torch.tensor([row.input_ids]), fwd_hooks=hooks)
    said = logits[0].double().log_softmax(-1)  # pyright: ignore
    return sum(float(said[p - 1, row.input_ids[p]]) for p in row.answer_positions)


@pytest.fixture(params=["neox", "neox-sequential", "gpt2", "gpt-neo"])
def model(request: pytest.FixtureRequest, random_model: Callable[[str], Any]) -> HookedModel:
    return HookedModel.from_hf(random_model(request.param))


@pytest.mark.parametrize("name", ["neox", "neox-sequential", "gpt2"])
def test_answers_equal_those_of_hooks(
    name: str, random_model: Callable[[str], Any], word_prompts: list[TokenizedRow]
):
    model = HookedModel.from_hf(random_model(name).double())
    edges = edges_of(model)
    sets = torch.rand(5, len(edges), generator=torch.Generator().manual_seed(0)) < 0.2
    sets[0], sets[1] = False, True
    late = torch.tensor([e.reader.layer != 0 for e in edges])
    sets[4] &= late
    rows = word_prompts[:4]
    found = AblatedEdges(UnrolledModel(model), rows, edges, AblationKind.ZERO).answers(sets)
    for held, answers in zip(sets, found, strict=True):
        cut = [edge for edge, is_cut in zip(edges, held.tolist(), strict=True) if is_cut]
        expected = [by_hooks(model, row, cut) for row in rows]
        np.testing.assert_allclose(answers[:, 1], expected, rtol=5e-4, atol=5e-4)
    assert not np.allclose(found[0, :, 1], found[1, :, 1])


@pytest.mark.parametrize("kind", list(AblationKind))
def test_slopes_are_those_of_finite_differences(
    model: HookedModel, word_prompts: list[TokenizedRow], kind: AblationKind
):
    edges = edges_of(model)
    ablated = AblatedEdges(UnrolledModel(model), word_prompts, edges, kind)
    n = len(edges)
    for share in (0.0, 0.5):
        slopes = ablated.slopes(torch.full((n,), share))
        for i in (0, n // 2, n - 1):
            step = torch.zeros(n)
            step[i] = 1e-2
            ends = [ablated.log_probs(torch.full((n,), share) + each) for each in (step, -step)]
            np.testing.assert_allclose(
                slopes[:, i], (ends[0] - ends[1]) / 2e-2, rtol=0.05, atol=1e-2
            )


def test_names_say_who_reads_whom(neox: HookedModel):
    names = [edge.name for edge in edges_of(neox)]
    assert {"emb>a0.h0.q", "a0.h1>a1.h3.q", "emb>m1", "m1>logits"} <= set(names)
    assert "a0.h1>m0" not in names
    assert len(set(names)) == len(names)


def test_shared_keys_are_refused_by_name(
    random_model: Callable[[str], Any], word_prompts: list[TokenizedRow]
):
    model = HookedModel.from_hf(random_model(SHARED_KEYS))
    with pytest.raises(InputError, match=r"Llama.*choose another model"):
        edges_of(model)
