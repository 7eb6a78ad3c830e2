"""Up to what exact-match gap a recipe counts as none: fixed before the runs that it judges."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from data.vocabulary import LossPolicy

PART = 1 / 6
"""Of a pilot's `iml_gap` that counts as none, rounded to a hundredth. That of the first margin, .08
of the alias toy's +.48 (2026-11-20), kept for every design and loss policy since."""


class Design(StrEnum):
    """What toys can be."""

    ONE_TOKEN = "aliases of one token"
    TOKENS = "aliases of several tokens"
    SOURCES = "sources"


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """A run of seeds below 1000, which no reported figure uses, under its recipe's defaults."""

    design: Design
    policy: LossPolicy
    iml_gap: float
    """D5 minus D6 in exact match, mean over the seeds."""
    seeds: str
    date: str

    @property
    def margin(self) -> float:
        """What counts as none."""
        return round(PART * self.iml_gap, 2)

    @property
    def reason(self) -> str:
        """Where the margin comes from."""
        return (
            f"a sixth of the pilot's gap ({self.iml_gap:+.2f}; {self.design}, policy "
            f"{self.policy}, seeds {self.seeds}, {self.date})"
        )


_ANSWER = Pilot(
    design=Design.ONE_TOKEN,
    policy=LossPolicy.ANSWER,
    iml_gap=0.48,
    seeds="below 1000",
    date="2026-11-20",
)
"""The run itself is not kept: the margin that was, .08, times six."""
_TEXT = Pilot(
    design=Design.ONE_TOKEN,
    policy=LossPolicy.TEXT,
    iml_gap=0.24,
    seeds="0 to 7, untied",
    date="2026-11-27",
)
_SOURCES = Pilot(
    design=Design.SOURCES,
    policy=LossPolicy.ANSWER,
    iml_gap=0.23,
    seeds="0 to 3",
    date="2026-11-27",
)
PILOTS: Mapping[tuple[Design, LossPolicy], Pilot] = {
    (design, policy): _ANSWER if policy is LossPolicy.ANSWER else _TEXT
    for design in Design
    for policy in LossPolicy
} | {(Design.SOURCES, LossPolicy.ANSWER): _SOURCES}
"""The pilot of each design and loss policy. Those that had none of their own are judged by that of
aliases of one token, `all` as `text`, from which it differs by padding."""


class NullMargin(TypedDict):
    """The fields of `RunConfig` that say it."""

    null_margin: float
    null_margin_reason: str


def toy_margin(design: Design, policy: LossPolicy) -> NullMargin:
    """A part of the pilot's gap."""
    pilot = PILOTS[design, policy]
    return {"null_margin": pilot.margin, "null_margin_reason": pilot.reason}


TEXT_MARGIN: NullMargin = {
    "null_margin": 0.01,
    "null_margin_reason": "a third of the paper's gap (+.028, its poster; policy all, 20 seeds)",
}
"""No pilot: the models that show the paper's gap were not at hand."""
SET_INCLUSION_MARGIN: NullMargin = {
    "null_margin": 0.01,
    "null_margin_reason": "one question in a hundred; the paper states no number of its Figure 22",
}
