from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from data.pairs import PromptPair
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.patching.attribution import attribute, ending_logits
from interp.patching.cells import grid_cells, patched_metrics
from interp.patching.pair_batches import PairBatch, PatchMetric, batch_pairs, read_metrics
from interp.patching.unrolled import Trace, UnrolledModel

StateOf = Callable[[HookedModel], tuple[object, ...]]
METRICS = [PatchMetric.LOGIT_DIFF, PatchMetric.ANSWER_LOG_PROB]
ROLES = ["alias_last", "question_last", "prompt_last", "all"]
SITES = [Site(name, i) for name in ("resid_pre", "attn_out", "mlp_out", "z", "v") for i in range(2)]


def estimates(
    unrolled: UnrolledModel, batch: PairBatch, sites: list[Site]
) -> tuple[Trace, Trace, Tensor]:
    """Base, donor and `[cell, metric, pair]` of clean into corrupted."""
    with torch.no_grad():
        donor = unrolled.trace(batch.clean)
    cells = grid_cells(unrolled, sites, len(batch.roles))
    base, _, found = attribute(unrolled, batch, cells, batch.corrupted, donor, METRICS)
    return base, donor, found


def exact(
    unrolled: UnrolledModel, batch: PairBatch, sites: list[Site], base: Trace, donor: Trace
) -> Tensor:
    """How far each patch moves each metric: `[cell, metric, pair]`."""
    with torch.no_grad():
        before = read_metrics(ending_logits(unrolled, base, batch), batch, METRICS)
    parts = [
        patched_metrics(unrolled, batch, cells, base=base, donor=donor, metrics=METRICS)
        for cells in grid_cells(unrolled, sites, len(batch.roles))
    ]
    return torch.cat([part.flatten(0, 1) for part in parts]) - before


def at_each_position(batch: PairBatch) -> PairBatch:
    """The same prompts with one role for each position."""
    n_pairs, length = batch.clean.shape
    return PairBatch(
        clean=batch.clean,
        corrupted=batch.corrupted,
        answers=batch.answers,
        foils=batch.foils,
        roles=tuple(f"position {i}" for i in range(length)),
        masks=torch.eye(length, dtype=torch.bool)[:, None].expand(-1, n_pairs, -1),
    )


# ---- equal to others -------------------------------------------------------------------------


def test_it_equals_that_of_transformer_lens_whose_answers_differ_by_row(
    random_model: Callable[[str], PreTrainedModel], word_pairs: list[PromptPair]
):
    """Theirs takes one pair at a time, since its metric does not know the row."""
    from transformer_lens.tools.analysis import attribution_patch

    model = HookedModel.from_hf(random_model("neox"))
    batch = at_each_position(batch_pairs(word_pairs, ["all"])[1])
    n_pairs, length = batch.clean.shape
    assert len(set(batch.answers[:, 0].tolist())) > 1
    sites = [
        Site("resid_pre", 0),
        Site("z", 0),
        Site("z", 1),
        Site("mlp_out", 0),
        Site("mlp_out", 1),
    ]

    _, _, found = estimates(UnrolledModel(model), batch, sites)

    difference = found[:, 0].split([length, 4 * length, 4 * length, length, length])
    ours = dict(zip(sites, difference, strict=True))
    pairs_of_scores = []
    for pair in range(n_pairs):
        answer, foil = batch.answers[pair, 0], batch.foils[pair]
        theirs = attribution_patch(
            model.bridge,
            batch.clean[pair : pair + 1],
            batch.corrupted[pair : pair + 1],
            lambda logits, a=answer, b=foil: logits[0, -1, a] - logits[0, -1, b],
        )
        for node, score in theirs.node_scores.items():
            name = {"embed": "resid_pre", "attn_head_out": "z"}.get(node.kind, node.kind)
            grid = ours[Site(name, node.layer or 0)].view(length, -1, n_pairs)
            pairs_of_scores.append((grid[node.position, node.head or 0, pair].item(), score))
    mine, oracle = torch.tensor(pairs_of_scores, dtype=torch.float64).T
    assert len(oracle) == n_pairs * length * (1 + 2 * (4 + 1))
    assert (mine - oracle).norm() < 1e-6 * oracle.norm()


def test_it_is_the_slope_of_the_exact_patch(any_model: HookedModel, word_pairs: list[PromptPair]):
    """A donor a step from the base moves each metric by what the estimate says."""
    unrolled, step = UnrolledModel(any_model), 2e-3
    for batch in batch_pairs(word_pairs, ROLES)[:2]:
        base, donor, whole = estimates(unrolled, batch, SITES)
        nearer = Trace(
            sites={
                name: [b + step * (d - b) for b, d in zip(base[name], donor[name], strict=True)]
                for name in base.sites
            },
            rotated_k=donor.rotated_k,
        )
        moved = exact(unrolled, batch, SITES, base, nearer)

        assert (moved / step - whole).norm() < 0.02 * whole.norm()


