"""Which module answers for which parameter of a model?

The inner product of two gradients is a sum over parameters, so it is exact only if each parameter
is counted once. `cover` assigns every parameter to one module whose gradient has a closed form in
what the module saw and what the loss asks of it; anything else is refused by name, or left to
gradients that are formed example by example.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from torch import nn
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.pytorch_utils import Conv1D

from data.errors import InputError


class ModuleKind(StrEnum):
    """How a module's parameters enter its output."""

    LINEAR = "linear"
    """`x @ weight.T + bias`."""
    CONV1D = "conv1d"
    """GPT-2's: `x @ weight + bias`."""
    LAYER_NORM = "layer_norm"
    RMS_NORM = "rms_norm"
    EMBEDDING = "embedding"


# By exact type: subclasses compute something else (quantised layers are subclasses of Linear).
_KINDS: dict[type[nn.Module], ModuleKind] = {
    nn.Linear: ModuleKind.LINEAR,
    Conv1D: ModuleKind.CONV1D,
    nn.LayerNorm: ModuleKind.LAYER_NORM,
    nn.RMSNorm: ModuleKind.RMS_NORM,
    LlamaRMSNorm: ModuleKind.RMS_NORM,
    nn.Embedding: ModuleKind.EMBEDDING,
}


@dataclass(frozen=True, kw_only=True)
class CoveredModule:
    """A module whose parameters' gradients have a closed form."""

    name: str
    """Its path in the model."""
    module: nn.Module
    kind: ModuleKind
    weight: str
    """Name of its weight; two modules with tied weights have the same."""

    @property
    def bias(self) -> str | None:
        """Name of its bias."""
        return None if getattr(self.module, "bias", None) is None else f"{self.name}.bias"


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Every parameter of a model, each once."""

    modules: dict[str, CoveredModule]
    unembedding: str
    """The module that makes the logits."""
    tied_embedding: str | None
    """The embedding that shares the unembedding's weight."""
    formed: tuple[str, ...]
    """Parameters without a closed form, whose gradients are formed example by example."""


def cover(model: PreTrainedModel, *, allow_materialise: bool = False) -> Coverage:
    """Assigns every parameter to the module that answers for it.

    Args:
        model: A plain Hugging Face causal language model.
        allow_materialise: Form the gradients of parameters without a closed form, instead of
            refusing the model.

    Raises:
        InputError: a module has parameters that the closed forms do not cover.
    """
    head = model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    if head is None or id(head) not in names:
        raise InputError(f"{type(model).__name__} has no unembedding; use a causal language model")
    owners = _owners(model)
    parameter_names = {id(parameter): name for name, parameter in model.named_parameters()}
    modules: dict[str, CoveredModule] = {}
    refused: dict[str, str] = {}
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        if not own:
            continue
        problem = _problem(module, own) or _sharing_problem(own, owners, head)
        if problem:
            refused[name] = f"{name or 'the model'} ({type(module).__name__}) {problem}"
            continue
        weight = parameter_names[id(module.weight)]
        kind = _KINDS[type(module)]
        modules[name] = CoveredModule(name=name, module=module, kind=kind, weight=weight)
    if refused and not allow_materialise:
        raise InputError(
            f"{next(iter(refused.values()))}, which the exact form does not cover; allow"
            " materialised gradients, or use another model"
        )
    return _coverage(model, modules, names[id(head)])


def _coverage(
    model: PreTrainedModel, modules: dict[str, CoveredModule], unembedding: str
) -> Coverage:
    covered = {m.weight for m in modules.values()} | {m.bias for m in modules.values()}
    formed = tuple(name for name, _ in model.named_parameters() if name not in covered)
    for name, parameter in model.named_parameters():
        if name in formed and not parameter.is_floating_point():
            raise InputError(f"{name} holds {parameter.dtype}, which has no gradient; dequantise")
    tied = [
        m.name
        for m in modules.values()
        if unembedding in modules
        and m.name != unembedding
        and m.weight == modules[unembedding].weight
    ]
    return Coverage(
        modules=modules,
        unembedding=unembedding,
        tied_embedding=tied[0] if tied else None,
        formed=formed,
    )


def _owners(model: nn.Module) -> dict[int, list[nn.Module]]:
    owners: dict[int, list[nn.Module]] = defaultdict(list)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)].append(module)
    return owners


def _problem(module: nn.Module, own: dict[str, nn.Parameter]) -> str | None:
    """Why the closed form of a module's type does not hold for it."""
    if type(module) not in _KINDS or not {"weight"} <= own.keys() <= {"weight", "bias"}:
        return "has parameters"
    if not all(parameter.is_floating_point() for parameter in own.values()):
        return "is quantised"
    if isinstance(module, nn.Embedding) and (
        module.sparse or module.scale_grad_by_freq or module.max_norm is not None
    ):
        return "is sparse, scaled by frequency, or renormalised"
    if isinstance(module, nn.LayerNorm | nn.RMSNorm) and len(module.normalized_shape) != 1:
        return "normalises over several axes"
    return None


def _sharing_problem(
    own: dict[str, nn.Parameter], owners: dict[int, list[nn.Module]], head: nn.Module
) -> str | None:
    """Why parameters that several modules share are not covered; a tied embedding is."""
    for parameter in own.values():
        sharing = owners[id(parameter)]
        if len(sharing) == 1:
            continue
        is_tied = len(sharing) == 2 and head in sharing and type(head) is nn.Linear
        embeds = [module for module in sharing if type(module) is nn.Embedding]
        if not (
            is_tied and len(embeds) == 1 and _problem(embeds[0], {"weight": parameter}) is None
        ):
            return f"shares a parameter with {len(sharing) - 1} other module"
    return None
