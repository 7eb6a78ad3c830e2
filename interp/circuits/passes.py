"""What all parts that can be ablated share: rows, batches, reference values, answers and slopes.

`interp.circuits.ablated` ablates units, `interp.circuits.edges` edges. Either says how a pass goes
without a set of them; here many sets go through the model together, each distinct one once.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.units import Part, token_roles
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site
from interp.hooked.answers import ANSWERED, read_length
from interp.interventions.ablation import Ablation, AblationKind, Reference
from interp.patching.unrolled import Trace, UnrolledModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.models.architectures import stop_tokens

PartT = TypeVar("PartT", bound=Part)
ROWS_A_PASS = 512
"""Sets times rows that go through the model together."""
ROWS_A_BATCH = 128
Held = Sequence[Float[Tensor, "set #row ..."]]
"""What sets hold, laid out as the passes of one kind of parts read it."""


@dataclass(frozen=True, kw_only=True)
class RowBatch:
    """Some rows, and all that passes over them share."""

    asked: AskedTexts
    predicting: tuple[Tensor, Tensor]
    """Row and position, from the end of the pass, of each token that predicts an answer's."""
    kept: int
    base: Trace
    roles: Int[Tensor, "row pos"]
    """Numbers of roles; -1 of a role that no part has."""
    starts: Int[Tensor, " unit"]
    """The first token at which each part says something that is read; behind the last if none."""
    inert: Bool[Tensor, " unit"]
    """Parts whose output is what would take its place, in every row."""
    others: dict[str, list[Tensor]]
    """What takes the place of an ablated activation, by site name and layer."""

    @property
    def n_read(self) -> int:
        """Tokens of each row that are read."""
        return self.roles.shape[1]


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
        by_question: bool = False,
        seed: int = 0,
    ) -> None:
        """Makes the pass without ablation, and what takes the place of each output.

        Args:
            unrolled: The model.
            rows: To be answered.
            units: Those of which sets will be made.
            kind: What takes the place of an ablated output.
            reference: Rows that means and resampled values are of; `rows` unless given.
            by_question: Whether they are, for each row, those alone that ask the same.
            seed: Draws the rows that `resample` takes values from.

        Raises:
            InputError: there are no rows, a row has a token that no reference row has the like of,
                or, by question, no other alias is asked what it asks.
        """
        if not rows:
            raise InputError("no rows to answer; choose a subset that has some")
        self.unrolled, self.units, self.kind = unrolled, list(units), kind
        self.n_rows = len(rows)
        self._asks = _question if by_question else _nothing
        alike: dict[Hashable, list[TokenizedRow]] = {}
        for row in reference or rows:
            alike.setdefault(self._asks(row), []).append(row)
        if by_question:
            _check_others(rows, alike)
        wanted = dict.fromkeys(map(self._asks, rows))
        read = None if kind is AblationKind.ZERO else {
            asked: Reference.of(unrolled.model, alike[asked], self._sites()) for asked in wanted
        }  # fmt: skip
        numbers = {asked: number for number, asked in enumerate(wanted)}
        order = sorted(
            range(len(rows)),
            key=lambda i: (len(rows[i].input_ids), numbers[self._asks(rows[i])]),
        )
        self._batches = [
            (places, self._prepared([rows[i] for i in places.tolist()], read, seed))
            for places in torch.tensor(order).split(ROWS_A_BATCH)
        ]

    def answers(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of each row (0 or 1; nats) without each set of units."""
        found = torch.empty(len(sets), self.n_rows, len(ANSWERED), dtype=torch.float64)
        for rows, batch in self._batches:
            distinct, place = torch.unique(self._felt(sets, batch), dim=0, return_inverse=True)
            found[:, rows] = self._scores(batch, distinct)[place]
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

    @torch.no_grad()
    def _scores(
        self, batch: RowBatch, sets: Bool[Tensor, "set unit"]
    ) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of a batch's rows; sets that begin alike go through the model together."""
        n_rows, n_read = batch.roles.shape
        found = torch.empty(len(sets), n_rows, len(ANSWERED), dtype=torch.float64)
        held, firsts = self._held(sets.float()), self._firsts(sets)
        starts = torch.where(sets, batch.starts, n_read).amin(1)
        plain: Any = self.unrolled.model.bridge.original_model
        stops = stop_tokens(plain)
        begins, order = (firsts * (n_read + 1) + starts).sort(stable=True)
        sizes = begins.unique_consecutive(return_counts=True)[1].tolist()
        most = max(1, ROWS_A_PASS // n_rows)
        for chosen in (part for alike in order.split(sizes) for part in alike.split(most)):
            logits = self._logits(
                batch,
                [each[chosen][:, None] for each in held],
                first=int(firsts[chosen[0]]),
                start=int(starts[chosen[0]]),
            )
            asked = batch.asked.repeated(len(chosen))
            scores = score_answers(logits.flatten(0, 1), asked, stops=stops, metrics=ANSWERED)
            found[chosen] = scores.unflatten(0, (len(chosen), n_rows))
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

    def _felt(self, sets: Bool[Tensor, "set unit"], batch: RowBatch) -> Bool[Tensor, "set unit"]:
        """What of each set changes anything in these rows."""
        felt = sets & (batch.starts < batch.n_read)  # parts at roles that these rows have
        first = self._firsts(felt & ~batch.inert)
        # Below the first that changes something, an output is still what it was without ablation.
        return felt & ~(batch.inert & (self._layers < first[:, None]))

    def _firsts(self, sets: Bool[Tensor, "set unit"]) -> Int[Tensor, " set"]:
        """The first layer that each set touches; the number of layers if none."""
        return torch.where(sets, self._layers, self.unrolled.n_layers).amin(1)

    @cached_property
    def _layers(self) -> Int[Tensor, " unit"]:
        return torch.tensor([self._layer(unit) for unit in self.units])

    @abstractmethod
    def _layer(self, unit: PartT) -> int:
        """The layer that a part is in; the number of layers if it lies behind them all."""

    @abstractmethod
    def _sites(self) -> list[Site]:
        """The activations that others take the place of, layer by layer."""

    @abstractmethod
    def _numbers(self) -> dict[str, int]:
        """The roles by which parts differ, numbered; none where parts are at all tokens."""

    @abstractmethod
    def _starts(self, roles: Int[Tensor, "row pos"], kept: int) -> Int[Tensor, " unit"]:
        """See `RowBatch.starts`; answers are read at the last `kept` tokens."""

    @abstractmethod
    def _inert(
        self, base: Trace, others: dict[str, list[Tensor]], roles: Int[Tensor, "row pos"]
    ) -> Bool[Tensor, " unit"]:
        """See `RowBatch.inert`."""

    @abstractmethod
    def _held(self, shares: Float[Tensor, "set unit"]) -> list[Float[Tensor, "set ..."]]:
        """What sets hold, laid out as `_logits` reads it; differentiable."""

    @abstractmethod
    def _logits(
        self, batch: RowBatch, held: Held, *, first: int, start: int
    ) -> Float[Tensor, "set predicting d_vocab"]:
        """Logits that predict the answers' tokens.

        Nothing is ablated below the layer `first`, and nothing before the token `start`.
        """

    @torch.no_grad()
    def _prepared(
        self, rows: list[TokenizedRow], references: Mapping[Hashable, Reference] | None, seed: int
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
        others: dict[str, list[Tensor]] = {}
        for site in self._sites():
            here, values = base[site.name][site.layer], []
            for question, group in groupby(range(len(rows)), lambda i: self._asks(rows[i])):
                places = list(group)
                reference = None if references is None else references[question]
                ablation = Ablation(site=site, kind=self.kind, reference=reference, seed=seed)
                values.append(_values(ablation, [rows[i] for i in places], here[places]))
            others.setdefault(site.name, []).append(torch.cat(values))
        return RowBatch(
            asked=asked,
            predicting=(row, target - 1 - (n_read - kept)),
            kept=kept,
            base=base,
            roles=roles.to(model.device),
            starts=self._starts(roles, kept),
            inert=self._inert(base, others, roles),
            others=others,
        )


def _question(row: TokenizedRow) -> Hashable:
    """What a row asks, or that it is a definition."""
    return row.row.kind, row.row.question


def _nothing(row: TokenizedRow) -> Hashable:
    """What all rows have in common."""
    return None


def _check_others(
    rows: Sequence[TokenizedRow], alike: Mapping[Hashable, Sequence[TokenizedRow]]
) -> None:
    """Refuses a row that has no reference but its own alias."""
    for row in rows:
        if len({other.row.alias for other in alike.get(_question(row), ())}) < 2:
            raise InputError(
                f"no rows of other aliases ask what row {row.row.row_id} asks, so it has "
                "no reference; give more rows"
            )


def _values(ablation: Ablation, rows: Sequence[TokenizedRow], like: Tensor) -> Tensor:
    """What an ablation at all tokens puts in the place of a site's activation."""
    ((_, edit),) = ablation.hooks(rows)
    found = edit(like, nn.Identity())
    assert found is not None  # an ablation replaces; it does not only look on
    return found
