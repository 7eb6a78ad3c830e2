"""What a circuit is made of: units, each a head or an MLP at the tokens of one role.

Every token of a prompt has one role: that of the shortest stretch of the text that holds it, or
`other` outside all. So the units of a model are its components as often as there are roles, and
whatever a set of them leaves in the model is what the other units do.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data.errors import InputError, unknown_name
from data.tokens import TokenizedRow
from interp.hooked.addresses import check_number, in_order
from interp.hooked.answers import read_length
from interp.hooked.model import HookedModel


@runtime_checkable
class Part(Protocol):
    """What circuits are made of: a unit, or an edge."""

    @property
    def name(self) -> str:
        """As people write it and tables hold it."""
        ...

    @property
    def stratum(self) -> tuple[int, str]:
        """Layer and kind of component: what a matched circuit has as many of."""
        ...


BY_ROLE = "@"
"""Between the kind and the role in a stratum."""
OTHER = "other"
"""The role of a token that is in no role's span."""
_NAME = re.compile(r"a(?P<layer>\d+)\.h(?P<head>\d+)@(?P<role>\w+)|m(?P<mlp>\d+)@(?P<of>\w+)")


@dataclass(frozen=True, order=True)
class Unit:
    """A head or an MLP at the tokens of one role."""

    layer: int
    head: int | None
    """None of an MLP."""
    role: str

    @property
    def name(self) -> str:
        """`a1.h3@alias` for head 3 of layer 1, `m1@alias` for the MLP of layer 1."""
        component = f"m{self.layer}" if self.head is None else f"a{self.layer}.h{self.head}"
        return f"{component}@{self.role}"

    @property
    def stratum(self) -> tuple[int, str]:
        """Layer and kind of component, of a head its role too: a matched circuit has as many.

        Heads at tokens that no answer passes through are no controls for heads at those where all
        do. A layer has one MLP at each role, so an MLP's controls are it at other roles.
        """
        return self.layer, "mlp" if self.head is None else f"head{BY_ROLE}{self.role}"

    @classmethod
    def parse(cls, name: str) -> "Unit":
        """The unit of this name.

        Raises:
            InputError: the text is no unit's name.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(f"no unit {name!r}; write a1.h3@alias for a head, m1@alias for an MLP")
        if found["mlp"] is not None:
            return cls(int(found["mlp"]), None, found["of"])
        return cls(int(found["layer"]), int(found["head"]), found["role"])


def token_roles(row: TokenizedRow) -> list[str]:
    """The role of each token of a row: of the shortest span that holds it, else `other`."""
    roles = [OTHER] * len(row.input_ids)
    for role, (first, last) in sorted(row.spans.items(), key=lambda item: item[1][0] - item[1][1]):
        roles[first : last + 1] = [str(role)] * (last + 1 - first)
    return roles


def roles_of(model: HookedModel, rows: Sequence[TokenizedRow]) -> list[str]:
    """Every role that a token has which is read when the rows are answered."""
    found = {role for row in rows for role in token_roles(row)[: read_length(model, row)]}
    known = in_order(f"{role}_first" for role in found - {OTHER})
    return [*(role.removesuffix("_first") for role in known), *([OTHER] if OTHER in found else [])]


def units_of(model: HookedModel, rows: Sequence[TokenizedRow]) -> list[Unit]:
    """Every unit that can bear on how the rows are answered, layer by layer.

    A component of the last layer does so only at tokens from which an answer is predicted.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("no rows, so no units; choose a subset that has some")
    roles, predicting = roles_of(model, rows), set()
    for row in rows:
        predicting |= set(token_roles(row)[row.answer_positions[0] - 1 : read_length(model, row)])
    return [
        Unit(layer, head, role)
        for layer in range(model.n_layers)
        for head in (*range(model.n_heads), None)
        for role in roles
        if layer < model.n_layers - 1 or role in predicting
    ]


def find_units(names: Iterable[str], units: Sequence[Unit], model: HookedModel) -> list[Unit]:
    """The units of these names, each once.

    Raises:
        InputError: a name is no unit's, the model lacks the component, or no row has the role.
    """
    found = []
    for name in dict.fromkeys(names):
        unit = Unit.parse(name)
        check_number("layer", unit.layer, model.n_layers)
        if unit.head is not None:
            check_number("head", unit.head, model.n_heads)
        if unit not in units:
            raise unknown_name("unit", name, [each.name for each in units])
        found.append(unit)
    return found


def members(circuits: Sequence[Iterable[Part]], units: Sequence[Part]) -> Bool[Tensor, "set unit"]:
    """Which units each circuit holds."""
    places = {unit: i for i, unit in enumerate(units)}
    table = torch.zeros(len(circuits), len(units), dtype=torch.bool)
    for i, circuit in enumerate(circuits):
        table[i, [places[unit] for unit in circuit]] = True
    return table


def by_layer(
    sets: Float[Tensor, "set unit"], units: Sequence[Unit], model: HookedModel
) -> tuple[list[Float[Tensor, "set head role"]], list[Float[Tensor, "set role"]]]:
    """What sets of units hold of each layer's heads, and of each layer's MLP; differentiable.

    Roles are numbered as in `role_numbers`.
    """
    roles, layers, heads = role_numbers(units), model.n_layers, model.n_heads
    empty = sets.new_zeros(len(sets), layers, heads + 1, len(roles))
    places = [
        (unit.layer, heads if unit.head is None else unit.head, roles[unit.role]) for unit in units
    ]
    layer, head, role = torch.tensor(places).T
    at = (torch.arange(len(sets))[:, None], layer, head, role)
    held = empty.index_put(at, sets)
    return [*held[:, :, :heads].unbind(1)], [*held[:, :, heads].unbind(1)]


def role_numbers(units: Sequence[Unit]) -> dict[str, int]:
    """The roles of units, numbered in the order in which they first come."""
    return {role: i for i, role in enumerate(dict.fromkeys(unit.role for unit in units))}
