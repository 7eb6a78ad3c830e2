"""Which rows a stage trains: the paper's two stages, one stage, or three."""

from enum import StrEnum

from data.rows import Row
from data.vocabulary import Kind, Part, Split, Stage


class Schedule(StrEnum):
    """How definitions and questions of X1 and X2 are spread over the stages of a run."""

    TWO_STAGE = "two-stage"
    """X1, then X2: the paper's main experiments (section 2, Figure 2)."""
    SINGLE_STAGE = "single-stage"
    """X1 and X2 together (Appendix C.5)."""
    THREE_STAGE = "three-stage"
    """X1's definitions, then X1's questions, then X2 (published code, not in the paper)."""
    X1_ONLY = "x1-only"
    """X1, then nothing: in-context comparison (Appendix C.8), gradients before Stage 2."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are trained, in order."""
        n = {Schedule.TWO_STAGE: 2, Schedule.THREE_STAGE: 3}.get(self, 1)
        return tuple(Stage)[:n]

    def stage_of(self, row: Row) -> Stage | None:
        """The stage that trains a row; None if none does."""
        if row.split is not Split.TRAIN:
            return None
        match self:
            case Schedule.TWO_STAGE:
                return Stage(row.subset.part)
            case Schedule.SINGLE_STAGE:
                return Stage.ONE
            case Schedule.THREE_STAGE if row.subset.part is Part.X2:
                return Stage.THREE
            case Schedule.THREE_STAGE:
                return Stage.ONE if row.kind is Kind.DEFINITION else Stage.TWO
            case Schedule.X1_ONLY:
                return Stage.ONE if row.subset.part is Part.X1 else None

    def read_at(self, part: Part) -> Stage:
        """The stage at whose end a part's subsets are compared: then all of it has been trained."""
        if part is Part.X2:
            return self.stages[-1]
        return Stage.TWO if self is Schedule.THREE_STAGE else Stage.ONE

    def part_at(self, stage: int) -> Part:
        """The part that a stage's end is about: X2 once it is trained."""
        is_x2 = self is not Schedule.X1_ONLY and stage == self.stages[-1]
        return Part.X2 if is_x2 else Part.X1

    @property
    def branches_at(self) -> Stage | None:
        """The stage that a run's Stage-2 seeds train anew: the last of several."""
        return self.stages[-1] if len(self.stages) > 1 else None
