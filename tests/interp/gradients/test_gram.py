import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPTNeoXConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from data.errors import InputError
from data.rows import prompt_row
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import (
    GradientOptions,
    Granularity,
    gradient_gram,
    gradient_pairs,
    gradient_statistics,
    token_gram,
)
from training.examples import make_examples

MakeModel = Callable[[str], PreTrainedModel]
ARCHITECTURES = ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"]
"""GPT-2, GPT-Neo and the sequential GPT-NeoX have tied embeddings."""
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
each_policy = pytest.mark.parametrize("policy", list(LossPolicy))
N_A = 4


class DoubleTorch:
    """Torch, but that its single precision is double."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)


@pytest.fixture
def double_model(random_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> MakeModel:
    """Makes models that compute in double precision throughout.

    GPT-Neo computes attention in single precision whatever its weights are.
    """
    monkeypatch.setattr("transformers.models.gpt_neo.modeling_gpt_neo.torch", DoubleTorch())
    return lambda architecture: random_model(architecture).double()


def options(policy: LossPolicy = LossPolicy.ANSWER, **changes) -> GradientOptions:
    return GradientOptions(policy=policy, end_token=1, block_size=11, **changes)


def autograd_gradients(
    model: PreTrainedModel, rows: list[TokenizedRow], chosen: GradientOptions
) -> Tensor:
    """Every example's gradient, formed and flattened: the slow reference."""
    examples = make_examples(
        rows, chosen.policy, end_token=chosen.end_token, block_size=chosen.block_size
    )
    labels = examples.tokens.masked_fill(~examples.targets, -100)
    used = int(examples.targets.any(0).nonzero().max())
    logits = model(input_ids=examples.tokens[:, :used]).logits
    parameters = list(model.parameters())
    gradients = []
    for row, label in zip(logits, labels[:, 1 : used + 1], strict=True):
        loss = functional.cross_entropy(row, label, ignore_index=-100)
        parts = torch.autograd.grad(loss, parameters, retain_graph=True)
        gradients.append(torch.cat([part.double().flatten() for part in parts]))
    return torch.stack(gradients)


def error(model: PreTrainedModel, rows: list[TokenizedRow], chosen: GradientOptions) -> float:
    """Largest error of an inner product over the product of the two norms."""
    gradients = autograd_gradients(model, rows, chosen)
    a, b = gradients[:N_A], gradients[N_A:]
    gram = gradient_gram(model, rows[:N_A], rows[N_A:], options=chosen)
    norms = a.norm(dim=1)[:, None] * b.norm(dim=1)
    return ((gram.dot - a @ b.T) / norms).abs().max().item()


@each_policy
@each_architecture
def test_inner_products_are_those_of_autograd(
    architecture: str, policy: LossPolicy, double_model: MakeModel, word_prompts
) -> None:
    assert error(double_model(architecture), word_prompts, options(policy)) <= 1e-12


@each_policy
@each_architecture
def test_single_precision_cosines_are_exact_to_1e_5(
    architecture: str, policy: LossPolicy, random_model: MakeModel, word_prompts
) -> None:
    model = random_model(architecture)
    gram = gradient_gram(model, word_prompts, word_prompts, options=options(policy))
    exact = autograd_gradients(model.double(), word_prompts, options(policy))
    exact = functional.normalize(exact, dim=1)
    torch.testing.assert_close(gram.cosine, exact @ exact.T, rtol=0, atol=1e-5)


def test_norms_distances_and_losses_are_those_of_autograd(
    double_model: MakeModel, word_prompts
) -> None:
    model = double_model("neox")
    gradients = autograd_gradients(model, word_prompts, options())
    gram = gradient_gram(model, word_prompts[:N_A], word_prompts[N_A:], options=options())
    torch.testing.assert_close(gram.norms_a, gradients[:N_A].norm(dim=1))
    torch.testing.assert_close(gram.norms_b, gradients[N_A:].norm(dim=1))
    distances = torch.cdist(gradients[:N_A], gradients[N_A:]).square()
    torch.testing.assert_close(gram.sqdist, distances)
    tokens = torch.tensor([word_prompts[0].input_ids])
    logits = model(input_ids=tokens).logits[0, -2]
    expected = functional.cross_entropy(logits, tokens[0, -1]).item()
    assert gram.losses_a[0].item() == pytest.approx(expected, abs=1e-12)


