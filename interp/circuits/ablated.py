"""What does a model answer without any set of units? Many sets in one pass, exactly.

A unit's output (a head's `z`, an MLP's output) is replaced by zero, by its mean over reference rows
at tokens of the same meaning, or by its value there in another reference row; see
`interp.interventions.ablation`, whose reference this is. A pass begins at the first layer and at
the first token that a set touches: before them nothing differs from the pass without ablation,
which is made once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from data.tokens import TokenizedRow
from interp.circuits.units import (
    Part,
    Unit,
    by_layer,
    first_layers,
    role_numbers,
    token_roles,
)
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWERED, read_length
from interp.interventions.ablation import Ablation, AblationKind, Reference
from interp.patching.unrolled import Trace, UnrolledModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.models.architectures import stop_tokens

PartT = TypeVar("PartT", bound=Part)
ROWS_A_PASS = 256
"""Sets times rows that go through the model together."""
ROWS_A_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class RowBatch:
    """Some rows, and all that passes over them share."""

    asked: AskedTexts
    predicting: tuple[Tensor, Tensor]
    """Row and position, from the end of the pass, of each token that predicts an answer's."""
    kept: int
    base: Trace
    roles: Int[Tensor, "row pos"]
    """Numbers of roles; -1 of a role that no unit has."""
    z: list[Float[Tensor, "row pos head d_head"]]
    """What takes the place of an ablated head's output, by layer."""
    mlp: list[Float[Tensor, "row pos d_model"]]
    embed: Float[Tensor, "row pos d_model"]
    """The same of what enters the first layer; no unit, but a writer of edges."""


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

    kind: AblationKind

    def slopes(self, shares: Float[Tensor, " unit"]) -> Float[Tensor, "row unit"]:
        """How fast the answers' log-probabilities change with the share of each that is gone."""
        ...


