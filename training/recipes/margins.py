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


def _pilot(design: Design, policy: LossPolicy, iml_gap: float, seeds: str) -> Pilot:
    """One of the day on which all but the first were run."""
    day = "2026-11-27"
    return Pilot(design=design, policy=policy, iml_gap=iml_gap, seeds=seeds, date=day)


_PILOTS = (
    # The run of the first is not kept: the margin that was, .08, times six.
    Pilot(
        design=Design.ONE_TOKEN,
        policy=LossPolicy.ANSWER,
        iml_gap=0.48,
        seeds="below 1000",
        date="2026-11-20",
    ),
    _pilot(Design.ONE_TOKEN, LossPolicy.TEXT, 0.24, "0 to 7, untied"),
    _pilot(Design.ONE_TOKEN, LossPolicy.ALL, 0.18, "0 to 7, untied"),
    _pilot(Design.TOKENS, LossPolicy.ANSWER, 0.36, "0 to 3"),
    _pilot(Design.TOKENS, LossPolicy.TEXT, 0.29, "0 to 3, untied"),
    _pilot(Design.TOKENS, LossPolicy.ALL, 0.26, "0 to 3, untied"),
    _pilot(Design.SOURCES, LossPolicy.ANSWER, 0.24, "0 to 7"),
    _pilot(Design.SOURCES, LossPolicy.TEXT, 0.08, "0 to 7"),
    _pilot(Design.SOURCES, LossPolicy.ALL, 0.17, "0 to 7"),
)
PILOTS: Mapping[tuple[Design, LossPolicy], Pilot] = {
    (pilot.design, pilot.policy): pilot for pilot in _PILOTS
}
"""The pilot of each design and loss policy."""


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
