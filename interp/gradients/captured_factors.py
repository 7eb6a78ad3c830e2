"""From what the modules saw to factors of their gradients, and the proof that nothing is missing.

`check_capture` compares the sum of a few examples' gradients with autograd's, parameter by
parameter: a weight that is used outside its module, a module that mixes examples, or one that
computes something else than its class says, is an error and not a wrong number.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from data.errors import InputError
from interp.gradients.capture import Record, capture, undisturbed
from interp.gradients.factor_kinds import CrossFactors, EmbeddingFactors, FormedFactors
from interp.gradients.factors import Factors, LinearFactors, single
from interp.gradients.modules import Coverage, CoveredModule, ModuleKind
from training.examples import Examples, batch_loss

FORMED = "formed one by one"
"""Component of the parameters without a closed form."""

FactorsByModule = dict[str, Factors]


def factors_of(
    model: PreTrainedModel,
    examples: Examples,
    coverage: Coverage,
    *,
    half: bool = False,
    keep_rows: bool = False,
) -> tuple[FactorsByModule, Float[Tensor, " example"], int]:
    """Factors of the examples' gradients by component, their losses, and the number of positions.

    Args:
        model: Left as it was.
        examples: One batch.
        coverage: Of the model.
        half: Round the factors of products to bfloat16.
        keep_rows: Keep one row for each position in every component.
    """
    captured = capture(model, examples, coverage, trim=not keep_rows)
    factors: FactorsByModule = {}
    for name, covered in coverage.modules.items():
        record = captured.records.pop(name)
        factors[name] = _factors(covered, record, half=half, keep_rows=keep_rows)
    if coverage.formed:
        factors[FORMED] = _formed_one_by_one(model, examples, coverage.formed)
    return factors, captured.losses, captured.n_positions


def with_crossed_products(factors: FactorsByModule, coverage: Coverage) -> FactorsByModule:
    """The factors, and those of an embedding that is tied to the unembedding."""
    if coverage.tied_embedding is None:
        return factors
    crossed: FactorsByModule = {}
    names = coverage.tied_embedding, coverage.unembedding
    embedding, unembedding = factors[names[0]], factors[names[1]]
    assert isinstance(embedding, EmbeddingFactors)
    assert isinstance(unembedding, LinearFactors)
    for is_flipped in (False, True):
        first, second = reversed(names) if is_flipped else names
        crossed[f"{first} x {second}"] = CrossFactors(
            embedding=embedding, unembedding=unembedding, is_flipped=is_flipped
        )
    return factors | crossed


def _factors(covered: CoveredModule, record: Record, *, half: bool, keep_rows: bool) -> Factors:
    inputs, gradients = record.inputs, record.gradients
    match covered.kind:
        case ModuleKind.LINEAR | ModuleKind.CONV1D:
            return LinearFactors(
                inputs=inputs.bfloat16() if half else inputs,
                gradients=gradients.bfloat16() if half else gradients,
                weight=covered.weight,
                bias=covered.bias,
                is_transposed=covered.kind is ModuleKind.CONV1D,
            )
        case ModuleKind.EMBEDDING:
            return EmbeddingFactors(
                indices=inputs,
                gradients=gradients.bfloat16() if half else gradients,
                weight=covered.weight,
                n_indices=len(covered.module.get_parameter("weight")),
            )
        case ModuleKind.LAYER_NORM | ModuleKind.RMS_NORM:
            gradients = single(gradients)
            vectors = gradients * _normalized(covered.module, inputs)
            parts = [vectors, gradients] if covered.bias else [vectors]
            if not keep_rows:
                parts = [part.sum(1, keepdim=True) for part in parts]
            width = vectors.shape[-1:]
            names = [covered.weight, covered.bias] if covered.bias else [covered.weight]
            return FormedFactors(
                vectors=torch.cat(parts, dim=2), shapes={str(name): width for name in names}
            )


def _normalized(
    module: nn.Module, inputs: Float[Tensor, "example row d_model"]
) -> Float[Tensor, "example row d_model"]:
    """What a norm multiplies by its weight, computed as the module computes it."""
    if isinstance(module, LlamaRMSNorm):
        values = inputs.float()
        scale = torch.rsqrt(values.square().mean(-1, keepdim=True) + module.variance_epsilon)
        return single((values * scale).to(inputs.dtype))
    assert isinstance(module, nn.LayerNorm | nn.RMSNorm)
    if isinstance(module, nn.RMSNorm):
        return functional.rms_norm(single(inputs), module.normalized_shape, None, module.eps)
    return functional.layer_norm(single(inputs), module.normalized_shape, eps=module.eps)


def _formed_one_by_one(
    model: PreTrainedModel, examples: Examples, names: Sequence[str]
) -> FormedFactors:
    parameters = {name: model.get_parameter(name) for name in names}
    vectors = []
    for i in range(len(examples)):
        gradients = autograd_gradients(model, _at(examples, slice(i, i + 1)), parameters)
        vectors.append(torch.cat([single(gradient).flatten() for gradient in gradients.values()]))
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    return FormedFactors(vectors=torch.stack(vectors)[:, None], shapes=shapes)


def autograd_gradients(
    model: PreTrainedModel, example: Examples, parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The gradient of one example's loss by ordinary means; nothing stays behind."""
    device = next(model.parameters()).device
    example = Examples(tokens=example.tokens.to(device), targets=example.targets.to(device))
    with undisturbed(model), _differentiable(parameters.values()):
        loss = batch_loss(model, example)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }


def check_capture(model: PreTrainedModel, examples: Examples, coverage: Coverage) -> None:
    """Raises InputError unless the captured gradients of the examples are those of autograd."""
    factors, _, _ = factors_of(model, examples, coverage)
    parameters = {name: model.get_parameter(name) for name, _ in model.named_parameters()}
    expected = {name: single(torch.zeros_like(p)) for name, p in parameters.items()}
    for i in range(len(examples)):
        gradients = autograd_gradients(model, _at(examples, slice(i, i + 1)), parameters)
        for name, gradient in gradients.items():
            expected[name] += gradient
    squares = {name: value.double().square().sum().item() for name, value in expected.items()}
    scale = sum(squares.values()) ** 0.5
    if not scale < float("inf"):
        raise InputError("the model's gradients are not finite; it is damaged or diverged")
    for factor in factors.values():
        for name, total in factor.total().items():
            expected[name] -= total
    rounding = {torch.float64: 1e-9, torch.float32: 1e-3}.get(next(model.parameters()).dtype, 0.05)
    for name, rest in expected.items():
        error = rest.double().square().sum().item() ** 0.5
        if not error <= rounding * (squares[name] ** 0.5 + 0.01 * scale):
            raise InputError(
                f"the captured gradient of {name} is not autograd's: it differs by {error:.2g} of"
                f" {squares[name] ** 0.5:.2g}; {type(model).__name__} uses the weight in a way that"
                " the exact form does not know"
            )


@contextmanager
def _differentiable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_()
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _at(examples: Examples, chosen: slice) -> Examples:
    return Examples(tokens=examples.tokens[chosen], targets=examples.targets[chosen])
