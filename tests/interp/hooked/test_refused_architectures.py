"""What an architecture lacks is one error everywhere."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.attention.heads import read_heads
from interp.attention.patterns import attention_by_role
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.ablation import ablate
from interp.interventions.base import answer_table
from interp.lenses.attribution import attribute_logits
from interp.patching.cells import grid_cells
from interp.patching.unrolled import UnrolledModel
from tests.interp.hooked.many_architectures import (
    GROUPED,
    OLD,
    OPENED,
    SIZES,
    VOCABULARY,
    build,
    rows,
)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("opt", {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 32,
                 "num_attention_heads": 2, "word_embed_proj_dim": 8, "do_layer_norm_before": False,
                 "max_position_embeddings": 32}),
        ("olmo", GROUPED),
        ("falcon", {**SIZES, "new_decoder_architecture": True, "num_kv_heads": 2}),
        ("codegen", {**OLD, "rotary_dim": 4, "n_ctx": 32}),
        ("biogpt", SIZES),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_exactly_is_refused_in_one_line(
    family: str, settings: dict[str, Any]
) -> None:
    model = build(family, settings)
    with pytest.raises(InputError, match=f"cannot hook this {type(model).__name__}") as raised:
        HookedModel.from_hf(model)
    assert "\n" not in str(raised.value)


def test_a_head_that_transforms_the_last_stream_has_no_lens() -> None:
    hooked = HookedModel.from_hf(build("bert", {**SIZES, "is_decoder": True}))
    with pytest.raises(InputError, match="BertLMHeadModel cannot be read with a lens"):
        hooked.unembed(torch.zeros(16))
    with pytest.raises(InputError, match="BertLMHeadModel cannot be read with a lens"):
        attribute_logits(hooked, rows())


def test_a_sweep_refuses_parts_that_it_does_not_know_in_one_line() -> None:
    hooked = HookedModel.from_hf(build(*OPENED["phi"]))
    with pytest.raises(InputError, match="PhiForCausalLM computes something that this sweep does"):
        UnrolledModel(hooked)


TOOLS: dict[str, Callable[[HookedModel, list[TokenizedRow]], object]] = {
    "activations": lambda h, r: collect_activations(
        h, r, sites=[Site("z", 0)], roles=[TokenRole.PROMPT_LAST]
    ),
    "attribution": attribute_logits,
    "heads": lambda h, r: read_heads(h, [*r, *r]),
    "attention": attention_by_role,
    "answers": answer_table,
    "logits": lambda h, r: h.logits(torch.tensor([r[0].input_ids])),
    "cache": lambda h, r: h.run_with_cache(torch.tensor([r[0].input_ids]), ["hook_embed"]),
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
@pytest.mark.parametrize("name", ["gpt2", "neox without biases"])
def test_prompts_beyond_the_context_and_the_vocabulary_are_one_error_everywhere(
    name: str, tool: Callable[[HookedModel, list[TokenizedRow]], object]
) -> None:
    family, settings = OPENED[name]
    hooked = HookedModel.from_hf(build(family, settings))
    small = HookedModel.from_hf(build(family, {**settings, "vocab_size": 5}))
    with pytest.raises(InputError, match=f"33 tokens, this {family} model reads 32; give shorter"):
        tool(hooked, rows(" ".join(["w1"] * 33)))
    with pytest.raises(InputError, match=f"is not in the vocabulary of this {family} model"):
        tool(small, rows("w1 w1 w1 w9"))


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site("k", 0, 2), "no head 2 at k of layer 0, which has 2; choose from 0 to 1"),
        (Site("v", 1, 2), "no head 2 at v of layer 1, which has 2"),
        (Site("q", 0, 4), "no head 4 at q of layer 0, which has 4; choose from 0 to 3"),
        (Site("z", 0, -1), "no head -1 at z of layer 0, which has 4"),
        (Site("z", 2, 0), "no layer 2 in a model of 2; choose from 0 to 1"),
        (Site("resid_post", -1), "no layer -1 in a model of 2"),
        (Site("mlp_out", 0, 0), "mlp_out has one vector for all heads; give no head"),
        (Site("nowhere", 0), "no site 'nowhere'; choose one of"),
    ],
)
def test_sites_and_heads_that_a_model_lacks_are_one_error_everywhere(
    site: Site, message: str
) -> None:
    hooked = HookedModel.from_hf(build("llama", GROUPED))
    prompts = rows()
    tools: list[Callable[[], object]] = [
        lambda: collect_activations(hooked, prompts, sites=[site], roles=[TokenRole.PROMPT_LAST]),
        lambda: grid_cells(UnrolledModel(hooked), [site], 1),
        lambda: ablate(hooked, site, "zero"),
    ]
    for tool in tools:
        with pytest.raises(InputError, match=message):
            tool()