class AblatedParts(ABC, Generic[PartT]):
    """Rows of a model, to be answered without any set of parts as often as one likes."""

    def __init__(
        self,
        unrolled: UnrolledModel,
        rows: Sequence[TokenizedRow],
        units: Sequence[PartT],
        kind: AblationKind,
        *,
        reference: Sequence[TokenizedRow] = (),
        seed: int = 0,
    ) -> None:
        """Makes the pass without ablation, and what takes the place of each output.

        Args:
            unrolled: The model.
            rows: To be answered.
            units: Those of which sets will be made.
            kind: What takes the place of an ablated output.
            reference: Rows that means and resampled values are of; `rows` unless given.
            seed: Draws the rows that `resample` takes values from.

        Raises:
            InputError: a row has a token that no reference row has the like of.
        """
        self.unrolled, self.units, self.kind = unrolled, list(units), kind
        self.n_rows = len(rows)
        read = None if kind is AblationKind.ZERO else Reference.of(
            unrolled.model, list(reference) or list(rows), _sites(unrolled.n_layers)
        )  # fmt: skip
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].input_ids))
        self._batches = [
            (places, self._prepared([rows[i] for i in places.tolist()], kind, read, seed))
            for places in torch.tensor(order).split(ROWS_A_BATCH)
        ]

    @torch.no_grad()
    def answers(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of each row (0 or 1; nats) without each set of units."""
        found = torch.empty(len(sets), self.n_rows, len(ANSWERED), dtype=torch.float64)
        for rows, batch in self._batches:
            # Sets that differ at roles which these rows lack are answered once.
            is_there = self._starts(batch) < batch.roles.shape[1]
            distinct, place = torch.unique(sets & is_there, dim=0, return_inverse=True)
            found[:, rows] = self._scores(batch, distinct)[place]
        return found

    def _scores(
        self, batch: RowBatch, sets: Bool[Tensor, "set unit"]
    ) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of a batch's rows; sets that begin alike go through the model together."""
        n_rows, n_read = batch.roles.shape
        found = torch.empty(len(sets), n_rows, len(ANSWERED), dtype=torch.float64)
        held, firsts = self._held(sets.float()), self._firsts(sets)
        starts = torch.where(sets, self._starts(batch), n_read).amin(1)
        stops = stop_tokens(self.unrolled.model.bridge.original_model)
        order = (firsts * n_read + starts).argsort(stable=True)
        for chosen in order.split(max(1, ROWS_A_PASS // n_rows)):
            logits = self._logits(
                batch,
                [each[chosen][:, None] for each in held],
                first=int(firsts[chosen].min()),
                start=min(int(starts[chosen].min()), n_read - batch.kept),
            )
            asked = batch.asked.repeated(len(chosen))
            scores = score_answers(logits.flatten(0, 1), asked, stops=stops, metrics=ANSWERED)
            found[chosen] = scores.unflatten(0, (len(chosen), n_rows))
        return found

    @torch.no_grad()
    def log_probs(self, shares: Float[Tensor, " unit"]) -> Float[Tensor, " row"]:
        """Each row's answer log-probability (nats) with a share of every unit taken away.

        Args:
            shares: 0 leaves a unit as it is, 1 ablates it; between them its output is mixed.
        """
        found = torch.empty(self.n_rows, dtype=torch.float64)
        for rows, batch in self._batches:
            found[rows] = self._mixed_log_probs(batch, shares.expand(len(rows), -1)).double().cpu()
        return found

    def slopes(self, shares: Float[Tensor, " unit"]) -> Float[Tensor, "row unit"]:
        """How fast `log_probs` change with each unit's share, by one backward pass a batch."""
        found = torch.empty(self.n_rows, len(shares), dtype=torch.float64)
        for rows, batch in self._batches:
            # A copy for each row, so that one pass gives the slopes of every row.
            point = shares.expand(len(rows), -1).clone().requires_grad_()
            with torch.enable_grad():
                total = self._mixed_log_probs(batch, point).sum()
                (slopes,) = torch.autograd.grad(total, point)
            found[rows] = slopes.double().cpu()
        return found

    def _mixed_log_probs(
        self, batch: RowBatch, shares: Float[Tensor, "row unit"]
    ) -> Float[Tensor, " row"]:
        held = [each[None] for each in self._held(shares)]
        (logits,) = self._logits(batch, held, first=0, start=0)
        targets = batch.asked.examples.targets
        tokens = batch.asked.examples.tokens[targets].to(logits.device)
        said = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(1)
        row, place = targets.nonzero()[:, 0], (targets.cumsum(1) - 1)[targets]
        is_answer = (place < batch.asked.lengths[row]).to(logits)  # stop tokens are in no answer
        return said.new_zeros(len(targets)).index_add(0, row.to(said.device), said * is_answer)

    @abstractmethod
    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        """What sets hold, laid out as `_logits` reads it; differentiable."""

    @abstractmethod
    def _firsts(self, sets: Bool[Tensor, "set unit"]) -> Int[Tensor, " set"]:
        """The first layer that each set touches; the number of layers if none."""

    def _starts(self, batch: RowBatch) -> Int[Tensor, " unit"]:
        """The first token, over rows, at which each part is ablated; behind the last if none."""
        return torch.zeros(len(self.units), dtype=torch.long)

    @abstractmethod
    def _numbers(self) -> dict[str, int]:
        """Roles by which parts differ, numbered."""

    @abstractmethod
    def _logits(
        self,
        batch: RowBatch,
        held: Sequence[Float[Tensor, "set #row ..."]],
        *,
        first: int,
        start: int,
    ) -> Float[Tensor, "set predicting d_vocab"]:
        """Logits that predict the answers' tokens.

        Nothing is ablated below the layer `first`, and nothing before the token `start`.
        """

    @torch.no_grad()
    def _prepared(
        self,
        rows: list[TokenizedRow],
        kind: AblationKind,
        reference: Reference | None,
        seed: int,
    ) -> RowBatch:
        model = self.unrolled.model
        asked = AskedTexts.of(rows, make_examples, model.stop_token)
        n_read = max(read_length(model, row) for row in rows)
        tokens = asked.examples.tokens[:, :n_read].to(model.device)
        row, target = asked.examples.targets.nonzero(as_tuple=True)
        kept = n_read - int(target.min()) + 1
        numbers = self._numbers()
        roles = pad_tokens([tuple(numbers.get(r, -1) for r in token_roles(row)) for row in rows])
        lengths = torch.tensor([len(row.input_ids) for row in rows])
        roles = torch.where(torch.arange(roles.shape[1]) < lengths[:, None], roles, -1)[:, :n_read]
        base = self.unrolled.trace(tokens)
        z, mlp, embed = [], [], []
        sites = [(Site("resid_pre", 0), embed)]
        for layer in range(self.unrolled.n_layers):
            sites += [(Site("z", layer), z), (Site("mlp_out", layer), mlp)]
        for site, into in sites:
            ablation = Ablation(site=site, kind=kind, reference=reference, seed=seed)
            into.append(_values(ablation, rows, base[site.name][site.layer]))
        return RowBatch(
            asked=asked,
            predicting=(row, target - 1 - (n_read - kept)),
            kept=kept,
            base=base,
            roles=roles.to(model.device),
            z=z,
            mlp=mlp,
            embed=embed[0],
        )


class AblatedRows(AblatedParts[Unit]):
    """Rows of a model, to be answered without any set of units as often as one likes."""

    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        heads, mlp = by_layer(shares, self.units, self.unrolled.model)
        return [*heads, *mlp]

    def _firsts(self, sets: Bool[Tensor, "set unit"]) -> Int[Tensor, " set"]:
        return first_layers(sets, self.units, self.unrolled.n_layers)

    def _numbers(self) -> dict[str, int]:
        return role_numbers(self.units)

    def _starts(self, batch: RowBatch) -> Int[Tensor, " unit"]:
        n_read, numbers = batch.roles.shape[1], self._numbers()
        places = torch.arange(n_read, device=batch.roles.device).expand_as(batch.roles)
        first = {
            role: torch.where(batch.roles == number, places, n_read).min()
            for role, number in numbers.items()
        }
        return torch.stack([first[unit.role] for unit in self.units]).cpu()

    def _logits(
        self,
        batch: RowBatch,
        held: Sequence[Float[Tensor, "set #row ..."]],
        *,
        first: int,
        start: int,
    ) -> Float[Tensor, "set predicting d_vocab"]:
        """Logits that predict the answers' tokens.

        Nothing is ablated below the layer `first`, and nothing before the token `start`.
        """
        unrolled, base, n_sets = self.unrolled, batch.base, len(held[0])
        heads, mlp = held[: unrolled.n_layers], held[unrolled.n_layers :]

        def of_sets(activation: Tensor) -> Tensor:
            return activation.repeat(n_sets, *[1] * (activation.ndim - 1))

        x = of_sets(base["resid_pre"][first][:, start:])
        for layer in range(first, unrolled.n_layers):
            last = batch.kept if layer == unrolled.n_layers - 1 else x.shape[1]
            if layer == first:  # what it reads is what it read without ablation
                z = of_sets(base["z"][layer])[:, -last:]
            else:
                z = unrolled.heads(x, layer, base, last=last)
            z = _mixed(z, heads[layer], batch, batch.z[layer], last)
            attn_out = unrolled.write(z, layer)
            x = x[:, -last:]
            if layer == first and unrolled.is_parallel:
                mlp_out = of_sets(base["mlp_out"][layer])[:, -last:]
            else:
                mlp_out = unrolled.mlp(x if unrolled.is_parallel else x + attn_out, layer)
            others = batch.mlp[layer][:, :, None]
            mixed = _mixed(mlp_out[:, :, None], mlp[layer][:, :, None], batch, others, last)
            x = x + attn_out + mixed[:, :, 0]
        x = x[:, -batch.kept :].unflatten(0, (n_sets, len(batch.roles)))
        return unrolled.logits(x[:, *batch.predicting])


def _sites(n_layers: int) -> list[Site]:
    names = ("z", "mlp_out")
    return [Site("resid_pre", 0), *(Site(n, layer) for layer in range(n_layers) for n in names)]


def _values(ablation: Ablation, rows: Sequence[TokenizedRow], like: Tensor) -> Tensor:
    """What an ablation at all tokens puts in the place of a site's activation."""
    ((_, edit),) = ablation.hooks(rows)
    return edit(like, nn.Identity())


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