def linear_model(*, is_parallel: bool) -> HookedModel:
    """A GPT-NeoX that is linear in its stream, with random weights.

    Heads look at all positions evenly, MLPs have no nonlinearity, and layer norms divide by what a
    constant direction gives them, a million times what anything else does; nothing reads that.
    """
    width, heads, large = 16, 4, 1e6
    config = GPTNeoXConfig(
        vocab_size=40,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=heads,
        max_position_embeddings=32,
        hidden_act="linear",
        use_parallel_residual=is_parallel,
    )
    model = GPTNeoXForCausalLM(config).double().eval()
    generator = torch.Generator().manual_seed(0)
    constant = torch.tensor([1.0, -1.0] * (width // 2), dtype=torch.float64)
    for name, weight in model.named_parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if "norm" in name and name.endswith("weight"):
            weight.data[:] = large
        elif weight.ndim == 2 and weight.shape[1] == width:  # reads the stream, or embeds
            weight.data -= torch.outer(weight.data @ constant, constant) / width
        if "query_key_value" in name:
            weight.data.view(heads, 3, width // heads, -1)[:, :2] = 0.0
    embedded: Any = model.gpt_neox.embed_in.weight
    embedded.data += large * constant
    return HookedModel.from_hf(model)


@pytest.mark.parametrize("is_parallel", [True, False])
def test_on_a_linear_model_it_is_the_exact_patch(is_parallel: bool, word_pairs: list[PromptPair]):
    unrolled = UnrolledModel(linear_model(is_parallel=is_parallel))
    for batch in batch_pairs(word_pairs, ROLES):
        base, donor, estimated = estimates(unrolled, batch, SITES)
        moved = exact(unrolled, batch, SITES, base, donor)

        assert moved[:, 0].abs().max() > 0.3
        torch.testing.assert_close(estimated[:, 0], moved[:, 0], rtol=2e-5, atol=2e-6,
                                   check_dtype=False)  # fmt: skip
        # A log-probability is not linear in the logits, so there it cannot be.
        assert (estimated[:, 1] - moved[:, 1]).abs().max() > 1e-2


def test_on_a_model_that_is_not_linear_it_is_not_the_exact_patch(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    unrolled, batch = UnrolledModel(neox), batch_pairs(word_pairs, ROLES)[1]
    base, donor, estimated = estimates(unrolled, batch, SITES)

    assert (estimated - exact(unrolled, batch, SITES, base, donor)).abs().max() > 0.1


# ---- shapes and side effects -----------------------------------------------------------------


def test_pairs_and_roles_do_not_mix(neox: HookedModel, word_pairs: list[PromptPair]):
    unrolled, together = UnrolledModel(neox), batch_pairs(word_pairs, ROLES)[1]
    pairs = [
        pair for pair in word_pairs if pair.n_tokens == 5 and len(pair.clean.answer_positions) == 1
    ]
    _, _, found = estimates(unrolled, together, SITES)
    for i, pair in enumerate(pairs):
        (alone,) = batch_pairs([pair], ROLES)
        torch.testing.assert_close(found[..., i], estimates(unrolled, alone, SITES)[2][..., 0])
    positions = estimates(unrolled, at_each_position(together), [Site("mlp_out", 0)])[2]
    everywhere = found[4 * len(ROLES) + 3]  # after two sites at two layers each
    torch.testing.assert_close(positions.sum(0), everywhere, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_it_needs_no_gradients_of_the_caller_and_gives_none(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    base, _, found = estimates(UnrolledModel(neox), batch_pairs(word_pairs, ROLES)[1], SITES)

    assert found.abs().max() > 0.1
    assert not found.requires_grad
    assert not base["resid_pre"][-1].requires_grad


def test_nothing_is_left_behind_even_if_the_backward_pass_breaks_off(
    any_model: HookedModel,
    word_pairs: list[PromptPair],
    state_of: StateOf,
    monkeypatch: pytest.MonkeyPatch,
):
    unrolled, batch = UnrolledModel(any_model), batch_pairs(word_pairs, ROLES)[1]
    before = state_of(any_model)
    estimates(unrolled, batch, SITES)
    assert state_of(any_model) == before

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.autograd.grad", stop)
    with pytest.raises(KeyboardInterrupt):
        estimates(unrolled, batch, SITES)
    assert state_of(any_model) == before
