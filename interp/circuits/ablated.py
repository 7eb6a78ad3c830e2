"""What does a model answer without any set of units? Many sets in one pass, exactly.

A unit's output (a head's `z`, an MLP's output) is replaced by zero, by its mean over reference rows
at tokens of the same meaning, or by its value there in another reference row; see
`interp.interventions.ablation`, whose reference this is. A pass begins at the first layer and at
the first token that a set touches: before them nothing differs from the pass without ablation,
which is made once.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from interp.circuits.passes import AblatedParts, Held, RowBatch
from interp.circuits.units import Part, Unit, by_layer, first_layers, role_numbers
from interp.hooked.addresses import Site
from interp.interventions.ablation import AblationKind


@runtime_checkable
class Answerable(Protocol):
    """Rows that can be answered with any set of parts of a model disrupted, in whatever way."""

    n_rows: int

    @property
    def units(self) -> Sequence[Part]:
        """Those of which sets are made."""
        ...

    def answers(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of each row (0 or 1; nats) without each set of units."""
        ...


@runtime_checkable
class Ablatable(Answerable, Protocol):
    """Rows that can be answered without any set of parts of a model: units, or edges."""

    @property
    def kind(self) -> AblationKind:
        """What takes the place of an ablated output."""
        ...

    def slopes(self, shares: Float[Tensor, " unit"]) -> Float[Tensor, "row unit"]:
        """How fast the answers' log-probabilities change with the share of each that is gone."""
        ...


class AblatedRows(AblatedParts[Unit]):
    """Rows of a model, to be answered without any set of units as often as one likes."""

    def _sites(self) -> list[Site]:
        layers = range(self.unrolled.n_layers)
        return [Site(name, layer) for layer in layers for name in ("z", "mlp_out")]

    def _numbers(self) -> dict[str, int]:
        return role_numbers(self.units)

    def _starts(self, roles: Int[Tensor, "row pos"]) -> Int[Tensor, " unit"]:
        numbers = self._numbers()
        places = torch.arange(roles.shape[1]).expand_as(roles)
        found = [
            torch.where(roles == numbers[unit.role], places, roles.shape[1]).min()
            for unit in self.units
        ]
        return torch.stack(found)

    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        heads, mlp = by_layer(shares, self.units, self.unrolled.model)
        return [*heads, *mlp]

    def _firsts(self, sets: Bool[Tensor, "set unit"]) -> Int[Tensor, " set"]:
        return first_layers(sets, self.units, self.unrolled.n_layers)

    def _logits(
        self, batch: RowBatch, held: Held, *, first: int, start: int
    ) -> Float[Tensor, "set predicting d_vocab"]:
        heads, mlp = held[: self.unrolled.n_layers], held[self.unrolled.n_layers :]
        unrolled, base, n_sets = self.unrolled, batch.base, len(heads[0])
        start = min(start, batch.n_read - batch.kept)

        def of_sets(activation: Tensor) -> Tensor:
            return activation.repeat(n_sets, *[1] * (activation.ndim - 1))

        x = of_sets(base["resid_pre"][first][:, start:])
        for layer in range(first, unrolled.n_layers):
            last = batch.kept if layer == unrolled.n_layers - 1 else x.shape[1]
            if layer == first:  # what it reads is what it read without ablation
                z = of_sets(base["z"][layer])[:, -last:]
            else:
                z = unrolled.heads(x, layer, base, last=last)
            z = _mixed(z, heads[layer], batch, batch.others["z"][layer], last)
            attn_out = unrolled.write(z, layer)
            x = x[:, -last:]
            if layer == first and unrolled.is_parallel:
                mlp_out = of_sets(base["mlp_out"][layer])[:, -last:]
            else:
                mlp_out = unrolled.mlp(x if unrolled.is_parallel else x + attn_out, layer)
            others = batch.others["mlp_out"][layer][:, :, None]
            mixed = _mixed(mlp_out[:, :, None], mlp[layer][:, :, None], batch, others, last)
            x = x + attn_out + mixed[:, :, 0]
        x = x[:, -batch.kept :].unflatten(0, (n_sets, len(batch.roles)))
        return unrolled.logits(x[:, *batch.predicting])


def _mixed(
    activation: Float[Tensor, "set_row last head width"],
    shares: Float[Tensor, "set #row head role"],
    batch: RowBatch,
    values: Float[Tensor, "row pos head width"],
    last: int,
) -> Float[Tensor, "set_row last head width"]:
    """An activation of which, by head and role, a share is other values: all of it at 1."""
    if not shares.requires_grad and not shares.any():
        return activation
    n_rows = len(batch.roles)
    padded = functional.pad(shares, (0, 1))  # the last role is that of no unit
    padded = padded.expand(-1, n_rows, -1, -1).to(activation.device)
    places = batch.roles[:, -last:] % padded.shape[-1]
    at = padded.take_along_dim(places[None, :, None], dim=-1).transpose(2, 3).flatten(0, 1)
    others = values[:, -last:].repeat(len(activation) // n_rows, 1, 1, 1)
    return torch.lerp(activation, others, at[..., None])
