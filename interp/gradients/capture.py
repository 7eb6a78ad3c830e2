"""What did each module see, and what does the loss ask of its output?

One batched forward pass and one backward pass to the modules' outputs, never to the weights. With
the input x_t of a module at row t of an example and the gradient d_t of that example's loss at the
module's output there, the gradient of a linear layer's weight is `sum_t outer(d_t, x_t)`: all that
inner products of gradients need, at a fraction of the gradients' size.

The loss of an example is the mean cross-entropy over its own targets, as when it is trained alone.
Nothing of the model stays changed: not its hooks, gradients, mode or random state, also when a
pass is interrupted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from data.errors import InputError
from interp.gradients.modules import Coverage, CoveredModule, ModuleKind
from interp.gradients.products import products
from interp.hooked.plain_models import preserved_random_state
from interp.hooked.unembedding import LogitEnd
from training.examples import Examples
from training.models.contexts import check_lengths, check_tokens, context_length

SPARSE_TARGETS = 0.5
"""Below this share of target positions, rows that the loss does not reach are looked for."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a module saw, and the gradient of each example's loss at its output."""

    inputs: Shaped[Tensor, "example row ..."]
    """Activations, or of an embedding the indices that it looked up."""
    gradients: Float[Tensor, "example row width"]


@dataclass(frozen=True, kw_only=True)
class Capture:
    """The records of some examples by module, and their losses."""

    records: dict[str, Record]
    losses: Float[Tensor, " example"]
    n_positions: int
    """Of untrimmed records: row r stands at position `r % n_positions`."""


def capture(
    model: PreTrainedModel, examples: Examples, coverage: Coverage, *, trim: bool = True
) -> Capture:
    """Runs the examples as one batch and records every covered module.

    Args:
        model: Any plain causal language model; measured in evaluation mode, left as it was.
        examples: Right-padded, each with a target.
        coverage: Which modules to record.
        trim: Drop rows that the loss does not reach. Otherwise each module has one row for each
            position, as often as it was called.

    Raises:
        InputError: an example has no target, or a module was not called with one row for each
            position of each example.
    """
    tokens, shifted = _predicting(model, examples)
    where, weights = _target_rows(shifted, trim=trim)
    inner = {n: m for n, m in coverage.modules.items() if n != coverage.unembedding}
    records: dict[str, Record] = {}
    with undisturbed(model), _recording(inner, len(tokens)) as calls:
        hidden = model.base_model(input_ids=tokens[:, :-1], use_cache=False).last_hidden_state
        _check_calls(inner, calls, shifted.shape)
        chosen = _at_rows(hidden.detach(), where)
        unembedded, end = _unembed(model, chosen), LogitEnd.of(model.config)
        losses, gradients = _cross_entropy(end(unembedded), tokens[:, 1:].gather(1, where), weights)
        logit_gradients = end.backward(gradients, unembedded)
        if coverage.unembedding in coverage.modules:
            records[coverage.unembedding] = Record(inputs=chosen, gradients=logit_gradients)
        hidden_gradients = _through_head(model, chosen, logit_gradients)
        outputs = [output for name in inner for _, output in calls[name]]
        gradients = torch.autograd.grad(
            hidden,
            outputs,
            _from_rows(hidden_gradients, where, shifted.shape[1]),
            allow_unused=True,
        )
    is_sparse = trim and bool(shifted.float().mean() < SPARSE_TARGETS)
    remaining = iter(gradients)
    for name, covered in inner.items():
        pairs = [(x, y, next(remaining)) for x, y in calls[name]]
        records[name] = _record(covered, pairs, trim=is_sparse)
    return Capture(records=records, losses=losses, n_positions=shifted.shape[1])


