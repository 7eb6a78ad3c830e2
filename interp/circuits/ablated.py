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
from interp.circuits.units import Part, Unit, by_layer, role_numbers
from interp.hooked.addresses import Site
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import Trace

ROUNDING = 1e-6
"""Up to this share of a layer's largest output two outputs are the same, in float32."""


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

    def _starts(self, roles: Int[Tensor, "row pos"], kept: int) -> Int[Tensor, " unit"]:
        numbers, n_read = self._numbers(), roles.shape[1]
        places = torch.arange(n_read)
        found = []
        for unit in self.units:
            # What the last layer writes is read where answers are, and by no token after it.
            is_last = unit.layer == self.unrolled.n_layers - 1
            is_read = places >= (n_read - kept if is_last else 0)
            is_there = (roles == numbers[unit.role]) & is_read
            found.append(torch.where(is_there, places, n_read).min())
        return torch.stack(found)

    def _inert(
        self, base: Trace, others: dict[str, list[Tensor]], roles: Int[Tensor, "row pos"]
    ) -> Bool[Tensor, " unit"]:
        """At a token that all reference rows begin with, a mean is what it is the mean of."""
        numbers, found = self._numbers(), []
        for unit in self.units:
            name, head = ("z", unit.head) if unit.head is not None else ("mlp_out", slice(None))
            at = (roles == numbers[unit.role]).to(base["resid_pre"][0].device)
            own, other = base[name][unit.layer][at], others[name][unit.layer][at]
            most = (own - other)[:, head].abs().amax() if len(own) else own.new_zeros(())
            found.append(bool(most <= ROUNDING * base[name][unit.layer].abs().amax()))
        return torch.tensor(found)

    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        heads, mlp = by_layer(shares, self.units, self.unrolled.model)
        return [*heads, *mlp]

    def _layer(self, unit: Unit) -> int:
        return unit.layer

    def _logits(
        self, batch: RowBatch, held: Held, *, first: int, start: int
    ) -> Float[Tensor, "set predicting d_vocab"]:
        n_layers = self.unrolled.n_layers
        heads, mlp = held[:n_layers], held[n_layers:]
        unrolled, start = self.unrolled, min(start, batch.n_read - batch.kept)
        x, changed = self._edited(batch, heads, mlp, first=first, start=start)
        for layer in range(first + 1, n_layers):
            last = batch.kept if layer == n_layers - 1 else x.shape[1]
            z = unrolled.heads(x, layer, batch.base, last=last, changed=changed)
            z = _mixed(z, heads[layer], batch, batch.others["z"][layer], last)
            attn_out = unrolled.write(z, layer)
            x = x[:, -last:]
            read = x if unrolled.is_parallel else x + attn_out
            of_mlp = changed if unrolled.is_parallel else None
            mlp_out = unrolled.mlp_after(read, layer, batch.base, changed=of_mlp)
            others = batch.others["mlp_out"][layer][:, :, None]
            mixed = _mixed(mlp_out[:, :, None], mlp[layer][:, :, None], batch, others, last)
            x, changed = x + attn_out + mixed[:, :, 0], None  # attention carries it further
        x = x[:, -batch.kept :].unflatten(0, (-1, len(batch.roles)))
        return unrolled.logits(x[:, *batch.predicting])

    def _edited(
        self, batch: RowBatch, heads: Held, mlp: Held, *, first: int, start: int
    ) -> tuple[Float[Tensor, "set_row pos d_model"], Bool[Tensor, "set_row pos"] | None]:
        """The stream behind the first layer that is touched, and where ablation changed it."""
        unrolled, base, n_rows = self.unrolled, batch.base, len(batch.roles)
        n_sets, stream = len(heads[0]), base["resid_pre"]
        if first >= unrolled.n_layers - 1:
            start = batch.n_read - batch.kept
        x = stream[min(first + 1, unrolled.n_layers)][:, start:].repeat(n_sets, 1, 1)
        if first == unrolled.n_layers:
            return x, None
        of_heads, of_mlp = (  # the last role is that of no unit
            functional.pad(each[first], (0, 1)).to(x.device) for each in (heads, mlp)
        )
        touched = (of_heads != 0).any(2) | (of_mlp != 0) | of_heads.requires_grad
        roles = (batch.roles % of_mlp.shape[-1])[:, start:].expand(n_sets, -1, -1)
        changed = touched.expand(-1, n_rows, -1).gather(2, roles)
        number, row, place = changed.nonzero(as_tuple=True)
        of_row = row if of_mlp.shape[1] > 1 else torch.zeros_like(row)
        at, role = (row, start + place), roles[number, row, place]

        found, attn_difference = stream[first + 1][at], 0.0
        if of_heads.requires_grad or of_heads.any():
            share = of_heads[number, of_row, :, role][..., None]
            z = share * (batch.others["z"][first][at] - base["z"][first][at])
            attn_difference = z.flatten(1) @ unrolled.W_O[first].flatten(0, 1)
            found = found + attn_difference
        if of_mlp.requires_grad or of_mlp.any() or not unrolled.is_parallel:
            mlp_out = own = base["mlp_out"][first][at]
            if not unrolled.is_parallel:
                own = unrolled.mlp(base["resid_mid"][first][at] + attn_difference, first)
            share = of_mlp[number, of_row, role][:, None]
            found = found + torch.lerp(own, batch.others["mlp_out"][first][at], share) - mlp_out
        x[number * n_rows + row, place] = found
        return x, changed.flatten(0, 1)


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
