"""What came of a hypothesis in a run: a verdict on each prediction and on the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from interp.hypotheses.gates import Gate


class Outcome(StrEnum):
    """The verdict on a prediction or a hypothesis; the last two are of hypotheses alone."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    INADMISSIBLE = "inadmissible"
    """A gate failed: the run cannot tell."""
    DEVIATED = "deviated"
    """The text was changed after the data had been made or read."""


@dataclass(frozen=True, kw_only=True)
class CheckedPrediction:
    """A prediction beside what was found."""

    row: str
    statement: str
    quantity: str
    """The unit of what is measured."""
    expected: str
    is_core: bool
    because: str
    threshold: float
    """The margin of the row."""
    verdict: Outcome
    needs: str = ""
    """What would decide it, where it is undecided."""
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    """Of 95%, or of 90% where no effect is expected."""
    p_value: float | None = None
    """Sign flips against the nearer end of what is expected."""
    n_seeds: int = 0
    per_seed: Mapping[str, float] = field(default_factory=dict)
    control: float | None = None
    control_words: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A hypothesis beside what was found in a run."""

    name: str
    title: str
    statement: str
    sha256: str
    frozen: str | None
    """When the text was frozen; None if it never was."""
    verdict: Outcome
    exploratory: bool
    """Whether the verdict only suggests something to test: the data were known before."""
    reasons: Sequence[str]
    """Why the verdict is what it is."""
    known: Sequence[str]
    """How the data were known before, which makes the verdict exploratory."""
    is_alone: bool
    """Whether a supported hypothesis also has all that would be so if nothing else were at work."""
    run_id: str
    seeds: Sequence[int]
    gates: Sequence[Gate]
    predictions: Sequence[CheckedPrediction]

    @property
    def words(self) -> str:
        """The verdict in a word or two."""
        return f"{self.verdict}, exploratory" if self.exploratory else str(self.verdict)

    def to_json(self) -> dict[str, Any]:
        """As `hypotheses/<name>.json` has it."""
        return {
            **vars(self),
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "known": list(self.known),
            "seeds": list(self.seeds),
            "gates": [gate.to_json() for gate in self.gates],
            "predictions": [
                {**vars(each), "verdict": str(each.verdict), "per_seed": dict(each.per_seed)}
                for each in self.predictions
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Result":
        """The result that a file holds; raises KeyError or TypeError where it is none."""
        predictions = [
            CheckedPrediction(**{**each, "verdict": Outcome(each["verdict"])})
            for each in content["predictions"]
        ]
        known = {
            **content,
            "verdict": Outcome(content["verdict"]),
            "gates": [Gate(**gate) for gate in content["gates"]],
            "predictions": predictions,
        }
        return cls(**known)
