"""Any architecture is either read exactly, as Hugging Face computes it, or refused in one line."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.attention.head_weights import HeadWeights
from interp.attention.heads import read_heads
from interp.attention.patterns import attention_by_role
from interp.attention.scores import composition_scores
from interp.gradients.capture import capture
from interp.gradients.modules import cover
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import LogitEnd, NormParts
from interp.interventions.base import answer_table
from interp.lenses.analysis import lens_log_probs
from interp.lenses.attribution import attribute_logits
from interp.patching.unrolled import UnrolledModel
from tests.interp.hooked.many_architectures import (
    CAPPED,
    NORMED_AFTER,
    OPENED,
    SIZES,
    VOCABULARY,
    WORDS,
    build,
    moved,
    own_logits,
    rows,
    sums,
)
from training.examples import make_examples


@pytest.mark.parametrize(("family", "settings"), OPENED.values(), ids=OPENED)
def test_logits_lens_and_attribution_are_the_models_own(
    family: str, settings: dict[str, Any]
) -> None:
    model = build(family, settings)
    hooked, prompts = HookedModel.from_hf(model), rows()
    own = torch.stack([own_logits(model, row) for row in prompts])
    last = Site("resid_post", 1)
    resid = collect_activations(hooked, prompts, sites=[last], roles=[TokenRole.PROMPT_LAST])
    answers = [row.input_ids[row.answer_positions[0]] for row in prompts]
    each = range(len(prompts))

    lens = lens_log_probs(hooked, torch.tensor(resid.at(last, TokenRole.PROMPT_LAST)))
    torch.testing.assert_close(lens, own.log_softmax(-1), atol=1e-5, rtol=0)
    assert sums(attribute_logits(hooked, prompts)) == pytest.approx(
        (own[each, answers] - own.mean(1)).numpy(), abs=1e-5
    )
    against = attribute_logits(hooked, prompts, against=[9, 2, 30])
    assert set(against["quantity"]) == {"logit difference"}
    wanted = (own[each, answers] - own[each, [9, 2, 30]]).numpy()
    assert sums(against) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("family", "settings"), OPENED.values(), ids=OPENED)
def test_heads_add_up_to_what_attention_adds_to_the_logit(
    family: str, settings: dict[str, Any]
) -> None:
    hooked, prompts = HookedModel.from_hf(build(family, settings)), rows()
    peers = rows("w1 w3 w4 w5", "w2 w3 w4 w5")
    parts = attribute_logits(hooked, peers)
    readings = read_heads(hooked, peers)
    norm = NormParts.of(hooked.unembed.norm, hooked.d_model)
    whole = readings.direct_logit[..., -1].sum(2)
    for layer in range(2):
        attention = parts.loc[(parts["component"] == "attn_out") & (parts["layer"] == layer)]
        beside = HeadWeights.of(hooked, layer, norm).beside
        for row, wanted in zip(range(2), attention["logit"], strict=True):
            direction = _direction(hooked, peers[row])
            found = whole[row, layer] + float(beside @ direction)
            assert found == pytest.approx(wanted, abs=1e-5)
    assert len(prompts) == 3


def _direction(hooked: HookedModel, row: TokenizedRow) -> torch.Tensor:
    """How the answer's centred logit grows with the stream, the divisor held, by autograd."""
    tokens = torch.tensor([row.input_ids[: row.answer_positions[0]]])
    _, cache = hooked.run_with_cache(tokens, ["blocks.1.hook_resid_post"], positions=-1)
    resid = cache["blocks.1.hook_resid_post"][0].double()
    parts = NormParts.of(hooked.unembed.norm, hooked.d_model)
    x = torch.zeros_like(resid).requires_grad_()
    normed = parts.centred(x) * parts.gain / parts.divisor(resid)
    logits = normed @ hooked.W_U.double() * hooked.unembed.end.scale
    answer = row.input_ids[row.answer_positions[0]]
    return torch.autograd.grad(logits[answer] - logits.mean(), x)[0]


