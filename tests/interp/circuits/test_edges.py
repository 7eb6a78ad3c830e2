"""Answers without sets of edges equal those of hooks that edit each reader's own input."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import Ablatable, AblatedRows
from interp.circuits.edges import AblatedEdges, Edge, edges_of, find_edges
from interp.circuits.scores import ScoreMethod, unit_scores
from interp.circuits.units import Unit, members, units_of
from interp.edges.graph import EDGE_SWITCHES, EdgeNode, switched_hooks
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind, ablate
from interp.interventions.base import answer_table
from interp.patching.unrolled import UnrolledModel
from tests.interp.random_models import random_model_of

ALLOWED = ["neox", "neox-sequential", "gpt2", "gpt-neo"]
RandomModel = Callable[[str], Any]


@pytest.fixture(scope="module", params=ALLOWED)
def model(request: pytest.FixtureRequest, random_model: RandomModel) -> HookedModel:
    return HookedModel.from_hf(random_model(request.param))


def written_by(writer: EdgeNode) -> Site:
    """The site that a writer's message is read at; of a head it is still to be multiplied."""
    match writer.kind:
        case "embed":
            return Site("resid_pre", 0)
        case "attn_head_out":
            assert writer.layer is not None
            return Site("z", writer.layer)
        case _:
            assert writer.layer is not None
            return Site("mlp_out", writer.layer)


class Slowly:
    """Rows one by one, a set of edges at a time, by hooks on each reader's input."""

    def __init__(self, model: HookedModel, rows: Sequence[TokenizedRow], kind: AblationKind):
        self.model, self.rows = model, sorted(rows, key=lambda row: len(row.input_ids))
        self.places = [self.rows.index(row) for row in rows]
        n = max(len(row.input_ids) for row in rows)
        self.others: dict[str, Tensor] = {}
        sites = {written_by(edge.writer) for edge in edges_of(model)}
        for site in sites:
            cut = ablate(model, site, kind, reference=rows, seed=3)
            ((_, edit),) = cut.hooks(self.rows)
            width = (model.n_heads, model.d_head) if site.name == "z" else (model.d_model,)
            nothing = torch.zeros(len(rows), n, *width, dtype=torch.float64)
            self.others[site.hook] = cast("Tensor", edit(nothing, nn.Identity()))

    def answers(self, edges: Sequence[Edge]) -> list[float]:
        sorted_answers = [self._answer(i, edges) for i in range(len(self.rows))]
        return [sorted_answers[place] for place in self.places]

    @torch.no_grad()
    def _answer(self, number: int, edges: Sequence[Edge]) -> float:
        bridge, row = self.model.bridge, self.rows[number]
        n_layers, n = self.model.n_layers, len(row.input_ids)
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            return lambda activation, hook: seen.update({name: activation})

        def beyond(writer: EdgeNode) -> Tensor:
            name = written_by(writer).hook
            difference = seen[name] - self.others[name][number, :n]
            if writer.head is None:
                return difference
            W_O = bridge.blocks[writer.layer].attn.W_O[writer.head]
            return difference[:, :, writer.head] @ W_O

        def without(name: str) -> Callable[..., Tensor]:
            def edit(activation: Tensor, hook: Any) -> Tensor:
                edited = activation.clone()
                for edge in edges:
                    head = edge.reader.head
                    if edge.reader.hook(n_layers) == name:
                        place = edited if head is None else edited[:, :, head]
                        place -= beyond(edge.writer)
                return edited

            return edit

        hooks: list[Any] = [(name, keep(name)) for name in self.others]
        read = dict.fromkeys(edge.reader.hook(n_layers) for edge in edges)
        hooks += [(name, without(name)) for name in read]
        with switched_hooks(self.model, *EDGE_SWITCHES):
            logits = bridge.run_with_hooks(torch.tensor([row.input_ids]), fwd_hooks=hooks)
        said = logits[0].log_softmax(-1)  # pyright: ignore
        return sum(float(said[p - 1, row.input_ids[p]]) for p in row.answer_positions)


