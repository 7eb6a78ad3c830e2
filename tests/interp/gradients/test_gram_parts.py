"""Inner products by module, head and token sum to those of the whole."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import Granularity, gradient_gram, gradient_pairs, token_gram
from tests.interp.gradients.slow_gradients import (
    N_A,
    autograd_gradients,
    each_architecture,
    each_policy,
    options,
)

MakeModel = Callable[[str], PreTrainedModel]


@pytest.mark.parametrize("granularity", [Granularity.LAYER, Granularity.MODULE, Granularity.HEAD])
@each_architecture
def test_parts_sum_to_the_whole(
    architecture: str, granularity: Granularity, double_model: MakeModel, word_prompts
) -> None:
    model = double_model(architecture)
    a, b = word_prompts[:N_A], word_prompts[N_A:]
    whole = gradient_gram(model, a, b, options=options(LossPolicy.TEXT))
    parts = gradient_gram(model, a, b, options=options(LossPolicy.TEXT, granularity=granularity))
    scale = whole.norms_a[:, None] * whole.norms_b
    assert ((parts.dot - whole.dot) / scale).abs().max().item() <= 1e-12
    torch.testing.assert_close(parts.norms_a, whole.norms_a, rtol=1e-12, atol=0)


def test_modules_have_the_inner_products_of_their_own_parameters(
    double_model: MakeModel, word_prompts
) -> None:
    model = double_model("neox")
    gram = gradient_gram(
        model, word_prompts, word_prompts, options=options(granularity=Granularity.MODULE)
    )
    gradients = autograd_gradients(model, word_prompts, options())
    sizes = [parameter.numel() for parameter in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    columns = dict(zip(names, gradients.split(sizes, dim=1), strict=True))
    for name, part in gram.parts.items():
        own = torch.cat([columns[key] for key in names if key.rpartition(".")[0] == name], dim=1)
        torch.testing.assert_close(part, own @ own.T, rtol=1e-9, atol=1e-9)
    one = gram.component("lm_head", "gpt_neox.embed_in")
    assert one.components == ("lm_head", "gpt_neox.embed_in")
    torch.testing.assert_close(one.dot, gram.parts["lm_head"] + gram.parts["gpt_neox.embed_in"])
    with pytest.raises(InputError, match="no component 'mlp'"):
        gram.component("mlp")


HEAD_WEIGHTS = {
    "neox": {
        "blocks.1.head.2.W_K": (
            "gpt_neox.layers.1.attention.query_key_value",
            lambda value: value.reshape(4, 3, 4, -1)[2, 1],
        ),
        "blocks.0.head.3.W_O": (
            "gpt_neox.layers.0.attention.dense.weight",
            lambda value: value[:, 12:16],
        ),
    },
    "gpt2": {
        "blocks.1.head.2.W_V": (
            "transformer.h.1.attn.c_attn",
            lambda value: value[..., 32 + 8 : 32 + 12],
        ),
        "blocks.0.head.1.W_O": (
            "transformer.h.0.attn.c_proj.weight",
            lambda value: value[4:8],
        ),
    },
    "gpt-neo": {
        "blocks.1.head.0.W_Q": (
            "transformer.h.1.attn.attention.q_proj",
            lambda value: value[:4],
        ),
    },
    "llama": {
        "blocks.1.kv_head.1.W_K": ("model.layers.1.self_attn.k_proj", lambda value: value[4:8]),
        "blocks.1.head.3.W_Q": ("model.layers.1.self_attn.q_proj", lambda value: value[12:]),
    },
}


@pytest.mark.parametrize("architecture", list(HEAD_WEIGHTS))
def test_heads_have_the_inner_products_of_their_rows_and_columns(
    architecture: str, double_model: MakeModel, word_prompts
) -> None:
    model = double_model(architecture)
    gram = gradient_gram(
        model, word_prompts, word_prompts, options=options(granularity=Granularity.HEAD)
    )
    gradients = autograd_gradients(model, word_prompts, options())
    sizes = [parameter.numel() for parameter in model.parameters()]
    shaped = {
        name: (part, parameter.shape)
        for (name, parameter), part in zip(
            model.named_parameters(), gradients.split(sizes, dim=1), strict=True
        )
    }
    for component, (prefix, own) in HEAD_WEIGHTS[architecture].items():
        expected = torch.zeros_like(gram.dot)
        for name, (part, shape) in shaped.items():
            if name.startswith(prefix):
                rows = torch.stack([own(row.view(shape)).flatten() for row in part])
                expected += rows @ rows.T
        torch.testing.assert_close(gram.parts[component], expected, rtol=1e-9, atol=1e-9)


@each_policy
@each_architecture
def test_token_maps_sum_to_their_inner_products(
    architecture: str, policy: LossPolicy, double_model: MakeModel, word_prompts
) -> None:
    model = double_model(architecture)
    a, b = word_prompts[:N_A], word_prompts[N_A:]
    pairs = torch.tensor([[0, 0], [0, 3], [2, 1], [3, 4]])
    chosen = options(policy, granularity=Granularity.MODULE)
    maps = token_gram(model, a, b, pairs=pairs, options=chosen)
    gram = gradient_pairs(model, a, b, pairs=pairs, options=chosen)
    scale = gram.norms_a[pairs[:, 0]] * gram.norms_b[pairs[:, 1]]
    assert maps.keys() == gram.parts.keys()
    for name, part in gram.parts.items():
        assert ((maps[name].sum((1, 2)) - part) / scale).abs().max().item() <= 1e-12


def test_token_map_holds_the_inner_products_of_each_position_s_own_copy_of_the_weights(
    double_model: MakeModel, word_prompts
) -> None:
    model = double_model("neox")
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h"
    module = model.get_submodule(name)

    def gradients_by_position(row: TokenizedRow, patch: pytest.MonkeyPatch) -> Tensor:
        n = len(row.input_ids) - 1
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        weights = weight.detach().repeat(n, 1, 1).requires_grad_()
        biases = bias.detach().repeat(n, 1).requires_grad_()
        patch.setattr(
            module, "forward", lambda x: torch.einsum("bti,toi->bto", x, weights) + biases
        )
        logits = model(input_ids=torch.tensor([row.input_ids[:-1]])).logits
        loss = functional.cross_entropy(logits[0, -1], torch.tensor(row.input_ids[-1]))
        return torch.cat([g.flatten(1) for g in torch.autograd.grad(loss, [weights, biases])], 1)

    a, b = word_prompts[0], word_prompts[2]
    maps = token_gram(
        model,
        [a],
        [b],
        pairs=torch.tensor([[0, 0]]),
        options=options(granularity=Granularity.MODULE),
    )
    with pytest.MonkeyPatch.context() as patch:
        left, right = gradients_by_position(a, patch), gradients_by_position(b, patch)
    found = maps[name][0]
    torch.testing.assert_close(
        found[: len(left), : len(right)], left @ right.T, rtol=1e-9, atol=1e-9
    )
    assert found[len(left) :].abs().sum() == 0
    assert found[:, len(right) :].abs().sum() == 0