def test_granites_parts_are_those_of_its_modules_by_hand() -> None:
    model = build(*OPENED["granite"]).double()
    hooked, (row,) = HookedModel.from_hf(model), rows("w1 w3 w4 w5")
    found: dict[tuple[str, int], torch.Tensor] = {}
    core: Any = model.model
    for i, layer in enumerate(core.layers):
        for name, module in (("attn_out", layer.self_attn), ("mlp_out", layer.mlp)):
            module.register_forward_hook(
                lambda _, __, output, key=(name, i): found.__setitem__(
                    key, (output[0] if isinstance(output, tuple) else output)[0, -1] * 0.5
                )
            )
    own_logits(model, row)
    prompt = row.input_ids[: row.answer_positions[0]]
    with torch.no_grad():
        found["embed", 0] = core.embed_tokens.weight[prompt[-1]] * 3.0
        stream = torch.stack(list(found.values())).sum(0)
        rms = (stream.square().mean() + model.config.rms_norm_eps).sqrt()
        W_U = model.lm_head.weight
        toward = W_U[row.input_ids[row.answer_positions[0]]] - W_U.mean(0)
        wanted = {
            key: (part / rms * core.norm.weight @ toward / 8.0).item()
            for key, part in found.items()
        }
    table: Any = attribute_logits(hooked, [row]).set_index(["component", "layer"])["logit"]
    for key, value in wanted.items():
        assert table[key] == pytest.approx(value, abs=1e-7)  # its norm works in float32
    assert table["bias", -1] == 0


def test_capped_logits_have_a_lens_and_no_attribution() -> None:
    model = build(*CAPPED)
    hooked, prompts = HookedModel.from_hf(model), rows()
    last = Site("resid_post", 1)
    resid = collect_activations(hooked, prompts, sites=[last], roles=[TokenRole.PROMPT_LAST])
    lens = lens_log_probs(hooked, torch.tensor(resid.at(last, TokenRole.PROMPT_LAST)))
    own = torch.stack([own_logits(model, row) for row in prompts])
    torch.testing.assert_close(lens, own.log_softmax(-1), atol=1e-5, rtol=0)
    for read in (attribute_logits, read_heads):
        with pytest.raises(InputError, match=r"Gemma2ForCausalLM caps its logits at 1\.5"):
            read(hooked, prompts)


@pytest.mark.parametrize(("family", "settings"), NORMED_AFTER.values(), ids=NORMED_AFTER)
def test_norms_behind_attention_are_part_of_what_it_writes_and_refused_of_heads(
    family: str, settings: dict[str, Any]
) -> None:
    model = build(family, settings)
    hooked, prompts = HookedModel.from_hf(model), rows()
    own = torch.stack([own_logits(model, row) for row in prompts])
    answers = [row.input_ids[row.answer_positions[0]] for row in prompts]
    centred = (own[range(3), answers] - own.mean(1)).numpy()
    assert sums(attribute_logits(hooked, prompts)) == pytest.approx(centred, abs=1e-5)
    with pytest.raises(InputError, match=f"{hooked.architecture}"):
        read_heads(hooked, rows("w1 w3 w4 w5", "w2 w3 w4 w5"))


def test_the_end_of_the_logits_and_its_gradient() -> None:
    end = LogitEnd(scale=0.25, cap=2.0)
    raw = torch.tensor([3.0, -20.0, 0.5], dtype=torch.float64, requires_grad=True)
    wanted = 2 * torch.tanh(raw * 0.25 / 2)
    assert torch.equal(end(raw), wanted)
    weights = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    (expected,) = torch.autograd.grad(wanted @ weights, raw)
    torch.testing.assert_close(end.backward(weights, raw.detach()), expected)


