from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import LossPolicy
from interp.gradients.gram import GradientOptions, Granularity, gradient_gram, token_gram
from interp.gradients.modules import cover

MakeModel = Callable[[str], PreTrainedModel]
OPTIONS = GradientOptions(policy=LossPolicy.ANSWER)
MATERIALISED = GradientOptions(policy=LossPolicy.ANSWER, allow_materialise=True)


class Doubled(nn.Linear):
    """Computes something else than the class that it is a subclass of."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def mlp_of(model: PreTrainedModel) -> nn.Module:
    return model.get_submodule("gpt_neox.layers.0.mlp")


def exact_gram(model: PreTrainedModel, rows) -> Tensor:
    """Inner products of formed gradients, one example at a time; an unused weight has zeros."""
    gradients = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids[:-1]])).logits[0, -1]
        loss = functional.cross_entropy(logits, torch.tensor(row.input_ids[-1]))
        parameters = list(model.parameters())
        parts = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients.append(
            torch.cat(
                [
                    torch.zeros_like(p).flatten() if g is None else g.flatten()
                    for p, g in zip(parameters, parts, strict=True)
                ]
            )
        )
    stacked = torch.stack(gradients)
    return stacked @ stacked.T


def assert_exact(model: PreTrainedModel, rows, options: GradientOptions = OPTIONS) -> None:
    gram = gradient_gram(model, rows, rows, options=options)
    exact = exact_gram(model, rows)
    scale = exact.diagonal().sqrt()
    assert ((gram.dot - exact) / (scale[:, None] * scale)).abs().max().item() <= 1e-12


@pytest.mark.parametrize("architecture", ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"])
def test_every_parameter_has_one_owner(architecture: str, random_model: MakeModel) -> None:
    model = random_model(architecture)
    coverage = cover(model)
    owned = [m.weight for m in coverage.modules.values() if m.name != coverage.tied_embedding]
    owned += [m.bias for m in coverage.modules.values() if m.bias]
    assert sorted(owned) == sorted(name for name, _ in model.named_parameters())
    assert coverage.formed == ()
    is_tied = model.config.tie_word_embeddings
    assert (coverage.tied_embedding is not None) == is_tied


def replace_linear(model: PreTrainedModel, path: str) -> None:
    """Puts a `Doubled` with half the weights in a linear layer's place: the same function."""
    old = model.get_submodule(path)
    assert isinstance(old, nn.Linear)
    new = Doubled(old.in_features, old.out_features).to(old.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(old.weight / 2)
        new.bias.copy_(old.bias / 2)
    model.set_submodule(path, new)


def test_subclass_of_a_linear_layer_is_refused_by_name(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    replace_linear(model, "gpt_neox.layers.1.mlp.dense_h_to_4h")
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.dense_h_to_4h \(Doubled\)") as caught:
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    assert "\n" not in str(caught.value)


def test_refused_module_is_exact_when_its_gradients_may_be_formed(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox").double()
    replace_linear(model, "gpt_neox.layers.1.mlp.dense_h_to_4h")
    assert_exact(model, word_prompts, MATERIALISED)
    with pytest.raises(InputError, match="cannot be split by token"):
        token_gram(
            model,
            word_prompts,
            word_prompts,
            pairs=torch.tensor([[0, 1]]),
            options=MATERIALISED,
        )


def test_convolution_is_refused_and_never_skipped(random_model: MakeModel, word_prompts) -> None:
    model = random_model("neox").double()
    mlp_of(model).extra = nn.Conv2d(1, 1, 1).double()
    with pytest.raises(InputError, match=r"layers\.0\.mlp\.extra \(Conv2d\)"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    assert_exact(model, word_prompts, MATERIALISED)


def test_linear_layer_that_is_never_called_is_refused(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    mlp_of(model).extra = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"mlp\.extra \(Linear\) .* never called"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)


def test_weight_that_is_used_outside_its_module_is_noticed(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    mlp = mlp_of(model)
    usual = mlp.forward
    mlp.forward = lambda x: (
        usual(x) + functional.linear(x, mlp.get_parameter("dense_h_to_4h.weight")[:16])
    )
    with pytest.raises(InputError, match=r"0\.mlp\.dense_h_to_4h\.weight is not autograd's"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)


def test_module_that_mixes_examples_into_rows_is_refused(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    mlp = mlp_of(model)
    usual = mlp.forward
    mlp.forward = lambda x: usual(x.flatten(0, 1)).view_as(x)
    with pytest.raises(InputError, match="cannot be told apart by example"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)


def test_module_that_is_called_twice_is_exact(random_model: MakeModel, word_prompts) -> None:
    model = random_model("neox").double()
    mlp = mlp_of(model)
    usual = mlp.forward
    mlp.forward = lambda x: usual(usual(x))
    assert_exact(model, word_prompts)
    maps = token_gram(
        model, word_prompts, word_prompts, pairs=torch.tensor([[0, 1]]), options=OPTIONS
    )
    exact = exact_gram(model, word_prompts)[0, 1]
    torch.testing.assert_close(maps["all"].sum(), exact)


def test_layers_that_are_the_same_module_are_exact(random_model: MakeModel, word_prompts) -> None:
    model = random_model("llama").double()
    model.model.layers[1].mlp = model.model.layers[0].mlp
    assert_exact(model, word_prompts)


def test_modules_that_share_a_weight_are_refused_unless_formed(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("llama").double()
    first, second = (layer.mlp for layer in model.model.layers)
    second.up_proj.weight = first.up_proj.weight
    with pytest.raises(InputError, match=r"up_proj \(Linear\) shares a parameter"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    assert_exact(model, word_prompts, MATERIALISED)


def test_padding_row_of_an_embedding_has_no_gradient(random_model: MakeModel, word_prompts) -> None:
    model = random_model("llama").double()
    model.model.embed_tokens.padding_idx = word_prompts[0].input_ids[0]
    assert_exact(model, word_prompts)


def test_quantised_weights_are_refused_even_if_gradients_may_be_formed(
    random_model: MakeModel, word_prompts
) -> None:
    model = random_model("neox")
    module = mlp_of(model).get_submodule("dense_h_to_4h")
    module.weight = nn.Parameter(
        module.get_parameter("weight").detach().to(torch.int8), requires_grad=False
    )
    with pytest.raises(InputError, match=r"dense_h_to_4h \(Linear\) is quantised"):
        gradient_gram(model, word_prompts, word_prompts, options=OPTIONS)
    with pytest.raises(InputError, match=r"torch\.int8, which has no gradient"):
        gradient_gram(model, word_prompts, word_prompts, options=MATERIALISED)


def test_heads_of_an_unknown_architecture_are_refused(
    random_model: MakeModel, word_prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = GradientOptions(policy=LossPolicy.ANSWER, granularity=Granularity.HEAD)
    monkeypatch.setattr("interp.gradients.split._READS", {})
    monkeypatch.setattr("interp.gradients.split._WRITES", ())
    with pytest.raises(InputError, match="GPTNeoXForCausalLM keeps its attention heads"):
        gradient_gram(random_model("neox"), word_prompts, word_prompts, options=options)
