"""Runs that are held against the first of them: which numbers can be, and how they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from data.design import Contrast
from data.errors import InputError
from data.vocabulary import Stage
from interp.verdicts.differences import FEWEST_SHARED, Difference, difference
from interp.verdicts.gaps import contrasts_in
from training.metrics import EXACT_MATCH, HEADLINE_METRICS
from training.runs.old_rules import require_one_meaning
from training.runs.run import Run
from training.statistics import Estimate
from training.summary import contrast_estimate, contrasts_of, subset_estimates


@dataclass(frozen=True)
class ComparedRun:
    """A run, what it is called beside others, and its numbers by seed."""

    name: str
    run: Run

    def gap(self, contrast: Contrast, metric: str) -> Estimate | None:
        """A contrast of the run, if it has its subsets."""
        run = self.run
        if contrast not in contrasts_of(run.metrics, run.design):
            return None
        return contrast_estimate(run.metrics, contrast, metric, run.config.schedule)

    def levels(self, stage: Stage, metric: str) -> dict[str, Estimate]:
        """Each subset's mean at the end of a stage; none of a stage that the run has not."""
        run = self.run
        if stage not in run.config.schedule.stages:
            return {}
        return subset_estimates(run.metrics, run.design, stage, metric)

    @property
    def seeds(self) -> set[int]:
        """The run's Stage-1 seeds."""
        return set(self.run.seeds)


@dataclass(frozen=True)
class Comparison:
    """Several runs of which the others are held against the first."""

    runs: tuple[ComparedRun, ...]

    @property
    def first(self) -> ComparedRun:
        """The run that the others are held against."""
        return self.runs[0]

    @property
    def others(self) -> tuple[ComparedRun, ...]:
        """The runs that are held against the first."""
        return self.runs[1:]

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that mean the same in all runs.

        Log-probabilities are of an answer's tokens, which other recipes have others of.
        """
        is_one_recipe = len({each.run.config.recipe for each in self.runs}) == 1
        return tuple(HEADLINE_METRICS) if is_one_recipe else (EXACT_MATCH.name,)

    def obstacle(self, other: ComparedRun) -> str:
        """Why no number of a run can be held against the first; empty if they can."""
        mine, theirs = self.first.run, other.run
        if mine.design.name != theirs.design.name:
            return f"its experiment is {theirs.design.name}, not {mine.design.name}"
        try:
            require_one_meaning([mine, theirs])
        except InputError:
            return "it is of an older format, in which its numbers mean something else"
        return ""

    def unpaired(self, other: ComparedRun) -> str:
        """Why a run is not paired with the first seed by seed; empty if it is."""
        shared = len(self.first.seeds & other.seeds)
        if self.first.run.config.recipe != other.run.config.recipe:
            return "runs of different recipes draw other things from one seed"
        if shared < FEWEST_SHARED:
            return f"they share {shared} seeds, and pairs begin at {FEWEST_SHARED}"
        return ""

    def minus_first(
        self, other: ComparedRun, mine: Estimate | None, theirs: Estimate | None
    ) -> Difference | None:
        """A number of another run minus that of the first, where both have it and it may be."""
        if mine is None or theirs is None or self.obstacle(other):
            return None
        may_pair = not self.unpaired(other)
        return difference(theirs.per_seed, mine.per_seed, may_pair=may_pair)

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The contrasts of all runs, those of the first before those that only others have."""
        found = [
            run.design.contrast(name)
            for run in (each.run for each in self.runs)
            for name in contrasts_in(run)
        ]
        return tuple({contrast.name: contrast for contrast in reversed(found)}.values())[::-1]

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of all runs, in order."""
        return tuple(sorted({s for each in self.runs for s in each.run.config.schedule.stages}))


def named_runs(runs: Sequence[Run]) -> Comparison:
    """Runs by the name of their folder, or by as much of its path as tells them apart.

    Raises:
        InputError: a run is there twice.
    """
    folders = [run.folder.resolve() for run in runs]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise InputError(f"{runs[place].folder} is given twice; name different runs")
    n_parts = 1
    while len({folder.parts[-n_parts:] for folder in folders}) < len(folders):
        n_parts += 1
    names = ["/".join(folder.parts[-n_parts:]) for folder in folders]
    return Comparison(tuple(map(ComparedRun, names, runs)))