@pytest.mark.parametrize("name", ["gpt2", "granite", "nemotron"])
def test_a_norm_is_what_its_parts_do_one_after_the_other(name: str) -> None:
    hooked = HookedModel.from_hf(build(*OPENED[name]))
    parts = NormParts.of(hooked.unembed.norm, 16)
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0)).double()
    found = parts.centred(x) * parts.gain / parts.divisor(x)[:, None] + parts.bias
    torch.testing.assert_close(found.float(), hooked.final_norm(x.float()), atol=1e-5, rtol=1e-5)
    assert parts.is_centred is (name != "granite")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tools_read_views_of_half_precision(dtype: torch.dtype) -> None:
    model = build("gpt_neox", SIZES)
    exact, half = HookedModel.from_hf(model), HookedModel.from_hf(moved(model, dtype))
    pair = rows("w1 w3 w4 w5", "w2 w3 w4 w5")
    for read in (
        lambda view: attribute_logits(view, pair)["logit"].to_numpy(),
        lambda view: read_heads(view, pair).direct_logit,
        lambda view: attention_by_role(view, pair).weights,
        lambda view: answer_table(view, pair)["answer_log_prob"].to_numpy(),
        lambda view: composition_scores(view, "q")["value"].to_numpy(),
    ):
        np.testing.assert_allclose(read(half), read(exact), atol=0.15)


def long_rotary() -> PreTrainedModel:
    rotary = {
        "rope_type": "longrope",
        "rope_theta": 10.0,
        "short_factor": [1.0] * 2,
        "long_factor": [4.0] * 2,
        "original_max_position_embeddings": 6,
    }
    return build(
        "phi3", {**SIZES, "rope_parameters": rotary, "original_max_position_embeddings": 6}
    )


def test_rotary_positions_that_depend_on_the_length_do_not_mix_prompts() -> None:
    hooked = HookedModel.from_hf(long_rotary())
    many = rows("w1 w3 w4 w5", " ".join(WORDS[:12]), "w8 w3 w4 w9 w2 w11 w3 w4 w2")
    site, role = Site("resid_post", 1), TokenRole.PROMPT_LAST
    together = collect_activations(hooked, many, sites=[site], roles=[role]).at(site, role)
    answers = answer_table(hooked, many)["answer_log_prob"].to_numpy()
    attributed = sums(attribute_logits(hooked, many))
    for i, row in enumerate(many):
        alone = collect_activations(hooked, [row], sites=[site], roles=[role]).at(site, role)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
        own = own_logits(long_rotary(), row)
        answer = row.input_ids[row.answer_positions[0]]
        assert answers[i] == pytest.approx(own.log_softmax(-1)[answer].item(), abs=1e-5)
        assert attributed[i] == pytest.approx((own[answer] - own.mean()).item(), abs=1e-5)
    batch = torch.zeros(2, 7, dtype=torch.long)
    with pytest.raises(InputError, match="beyond 6 tokens, rotary positions of this phi3 model"):
        hooked.logits(batch)
    assert hooked.logits(batch, torch.ones_like(batch)).shape == (2, 7, VOCABULARY)
    with pytest.raises(InputError, match="beyond 6 tokens"):
        UnrolledModel(hooked).trace(batch[:1])


@pytest.mark.parametrize("settings", [OPENED["granite"], CAPPED], ids=["granite", "gemma2"])
def test_gradients_go_through_the_end_of_the_logits(settings: tuple[str, dict[str, Any]]) -> None:
    model, prompts = build(*settings), rows("w1 w3 w4 w5", "w6 w3 w4 w9 w7")
    examples = make_examples(prompts, LossPolicy.ANSWER)
    found = capture(model, examples, cover(model, allow_materialise=True))
    wanted = [-own_logits(model, r).log_softmax(-1)[r.input_ids[-1]].item() for r in prompts]
    assert found.losses.tolist() == pytest.approx(wanted, abs=1e-5)
    core: Any = model
    weight = core.model.layers[1].mlp.down_proj.weight
    for row, example in enumerate(prompts):
        prompt = torch.tensor([example.input_ids[: example.answer_positions[0]]])
        logits = model(prompt, use_cache=False).logits[0, -1]
        (expected,) = torch.autograd.grad(-logits.log_softmax(-1)[example.input_ids[-1]], weight)
        record = found.records["model.layers.1.mlp.down_proj"]
        gradient = record.gradients[row].T @ record.inputs[row]
        torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4)
