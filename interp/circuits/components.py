"""Parts of a model as weights: every weight belongs to one component.

    a1.h3      head 3 of layer 1: its rows of query, key and value, its columns of the output
    a1.rest    what attention of layer 1 has beside its heads: the output's bias; keys and values
               that heads share
    m1  ln1    MLP and norms of layer 1
    ln.final   the last norm
    emb        rows of the token embeddings, those of the aliases that Stage 2 defines
    emb.rest   all other embeddings, also those of positions
    unemb      the unembedding, where it is not tied; where it is, `emb` and `emb.rest` are it, too

A *unit* (`interp.circuits.units`) is a component at the tokens of one role; weights have no role.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import unknown_name
from data.tokens import TokenizedRow
from interp.circuits.units import Part, members
from interp.transplants.analysis import compared_tokens
from interp.transplants.parts import PartMask, alias_rows, parts_of, union, weights_of

HEAD = "head"
OUTSIDE = -1
"""What stands for a layer where there is none."""
_IN_NAME = re.compile(r"a\d+\.h\d+|m\d+")


@dataclass(frozen=True)
class Component:
    """Some weights of a model; names as in the module's docstring."""

    name: str
    layer: int
    kind: str
    weights: PartMask = field(compare=False, repr=False)

    @property
    def stratum(self) -> tuple[int, str]:
        """Layer and kind: components that have both alike are as large as one another."""
        return self.layer, self.kind


def components_of(model: PreTrainedModel, rows: Sequence[TokenizedRow]) -> list[Component]:
    """All components of a model, each weight in one of them.

    Args:
        model: Plain, of an architecture that `interp.transplants.parts` knows.
        rows: All rows of a seed, whose Stage 2 tells which aliases there are.

    Raises:
        InputError: the model has a parameter of which it is not known where it belongs.
    """
    parts, aliases = parts_of(model), alias_rows(model, compared_tokens(rows))
    others = _without(model, parts["embeddings"], aliases)
    found = [
        Component("emb", OUTSIDE, "alias rows", _without(model, aliases, {})),
        Component("emb.rest", OUTSIDE, "other rows", others),
    ]
    for layer in range(model.config.num_hidden_layers):
        attention, names = parts[f"attention.{layer}"], [f"head.{layer}.{h}" for h in _heads(model)]
        rest = _without(model, attention, reduce(union, map(parts.__getitem__, names)))
        found += [
            Component(f"a{layer}.h{head}", layer, HEAD, parts[name])
            for head, name in enumerate(names)
        ]
        block, mlp = parts[f"block.{layer}"], parts[f"mlp.{layer}"]
        norms = {name: mask for name, mask in block.items() if name not in {**attention, **mlp}}
        found += [
            Component(f"a{layer}.rest", layer, "rest", rest),
            Component(f"m{layer}", layer, "mlp", mlp),
            Component(f"ln{layer}", layer, "norms", norms),
        ]
    found.append(Component("ln.final", OUTSIDE, "norms", parts["final_norm"]))
    if "unembedding" in parts:
        found.append(Component("unemb", OUTSIDE, "unembedding", parts["unembedding"]))
    return [component for component in found if component.weights]


def find_components(names: Iterable[str], components: Sequence[Component]) -> list[Component]:
    """The components of these names, each once.

    Raises:
        InputError: the model has no such component.
    """
    known = {component.name: component for component in components}
    for name in names:
        if name not in known:
            raise unknown_name("component", name, known)
    return [known[name] for name in dict.fromkeys(names)]


def weights_behind(
    circuit: Iterable[Part], components: Sequence[Component]
) -> Bool[Tensor, " component"]:
    """The heads and MLPs that the units, or the edges, of a circuit are made of, as a set."""
    names = [name for part in circuit for name in _IN_NAME.findall(part.name)]
    return members([find_components(names, components)], components)[0]


def united(components: Iterable[Component]) -> PartMask:
    """All weights of some components."""
    nothing: PartMask = {}
    return reduce(union, (component.weights for component in components), nothing)


def n_weights(model: PreTrainedModel, part: PartMask) -> int:
    """How many weights a part owns."""
    weights = weights_of(model)
    return sum(int(mask.expand_as(weights[name]).sum()) for name, mask in part.items())


def _heads(model: PreTrainedModel) -> range:
    return range(model.config.num_attention_heads)


def _without(model: PreTrainedModel, part: PartMask, other: PartMask) -> PartMask:
    """What a part owns and another does not; nothing of a parameter of which no weight is left."""
    weights, nothing = weights_of(model), torch.zeros((), dtype=torch.bool)
    left = {
        name: (mask & ~other.get(name, nothing)).expand_as(weights[name])
        for name, mask in part.items()
    }
    return {name: mask for name, mask in left.items() if mask.any()}
