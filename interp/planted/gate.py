"""Whether a planted model does what it is said to do, before anyone else sees it.

Interchange interventions (Geiger et al., 2021): of pairs of aliases one gets what is planted of the
other, and must then answer as the other does. And the reverse: what is not planted, in the row or
in a component outside the circuit, is taken from another, and the answers must stay as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError
from interp.planted.asking import Component, Questions
from interp.planted.frame import Frame
from interp.planted.kinds import CODES, CONSTANTS
from training.seeds import derive_seed

LEAST_INTERCHANGE = 0.99
MOST_OUTSIDE = 0.01


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """What the interventions showed: shares of questions."""

    interchange: float
    """Answered as the alias would whose planted part was put in."""
    circuit: float
    """Answered so, when the outputs of the circuit's first layer were put in instead."""
    outside: float
    """Answered otherwise when all that is not planted in the row was put in, or the outputs of all
    components outside the circuit, whichever is more."""

    def require_passed(self, name: str) -> None:
        """Refuses a model that does not do what was planted.

        Raises:
            InputError: an intervention on what is planted fails, or one beside it has an effect.
        """
        for what, share in (("row", self.interchange), ("circuit", self.circuit)):
            if share < LEAST_INTERCHANGE:
                raise InputError(
                    f"{name} fails its gate: interchange accuracy of the planted {what} is "
                    f"{share:.3f}, {LEAST_INTERCHANGE} is needed; choose another draw"
                )
        if self.outside > MOST_OUTSIDE:
            raise InputError(
                f"{name} fails its gate: {self.outside:.3f} of the answers change with what is "
                f"outside the circuit, {MOST_OUTSIDE} may; choose another draw"
            )


def pass_gate(
    questions: Questions,
    rows: Float[Tensor, "alias d_model"],
    frame: Frame,
    *,
    circuit: Sequence[Component],
    seed: int,
) -> GateReport:
    """Carries out the interventions on a finished model.

    Args:
        questions: Those of the subsets that are compared.
        rows: The finished rows of all aliases.
        frame: The planted directions.
        circuit: The components that answers go through, first layer and last.
        seed: Of the run; sources are drawn from it.
    """
    source = _sources(questions, derive_seed(seed, "planted interchange"))
    planted = torch.cat([frame.directions[name] for name in (*CODES, *CONSTANTS)])
    before = questions.says(rows)
    own, other = rows[questions.aliases], rows[questions.aliases[source]]
    swapped = own + (other - own) @ planted.T @ planted
    first = [component for component in circuit if component[0] == 0]
    outputs = questions.outputs(rows, first)
    moved = {component: value[source] for component, value in outputs.items()}
    beside = [each for each in _components(questions) if each not in circuit]
    theirs = {each: value[source] for each, value in questions.outputs(rows, beside).items()}
    remade = _says(questions, other - (other - own) @ planted.T @ planted)
    return GateReport(
        interchange=_share(_says(questions, swapped) == before[source]),
        circuit=_share(questions.logits(rows, moved).argmax(1) == before[source]),
        outside=max(
            _share(remade != before),
            _share(questions.logits(rows, theirs).argmax(1) != before),
        ),
    )


def _sources(questions: Questions, seed: int) -> Int[Tensor, " question"]:
    """For each question one with the same words about another alias, of either subset."""
    generator = torch.Generator().manual_seed(seed)
    asked = questions.tokens[:, questions.place + 1]
    source = torch.arange(len(asked))
    for question in asked.unique():
        same = (asked == question).nonzero()[:, 0]
        source[same] = same[torch.randperm(len(same), generator=generator)]
    return source


def _says(
    questions: Questions, own_rows: Float[Tensor, "question d_model"]
) -> Int[Tensor, " question"]:
    """Answers where every question has a row of its own."""
    numbered = Questions(**{**vars(questions), "aliases": torch.arange(len(own_rows))})
    return numbered.says(own_rows)


def _components(questions: Questions) -> list[Component]:
    shape = questions.model.config
    heads: list[int | None] = [*range(shape.num_attention_heads), None]
    return [(layer, head) for layer in range(shape.num_hidden_layers) for head in heads]


def _share(hits: Bool[Tensor, " question"]) -> float:
    return float(hits.float().mean())
