"""What does a model answer without any set of units? Many sets in one pass, exactly.

A unit's output (a head's `z`, an MLP's output) is replaced by zero, by its mean over reference rows
at tokens of the same meaning, or by its value there in another reference row; see
`interp.interventions.ablation`, whose reference this is. A pass begins at the first layer that a
set touches: below it nothing differs from the pass without ablation, which is made once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from data.tokens import TokenizedRow
from interp.circuits.units import Unit, UnitMasks, role_numbers, token_roles
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWERED, read_length
from interp.interventions.ablation import Ablation, AblationKind, Reference
from interp.patching.unrolled import Trace, UnrolledModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.models.architectures import stop_tokens

ROWS_A_PASS = 128
"""Sets times rows that go through the model together."""
ROWS_A_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class _Batch:
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


class AblatedRows:
    """Rows of a model, to be answered without any set of units as often as one likes."""

    def __init__(
        self,
        unrolled: UnrolledModel,
        rows: Sequence[TokenizedRow],
        units: Sequence[Unit],
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
        self.unrolled, self.units, self.n_rows = unrolled, list(units), len(rows)
        read = None if kind is AblationKind.ZERO else Reference.of(
            unrolled.model, list(reference) or list(rows), _sites(unrolled.n_layers)
        )  # fmt: skip
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].input_ids))
        self._order = torch.tensor(order)
        self._batches = [
            self._prepared([rows[i] for i in order[start : start + ROWS_A_BATCH]], kind, read, seed)
            for start in range(0, len(order), ROWS_A_BATCH)
        ]

    @torch.no_grad()
    def answers(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of each row (0 or 1; nats) without each set of units."""
        found = torch.empty(len(sets), self.n_rows, len(ANSWERED), dtype=torch.float64)
        masks = UnitMasks.of(sets, self.units, self.unrolled.model)
        firsts = masks.first_layers()
        order = firsts.argsort(stable=True)
        for number, batch in enumerate(self._batches):
            rows = self._order[number * ROWS_A_BATCH :][: len(batch.roles)]
            size = max(1, ROWS_A_PASS // len(batch.roles))
            for chosen in order.split(size):
                first = int(firsts[chosen].min())
                logits = self._logits(batch, masks, chosen, first)
                for place, each in zip(chosen.tolist(), logits, strict=True):
                    found[place, rows] = self._scores(batch, each)
        return found

    def _scores(self, batch: _Batch, logits: Tensor) -> Tensor:
        stops = stop_tokens(self.unrolled.model.bridge.original_model)
        return score_answers(logits, batch.asked, stops=stops, metrics=ANSWERED)

    def _logits(
        self, batch: _Batch, masks: UnitMasks, chosen: Int[Tensor, " set"], first: int
    ) -> Float[Tensor, "set predicting d_vocab"]:
        unrolled, base = self.unrolled, batch.base
        n_sets, n_rows = len(chosen), len(batch.roles)

        def of_sets(activation: Tensor) -> Tensor:
            return activation.repeat(n_sets, *[1] * (activation.ndim - 1))

        x = of_sets(base["resid_pre"][first])
        for layer in range(first, unrolled.n_layers):
            last = batch.kept if layer == unrolled.n_layers - 1 else x.shape[1]
            z = (
                of_sets(base["z"][layer])[:, -last:]
                if layer == first
                else unrolled.heads(x, layer, last=last)
            )
            z = _replaced(z, masks.heads[layer][chosen], batch, batch.z[layer], last)
            attn_out = unrolled.write(z, layer)
            x = x[:, -last:]
            if layer == first and unrolled.is_parallel:
                mlp_out = of_sets(base["mlp_out"][layer])[:, -last:]
            else:
                mlp_out = unrolled.mlp(x if unrolled.is_parallel else x + attn_out, layer)
            mlp_out = _replaced(
                mlp_out[:, :, None],
                masks.mlp[layer][chosen][:, None],
                batch,
                batch.mlp[layer][:, :, None],
                last,
            )[:, :, 0]
            x = x + attn_out + mlp_out
        x = x[:, -batch.kept :].unflatten(0, (n_sets, n_rows))
        rows, positions = batch.predicting
        return unrolled.logits(x[:, rows, positions])

    @torch.no_grad()
    def _prepared(
        self,
        rows: list[TokenizedRow],
        kind: AblationKind,
        reference: Reference | None,
        seed: int,
    ) -> _Batch:
        model = self.unrolled.model
        asked = AskedTexts.of(rows, make_examples, model.stop_token)
        n_read = max(read_length(model, row) for row in rows)
        tokens = asked.examples.tokens[:, :n_read].to(model.device)
        row, target = asked.examples.targets.nonzero(as_tuple=True)
        kept = n_read - int(target.min()) + 1
        numbers = role_numbers(self.units)
        roles = pad_tokens([tuple(numbers.get(r, -1) for r in token_roles(row)) for row in rows])
        lengths = torch.tensor([len(row.input_ids) for row in rows])
        roles = torch.where(torch.arange(roles.shape[1]) < lengths[:, None], roles, -1)[:, :n_read]
        base = self.unrolled.trace(tokens)
        z, mlp = [], []
        for layer in range(self.unrolled.n_layers):
            for site, into in ((Site("z", layer), z), (Site("mlp_out", layer), mlp)):
                ablation = Ablation(site=site, kind=kind, reference=reference, seed=seed)
                into.append(_values(ablation, rows, base[site.name][layer]))
        return _Batch(
            asked=asked,
            predicting=(row, target - 1 - (n_read - kept)),
            kept=kept,
            base=base,
            roles=roles.to(model.device),
            z=z,
            mlp=mlp,
        )


def _sites(n_layers: int) -> list[Site]:
    return [Site(name, layer) for layer in range(n_layers) for name in ("z", "mlp_out")]


def _values(ablation: Ablation, rows: Sequence[TokenizedRow], like: Tensor) -> Tensor:
    """What an ablation at all tokens puts in the place of a site's activation."""
    ((_, edit),) = ablation.hooks(rows)
    return edit(like, nn.Identity())


def _replaced(
    activation: Float[Tensor, "set_row last head width"],
    masks: Bool[Tensor, "set head role"],
    batch: _Batch,
    values: Float[Tensor, "row pos head width"],
    last: int,
) -> Float[Tensor, "set_row last head width"]:
    """An activation of which each set's own heads, at their roles' tokens, have other values."""
    if not masks.any():
        return activation
    padded = torch.nn.functional.pad(masks, (0, 1))  # the last column is the role of no unit
    at = padded.to(activation.device)[:, :, batch.roles[:, -last:]]
    at = at.permute(0, 2, 3, 1).flatten(0, 1)[..., None]
    n_sets = len(activation) // len(values)
    return torch.where(at, values[:, -last:].repeat(n_sets, 1, 1, 1), activation)
