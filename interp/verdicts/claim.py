"""What a claim is: a sentence, a number for each Stage-1 seed, and what the number should be."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from data.design import Margin
from data.subsets import Subset
from interp.verdicts.across import Across
from interp.verdicts.quantities import Measure
from training.config import RunConfig


class Side(StrEnum):
    """Where a directional claim says that a mean lies."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, kw_only=True)
class RecipeMargin:
    """The margin of a claim that takes the `null_margin` of its run's config."""

    reason: str


RECIPE_MARGIN = RecipeMargin(reason="what the recipe counts as no gap")


class TagEvidence(StrEnum):
    """What a claim about a tag rests on: something that is not there where tags mean nothing."""

    CONTRAST = "contrast"
    """Of definitions that are equally true and whose tags were met equally often. Which string is
    the reliable tag is drawn for each seed, so that shuffled tags give no difference. Where tags
    are words with a meaning of their own the null twin is subtracted, too."""
    NULL_TWIN = "null twin"
    """Run minus null twin, paired by seed: the compared definitions differ in more than the tag."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Which runs a claim is about, beyond having what it measures."""

    words: str
    holds: Callable[[RunConfig], bool]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper, or a part of one."""

    id: str
    """The name of the claim, such as `S1`, or of a part of one, such as `M2.name`."""
    statement: str
    measure: Measure
    paper: str
    """What the paper found, and where."""
    side: Side = Side.ABOVE
    threshold: float = 0.0
    """What a directional claim's mean is held against."""
    margin: Margin | RecipeMargin | None = None
    """Up to what a mean counts as none, in units of the measure; None makes a claim directional."""
    tag: TagEvidence | None = None
    """What a claim about a tag rests on; None where a claim is about something else, and may be
    true of a run whose tags mean nothing."""
    only: Condition | None = None
    across: Across | None = None
    """How several runs are compared; None for a claim about one run."""

    @property
    def is_of_no_effect(self) -> bool:
        """Whether it holds of a model that learned nothing: 0 lies within margin or threshold."""
        is_beyond = self.threshold < 0 if self.side is Side.ABOVE else self.threshold > 0
        return self.margin is not None or is_beyond

    @property
    def group(self) -> str:
        """The claim that it is, or that it is a part of."""
        return self.id.partition(".")[0]


def above(higher: Subset, lower: Subset) -> str:
    """The statement that one subset is above another."""
    return f"{higher.name} above {lower.name}"