@contextmanager
def undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode, gradients on and nothing drawn, for the length of a `with` block."""
    in_training = [module for module in model.modules() if module.training]
    random_state = preserved_random_state(next(model.parameters()).device)
    with random_state, torch.enable_grad():
        for module in in_training:
            module.training = False
        try:
            yield
        finally:
            for module in in_training:
                module.training = True


def _predicting(
    model: PreTrainedModel, examples: Examples
) -> tuple[Int[Tensor, "example pos_and_one"], Bool[Tensor, "example pos"]]:
    """Tokens up to the last target, and the positions whose next token is a target.

    Columns behind are padding, where causal attention never looks; one may be added, because
    products of small matrices are several times slower at odd sizes.
    """
    check_tokens(model.config, examples.tokens)
    check_lengths(model.config, examples.tokens)
    device = next(model.parameters()).device
    used = int(examples.targets.any(0).nonzero().max()) + 1
    tokens, targets = examples.tokens[:, :used].to(device), examples.targets[:, 1:used].to(device)
    longest = context_length(model.config) or used + 1
    if used % 8 == 0 and used <= longest:
        tokens, targets = functional.pad(tokens, (0, 1)), functional.pad(targets, (0, 1))
    return tokens, targets


Calls = dict[str, list[tuple[Tensor, Tensor]]]


@contextmanager
def _recording(modules: dict[str, CoveredModule], n_examples: int) -> Iterator[Calls]:
    """Input and output of every call of the modules, for the length of a `with` block."""
    calls: Calls = defaultdict(list)

    def for_each_example(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Position ids come as one row for the whole batch, whose gradient would be a sum.
        indices = arguments[0]
        if indices.ndim == 2 and len(indices) == 1:
            indices = indices.expand(n_examples, -1)
        return (indices, *arguments[1:])

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_()
            calls[name].append((arguments[0].detach(), output))

        return hook

    handles = []
    try:
        for name, covered in modules.items():
            if covered.kind is ModuleKind.EMBEDDING:
                handles.append(covered.module.register_forward_pre_hook(for_each_example))
            handles.append(covered.module.register_forward_hook(keep(name)))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _check_calls(modules: dict[str, CoveredModule], calls: Calls, shape: torch.Size) -> None:
    for name, covered in modules.items():
        kind = type(covered.module).__name__
        if not calls[name]:
            raise InputError(
                f"{name} ({kind}) owns parameters but is never called; its gradient cannot be"
                " captured, use another model"
            )
        for inputs, output in calls[name]:
            if inputs.shape[:2] != shape or output.shape[:2] != shape or output.ndim != 3:
                raise InputError(
                    f"{name} ({kind}) maps {list(inputs.shape)} to {list(output.shape)} for"
                    f" {shape[0]} examples of {shape[1]} positions, so its rows cannot be told"
                    " apart by example; use another model"
                )


def _target_rows(
    shifted: Bool[Tensor, "example pos"], *, trim: bool
) -> tuple[Int[Tensor, "example target"], Float[Tensor, "example target"]]:
    """Positions that predict a target, and their weights in the mean; weight 0 fills up."""
    counts = shifted.sum(1, keepdim=True)
    if not bool((counts > 0).all()):
        raise InputError("an example has nothing to predict; leave it out, or change the policy")
    n_rows = int(counts.max()) if trim else shifted.shape[1]
    if n_rows == shifted.shape[1]:
        where = torch.arange(n_rows, device=shifted.device).expand_as(shifted)
    else:
        where = shifted.int().argsort(dim=1, descending=True, stable=True)[:, :n_rows]
    return where, shifted.gather(1, where).double() / counts


def _at_rows(
    values: Float[Tensor, "example pos width"], where: Int[Tensor, "example row"]
) -> Float[Tensor, "example row width"]:
    if where.shape[1] == values.shape[1]:
        return values
    return values.gather(1, where[..., None].expand(-1, -1, values.shape[2]))


def _from_rows(
    values: Float[Tensor, "example row width"], where: Int[Tensor, "example row"], n_positions: int
) -> Float[Tensor, "example pos width"]:
    """The inverse of `_at_rows`; rows that fill up hold zeros."""
    if where.shape[1] == n_positions:
        return values
    full = values.new_zeros(len(values), n_positions, values.shape[2])
    return full.scatter_add_(1, where[..., None].expand_as(values), values)


def _head(model: PreTrainedModel) -> nn.Module:
    head = model.get_output_embeddings()
    assert head is not None
    return head


@torch.no_grad()
def _unembed(
    model: PreTrainedModel, hidden: Float[Tensor, "example row d_model"]
) -> Float[Tensor, "example row d_vocab"]:
    head = _head(model)
    if type(head) is nn.Linear and head.bias is None:
        return (
            products(hidden.flatten(0, 1), head.weight.detach())
            .to(hidden.dtype)
            .view(*hidden.shape[:2], -1)
        )
    return head(hidden)


@torch.no_grad()
def _cross_entropy(
    logits: Float[Tensor, "example row d_vocab"],
    wanted: Int[Tensor, "example row"],
    weights: Float[Tensor, "example row"],
) -> tuple[Float[Tensor, " example"], Float[Tensor, "example row d_vocab"]]:
    """Loss of each example, and its gradient at the logits: `weight * (softmax - one_hot)`."""
    at_least_single = logits if logits.dtype == torch.float64 else logits.float()
    log_probs = at_least_single.log_softmax(-1)
    weights = weights.to(log_probs.dtype)
    chosen = log_probs.gather(2, wanted[..., None])
    losses = -(chosen.squeeze(2) * weights).sum(1)
    gradients = log_probs.exp_().mul_(weights[..., None])
    gradients.scatter_add_(2, wanted[..., None], -weights[..., None])
    return losses, gradients.to(logits.dtype)


def _through_head(
    model: PreTrainedModel,
    hidden: Float[Tensor, "example row d_model"],
    logit_gradients: Float[Tensor, "example row d_vocab"],
) -> Float[Tensor, "example row d_model"]:
    head = _head(model)
    if type(head) is nn.Linear:
        flat = products(logit_gradients.flatten(0, 1), head.weight.detach().T)
        return flat.to(hidden.dtype).view_as(hidden)
    hidden = hidden.requires_grad_()
    logits = head(hidden)
    return torch.autograd.grad(logits, hidden, logit_gradients.to(logits.dtype))[0]


def _record(
    covered: CoveredModule, calls: Sequence[tuple[Tensor, Tensor, Tensor | None]], *, trim: bool
) -> Record:
    inputs = torch.cat([x for x, _, _ in calls], dim=1) if len(calls) > 1 else calls[0][0]
    each = [torch.zeros_like(output) if d is None else d for _, output, d in calls]
    gradients = torch.cat(each, dim=1) if len(each) > 1 else each[0]
    padding = getattr(covered.module, "padding_idx", None)
    if padding is not None:
        gradients = gradients.masked_fill((inputs == padding)[..., None], 0.0)
    return (
        _without_zero_rows(inputs, gradients)
        if trim
        else Record(inputs=inputs, gradients=gradients)
    )


def _without_zero_rows(
    inputs: Shaped[Tensor, "example row ..."], gradients: Float[Tensor, "example row width"]
) -> Record:
    """Each example's rows with a gradient first, and no more columns than they need."""
    reached = (gradients != 0).any(-1)
    n_rows = max(int(reached.sum(1).max()), 1)
    if n_rows < reached.shape[1]:
        where = reached.int().argsort(dim=1, descending=True, stable=True)[:, :n_rows]
        gradients = _at_rows(gradients, where)
        inputs = inputs.gather(1, where) if inputs.ndim == 2 else _at_rows(inputs, where)
    return Record(inputs=inputs, gradients=gradients)