class SlowlyOfGPTNeo(Slowly):
    """The same where TransformerLens has no such hooks: by those of the plain model's modules."""

    @torch.no_grad()
    def _answer(self, number: int, edges: Sequence[Edge]) -> float:
        row, d_head = self.rows[number], self.model.d_head
        plain = cast("Any", random_model_of("gpt-neo").double())  # the same, without a bridge
        blocks, n = plain.transformer.h, len(row.input_ids)
        seen: dict[str, Tensor] = {}

        def read(x: Tensor, reader: EdgeNode) -> Tensor:
            for edge in edges:
                if edge.reader == reader:
                    writer, name = edge.writer, written_by(edge.writer).hook
                    beyond = seen[name] - self.others[name][number, :n].flatten(1)
                    if writer.head is not None:
                        part = slice(writer.head * d_head, (writer.head + 1) * d_head)
                        W_O = blocks[writer.layer].attn.attention.out_proj.weight
                        beyond = beyond[..., part] @ W_O[:, part].T
                    x = x - beyond
            return x

        def reading(reader: EdgeNode) -> Callable[..., tuple[Tensor]]:
            return lambda module, inputs: (read(inputs[0], reader),)

        def keeping(name: str) -> Callable[..., None]:
            return lambda module, inputs, *output: seen.update({name: (*inputs, *output)[-1]})

        def projecting(layer: int, kind: str) -> Callable[..., Tensor]:
            def edit(module: nn.Linear, inputs: Any, output: Tensor) -> Tensor:
                norm, parts = blocks[layer].ln_1, []
                for head in range(self.model.n_heads):
                    x = read(seen[f"{layer}"], EdgeNode(kind, layer, head))
                    x = functional.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, norm.eps)
                    parts.append((x @ module.weight.T)[..., head * d_head : (head + 1) * d_head])
                return torch.cat(parts, -1)

            return edit

        blocks[0].register_forward_pre_hook(keeping(Site("resid_pre", 0).hook))
        plain.transformer.ln_f.register_forward_pre_hook(reading(EdgeNode("logits")))
        for layer, block in enumerate(blocks):
            attention = block.attn.attention
            block.ln_1.register_forward_pre_hook(keeping(f"{layer}"))
            attention.out_proj.register_forward_pre_hook(keeping(Site("z", layer).hook))
            block.ln_2.register_forward_pre_hook(reading(EdgeNode("mlp_in", layer)))
            block.mlp.register_forward_hook(keeping(Site("mlp_out", layer).hook))
            for kind in ("q", "k", "v"):
                project = getattr(attention, f"{kind}_proj")
                project.register_forward_hook(projecting(layer, f"{kind}_input"))
        said = plain(torch.tensor([row.input_ids])).logits[0].log_softmax(-1)
        return sum(float(said[p - 1, row.input_ids[p]]) for p in row.answer_positions)


@pytest.mark.parametrize("kind", list(AblationKind))
@pytest.mark.parametrize("name", ALLOWED)
def test_answers_equal_those_of_hooks(
    name: str, kind: AblationKind, random_model: RandomModel, word_prompts: list[TokenizedRow]
) -> None:
    model = HookedModel.from_hf(random_model(name).double())
    edges, rows = edges_of(model), word_prompts[:4]
    sets = torch.rand(4, len(edges), generator=torch.Generator().manual_seed(0)) < 0.2
    sets[0] = True
    sets[3] &= torch.tensor([edge.reader.layer != 0 for edge in edges])  # starts later
    ablated = AblatedEdges(UnrolledModel(model), rows, edges, kind, seed=3)

    found = ablated.answers(sets)[..., 1]

    exact = 1e-6 if name == "gpt-neo" else 1e-9  # it attends in single precision by itself
    slowly = (SlowlyOfGPTNeo if name == "gpt-neo" else Slowly)(model, rows, kind)
    for held, answers in zip(sets, found, strict=True):
        cut = [edge for edge, is_cut in zip(edges, held.tolist(), strict=True) if is_cut]
        np.testing.assert_allclose(answers, slowly.answers(cut), rtol=exact, atol=exact)
    assert not np.allclose(found[1], found[2])


