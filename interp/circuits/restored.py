"""What does a model answer with an earlier checkpoint's weights put back in some components?

The disruption that ablation is not: what Stage 2 made of a component is undone, and the component
still does what Stage 1 had taught it. Any set of `interp.circuits.components` is put back bit for
bit; all of them make the earlier checkpoint, none the later one. The tables call it `restored`.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from data.design import Contrast
from data.tokens import TokenizedRow
from interp.circuits.components import Component, united
from interp.circuits.disruption import circuit_effects
from interp.circuits.matched import N_MATCHED, NEGLIGIBLE, matched_circuits
from interp.circuits.summary import Record, plain
from interp.hooked.answers import ANSWERED
from interp.transplants.parts import (
    check_same_shapes,
    transplanted_weights,
    weights_of,
    write_weights,
)
from training.evaluate import BATCH_SIZE, AskedTexts, score_answers
from training.examples import make_examples
from training.models.architectures import stop_tokens

RESTORED = "restored"


class Restoration:
    """A later and an earlier checkpoint, and the components that can be put back."""

    def __init__(
        self, later: PreTrainedModel, earlier: PreTrainedModel, components: Sequence[Component]
    ) -> None:
        """Copies the later model once; neither of the two is ever changed.

        Args:
            later: Plain model, after Stage 2 say.
            earlier: The same seed's, before it.
            components: Of `components_of`; all of them, if all can be put back.

        Raises:
            InputError: the two differ in shape.
        """
        check_same_shapes(later, earlier)
        self.components = list(components)
        self._earlier = weights_of(earlier)
        self._own = {name: weight.clone() for name, weight in weights_of(later).items()}
        self._working = copy.deepcopy(later).eval()

    @contextmanager
    def put_back(self, held: Bool[Tensor, " component"]) -> Iterator[PreTrainedModel]:
        """The later model with the earlier weights of these components, as long as one is inside.

        Args:
            held: Which components have the earlier checkpoint's weights.
        """
        chosen = [each for each, is_in in zip(self.components, held.tolist(), strict=True) if is_in]
        changed = transplanted_weights(self._own, self._earlier, united(chosen))
        try:
            write_weights(self._working, changed)
            yield self._working
        finally:
            write_weights(self._working, {name: self._own[name] for name in changed})


class RestoredRows:
    """Rows to be answered with any sets of components put back; an `Answerable`."""

    def __init__(
        self,
        restoration: Restoration,
        rows: Sequence[TokenizedRow],
        *,
        stop_token: int | None = None,
    ) -> None:
        """Lays the rows out once.

        Args:
            restoration: The two checkpoints; rows of several behaviours share one.
            rows: To be answered.
            stop_token: What training ends a text with; None where it trains no end.
        """
        self.restoration, self.units, self.n_rows = restoration, restoration.components, len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].input_ids))
        self._batches = [
            (places, AskedTexts.of([rows[i] for i in places.tolist()], make_examples, stop_token))
            for places in torch.tensor(order, dtype=torch.long).split(BATCH_SIZE)
            if len(places)
        ]

    @torch.no_grad()
    def answers(self, sets: Bool[Tensor, "set component"]) -> Float[Tensor, "set row metric"]:
        """`ANSWERED` of each row (0 or 1; nats) with each set of components put back."""
        found = torch.empty(len(sets), self.n_rows, len(ANSWERED), dtype=torch.float64)
        for place, held in enumerate(sets):
            with self.restoration.put_back(held) as model:
                stops = stop_tokens(model)
                for rows, asked in self._batches:
                    logits = asked.examples.to(model.device).logits(model)
                    found[place, rows] = score_answers(logits, asked, stops=stops, metrics=ANSWERED)
        return found


def restored_behaviours(
    later: PreTrainedModel,
    earlier: PreTrainedModel,
    components: Sequence[Component],
    asked: Mapping[str, Sequence[TokenizedRow]],
    *,
    stop_token: int | None = None,
) -> dict[str, RestoredRows]:
    """The rows of every behaviour, by its name, over one copy of the model.

    Args:
        later: Plain model, after Stage 2 say.
        earlier: The same seed's, before it.
        components: All of the model's; see `components_of`.
        asked: Rows with the right answers, by the name of their behaviour.
        stop_token: See `RestoredRows`.

    Raises:
        InputError: the two models differ in shape.
    """
    restoration = Restoration(later, earlier, components)
    return {
        name: RestoredRows(restoration, rows, stop_token=stop_token) for name, rows in asked.items()
    }


def restored_records(
    behaviours: Mapping[str, RestoredRows],
    circuit: Bool[Tensor, " component"],
    costs: Sequence[Float[np.ndarray, " component"]],
    compared: Contrast,
    *,
    n: int = N_MATCHED,
    seed: int = 0,
) -> list[Record]:
    """What is lost of every behaviour when a circuit's earlier weights are put back.

    It is held against sets of as many components of each layer and kind that cost the trained
    behaviours about as much when they are put back; where there are none, against nothing.

    Args:
        behaviours: Held-out rows with the right answers, by name.
        circuit: The components; see `interp.circuits.components.weights_behind`.
        costs: What each component, put back alone, costs each behaviour that is matched on, in
            nats; none of those that are tested.
        compared: Gives the gap.
        n: Most matched sets.
        seed: Of their draws, where there are too many to enumerate.

    Raises:
        InputError: the circuit is empty, or all of the model.
    """
    components = next(iter(behaviours.values())).units
    solo = np.stack(costs, 1) if costs else np.zeros((len(components), 0))
    matched = matched_circuits(circuit, components, solo, n=n, negligible=NEGLIGIBLE, seed=seed)
    effects = circuit_effects(behaviours, torch.cat([circuit[None], matched.sets]), compared)
    found = effects.records({name: each.n_rows for name, each in behaviours.items()})
    return [{**each, "quantity": _NAMES[each["quantity"]]} for each in found]


def single_restored_records(
    behaviours: Mapping[str, RestoredRows], solo: Mapping[str, Float[np.ndarray, " component"]]
) -> list[Record]:
    """What every single component costs every behaviour when it is put back, in nats.

    Args:
        behaviours: Held-out rows with the right answers, by name.
        solo: Of each, `interp.circuits.disruption.solo_effects`.
    """
    return [
        plain(RESTORED, effect, each.n_rows, unit=component.name, subset=name)
        for name, each in behaviours.items()
        for component, effect in zip(each.units, solo[name].tolist(), strict=True)
    ]


_NAMES = {"disruption": RESTORED, "disruption_exact": f"{RESTORED}_exact"}