@each_policy
def test_chosen_pairs_are_entries_of_all_pairs(
    policy: LossPolicy, double_model: MakeModel, word_prompts
) -> None:
    model = double_model("neox-sequential")
    a, b = word_prompts[:N_A], word_prompts[N_A:]
    # One left example with many partners, shared partners, a repeated pair, and one in no pair.
    pairs = torch.tensor([[0, 0], [2, 1], [0, 1], [0, 2], [3, 1], [0, 3], [0, 4], [0, 0]])
    whole = gradient_gram(model, a, b, options=options(policy))
    chosen = gradient_pairs(model, a, b, pairs=pairs, options=options(policy))
    for measure in ("dot", "cosine", "sqdist"):
        expected = getattr(whole, measure)[pairs[:, 0], pairs[:, 1]]
        torch.testing.assert_close(getattr(chosen, measure), expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(chosen.norms_a, whole.norms_a)
    torch.testing.assert_close(chosen.losses_b, whole.losses_b)


@each_architecture
def test_statistics_are_those_of_the_formed_gradients(
    architecture: str, double_model: MakeModel, word_prompts
) -> None:
    model = double_model(architecture)
    gradients = autograd_gradients(model, word_prompts, options())
    mean = gradients.mean(0)
    statistics = gradient_statistics(model, word_prompts, options=options())
    assert statistics.n_examples == len(word_prompts)
    variance = (gradients - mean).square().sum(1).mean().item()
    assert statistics.variance == pytest.approx(variance, rel=1e-10)
    assert statistics.mean_gradient_norm == pytest.approx(mean.norm().item(), rel=1e-10)
    cosines = torch.cosine_similarity(gradients, mean[None])
    torch.testing.assert_close(statistics.cosines_to_mean, cosines)


def test_gradients_that_do_not_fit_into_memory_are_measured_in_blocks(
    double_model: MakeModel, word_prompts
) -> None:
    model = double_model("neox-sequential")
    a, b = word_prompts[:N_A], word_prompts[N_A:]
    pairs = torch.cartesian_prod(torch.arange(N_A), torch.arange(len(b)))
    tight = options(memory=60_000, batch_tokens=8)
    for granularity in (Granularity.WHOLE, Granularity.MODULE):
        in_blocks = gradient_gram(
            model, a, b, options=options(memory=60_000, granularity=granularity)
        )
        at_once = gradient_gram(model, a, b, options=options(granularity=granularity))
        torch.testing.assert_close(in_blocks.parts, at_once.parts, rtol=1e-11, atol=1e-11)
    few = gradient_pairs(model, a, b, pairs=pairs, options=tight)
    many = gradient_pairs(model, a, b, pairs=pairs, options=options())
    torch.testing.assert_close(few.dot, many.dot, rtol=1e-11, atol=1e-11)
    assert few.statistics is not None
    assert many.statistics is not None
    assert few.statistics.variance == pytest.approx(many.statistics.variance, rel=1e-11)
    torch.testing.assert_close(few.statistics.cosines_to_mean, many.statistics.cosines_to_mean)


def test_half_precision_products_change_cosines_by_less_than_one_percent(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    exact = gradient_gram(model, word_prompts, word_prompts, options=options())
    half = gradient_gram(model, word_prompts, word_prompts, options=options(precision="bf16"))
    difference = (half.cosine - exact.cosine).abs().max().item()
    assert 0 < difference < 0.01


def test_half_precision_model_is_measured(random_model: MakeModel, word_prompts) -> None:
    model = random_model("llama").bfloat16()
    gram = gradient_gram(model, word_prompts, word_prompts, options=options())
    gradients = functional.normalize(
        autograd_gradients(model.double(), word_prompts, options()), dim=1
    )
    torch.testing.assert_close(gram.cosine, gradients @ gradients.T, rtol=0, atol=0.03)


class TwoWeights(PreTrainedModel):
    """Logits `w_s w` of the token s, with the two weights w in both embeddings."""

    config_class = GPTNeoXConfig
    base_model_prefix = "inner"

    def __init__(self) -> None:
        super().__init__(GPTNeoXConfig(vocab_size=2, hidden_size=1, num_attention_heads=1))
        self.inner = Lookup()
        self.unembed = nn.Linear(1, 2, bias=False)
        self.unembed.weight = self.inner.embed.weight
        with torch.no_grad():
            self.unembed.weight.copy_(torch.tensor([[1.0], [1 + math.log(3)]]))
        self.double()

    def get_input_embeddings(self) -> nn.Module:
        return self.inner.embed

    def get_output_embeddings(self) -> nn.Module:
        return self.unembed

    def forward(self, input_ids: Tensor, use_cache: bool, return_dict: bool) -> CausalLMOutput:
        hidden = self.inner(input_ids, use_cache).last_hidden_state
        return CausalLMOutput(logits=self.unembed(hidden))


class Lookup(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, 1)

    def forward(self, input_ids: Tensor, use_cache: bool) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.embed(input_ids))


def test_two_weights_by_hand() -> None:
    # Token 0 has the hidden state 1 and the logits (1, 1 + log 3): probabilities 1/4 and 3/4.
    # Next token 0: e = p - one_hot = (-3/4, 3/4), so the unembedding's gradient is (-3/4, 3/4)
    # and the embedding's, in the row of token 0, e . w = 3/4 log 3.
    # Next token 1: e = (1/4, -1/4), which is -1/3 of it, in both.
    a, b = (
        TokenizedRow(
            row=prompt_row(f"{answer}", "x y", "y"),
            input_ids=(0, answer),
            answer_positions=(1,),
            spans={},
        )
        for answer in (0, 1)
    )
    gram = gradient_gram(TwoWeights(), [a], [b], options=options(granularity=Granularity.MODULE))
    log3 = math.log(3)
    expected = {
        "inner.embed": -3 / 16 * log3**2,
        "unembed": -6 / 16,
        "inner.embed x unembed": 3 / 16 * log3,
        "unembed x inner.embed": 3 / 16 * log3,
    }
    assert {name: part.item() for name, part in gram.parts.items()} == pytest.approx(expected)
    assert gram.cosine.item() == pytest.approx(-1)
    square = 9 / 16 * ((log3 - 1) ** 2 + 1)
    assert gram.norms_a.item() ** 2 == pytest.approx(square)
    assert gram.sqdist.item() == pytest.approx(square * (4 / 3) ** 2)
    assert gram.losses_a.item() == pytest.approx(math.log(4))


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