def test_no_edge_cut_is_the_model_itself_which_stays_as_it_is(
    model: HookedModel, word_prompts: list[TokenizedRow]
) -> None:
    plain = model.bridge.original_model
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    edges = edges_of(model)
    ablated = AblatedEdges(UnrolledModel(model), word_prompts, edges, AblationKind.RESAMPLE)
    assert isinstance(ablated, Ablatable)

    found = ablated.answers(members([[], edges], edges))
    ablated.slopes(torch.full((len(edges),), 0.5))

    expected = answer_table(model, word_prompts)[list(ANSWER_METRICS)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(found[1], expected, rtol=1e-2)
    assert all(torch.equal(before[name], value) for name, value in plain.state_dict().items())
    assert not any(parameter.grad is not None for parameter in plain.parameters())
    model.refuse_hooks("another sweep")


@pytest.mark.parametrize("kind", list(AblationKind))
def test_a_part_that_nobody_hears_is_ablated(
    model: HookedModel, word_prompts: list[TokenizedRow], kind: AblationKind
) -> None:
    """All edges of a writer are as that writer ablated at all tokens."""
    unrolled, edges = UnrolledModel(model), edges_of(model)
    units = units_of(model, word_prompts)
    writers = [(0, 1), (0, None), (1, 2), (1, None)]
    of_units = [[u for u in units if (u.layer, u.head) == writer] for writer in writers]
    of_edges = [
        [e for e in edges if e.name.startswith(Unit(*writer, role="").name[:-1] + ">")]
        for writer in writers
    ]
    how = {"kind": kind, "seed": 5}
    by_edges = AblatedEdges(unrolled, word_prompts, edges, **how)
    by_units = AblatedRows(unrolled, word_prompts, units, **how)
    np.testing.assert_allclose(
        by_edges.answers(members(of_edges, edges)),
        by_units.answers(members(of_units, units)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_set_is_answered_the_same_beside_others(
    neox: HookedModel, word_prompts: list[TokenizedRow]
) -> None:
    edges = edges_of(neox)
    ablated = AblatedEdges(UnrolledModel(neox), word_prompts, edges, AblationKind.MEAN)
    sets = torch.eye(len(edges), dtype=torch.bool)
    together = ablated.answers(torch.cat([sets, sets[:1]]))
    assert torch.equal(together[0], together[-1])
    for i in (0, len(edges) // 2, len(edges) - 1):
        np.testing.assert_allclose(ablated.answers(sets[[i]])[0], together[i], atol=1e-5)


@pytest.mark.parametrize("kind", list(AblationKind))
def test_slopes_are_those_of_finite_differences(
    kind: AblationKind, random_model: RandomModel, word_prompts: list[TokenizedRow]
) -> None:
    """At the model itself and half way to nothing, of every edge at once and of some alone."""
    model = HookedModel.from_hf(random_model("gpt2").double())
    edges = edges_of(model)
    ablated = AblatedEdges(UnrolledModel(model), word_prompts, edges, kind)
    n = len(edges)
    steps = [*torch.eye(n)[[0, n // 2, n - 1]], torch.rand(n)]
    for share in (0.0, 0.5):
        slopes = ablated.slopes(torch.full((n,), share))
        assert slopes.shape == (len(word_prompts), n)
        for step in steps:
            at = [torch.full((n,), share) + sign * 2**-10 * step for sign in (1, -1)]
            ends = [ablated.log_probs(each) for each in at]
            np.testing.assert_allclose(
                slopes @ step.double(), (ends[0] - ends[1]) * 2**9, rtol=1e-3, atol=1e-4
            )


def test_integrated_gradients_sum_to_what_all_edges_cost(
    neox: HookedModel, word_prompts: list[TokenizedRow]
) -> None:
    edges = edges_of(neox)
    ablated = AblatedEdges(UnrolledModel(neox), word_prompts, edges, AblationKind.MEAN)
    scores = unit_scores(ablated, ScoreMethod.EAP_IG, ig_steps=30)
    none, every = ablated.answers(members([[], edges], edges))[..., 1]
    np.testing.assert_allclose(scores.sum(1), none - every, atol=2e-2)


def test_names_say_who_is_read_by_whom(model: HookedModel) -> None:
    edges = edges_of(model)
    names = [edge.name for edge in edges]
    assert {"emb>a0.h0.q", "a0.h1>a1.h3.k", "emb>m1", "m1>logits"} <= set(names)
    assert len(set(names)) == len(names)
    assert ("a0.h2>m0" in names) == (not model.bridge.cfg.parallel_attn_mlp)
    assert [Edge.parse(name) for name in names] == edges
    strata = {name: Edge.parse(name).stratum for name in names}
    assert strata["a0.h1>a1.h3.k"] == (1, "head>k")
    assert strata["emb>m1"] == (1, "emb>mlp")
    assert strata["m1>logits"] == (-1, "mlp>logits")


def test_unknown_edges_are_refused_by_name(neox: HookedModel) -> None:
    edges = edges_of(neox)
    assert [e.name for e in find_edges(["m0>m1", "emb>m0", "m0>m1"], edges)] == ["m0>m1", "emb>m0"]
    with pytest.raises(InputError, match=r"no edge 'a1.h3@alias'; write emb>a0.h1.q"):
        find_edges(["a1.h3@alias"], edges)
    with pytest.raises(InputError, match=r"'a1.h0>a0.h0.q'"):
        find_edges(["a1.h0>a0.h0.q"], edges)


def test_shared_keys_are_refused_by_name(
    random_model: RandomModel, word_prompts: list[TokenizedRow]
) -> None:
    model = HookedModel.from_hf(random_model("llama"))
    with pytest.raises(InputError, match=r"Llama.*2 keys.*no edges.*choose another model"):
        AblatedEdges(UnrolledModel(model), word_prompts, [], AblationKind.ZERO)
