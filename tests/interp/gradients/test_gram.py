import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GPTNeoXConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from data.rows import prompt_row
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.gradients.gram import (
    GradientOptions,
    Granularity,
    gradient_gram,
    gradient_pairs,
    gradient_statistics,
)
from tests.interp.gradients.slow_gradients import (
    N_A,
    autograd_gradients,
    each_architecture,
    each_policy,
    options,
)

MakeModel = Callable[[str], PreTrainedModel]


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
