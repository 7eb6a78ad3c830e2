"""What an experiment is: its parts, its subsets, what it compares, and what its null twin is.

Every data set offers a `Design`, and everything that reads a run asks it: which subsets there are,
in which order and colour, which two are compared after which part, what counts as no effect. So an
experiment is added by adding a data set with its design; no summary, figure or analysis has to be
told of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from data.errors import InputError, unknown_name
from data.rows import Row
from data.subsets import Subset
from data.vocabulary import LossPolicy, Part


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What may be said of a contrast, each a sentence without its full stop."""

    more: str
    less: str
    neither: str
    alone: str
    """Of one seed, which has no interval."""
    twin: str
    """Of the null twin, which can show nothing."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two subsets of which one is subtracted from the other, on held-out questions."""

    name: str
    title: str = ""
    """What it is called in headings, `IML gap` say."""
    higher: Subset
    lower: Subset
    part: Part
    """It is read when this part has been trained."""
    baseline: Subset | None = None
    """Aliases that are trained like those of both, but never defined."""
    is_headline: bool = True
    """Whether `summary.json` has it; the others are computed where they are shown."""
    meaning: str = ""
    """What the difference is, in a few words."""
    said: Findings | None = None

    @property
    def label(self) -> str:
        """Its title, or its name in words."""
        return self.title or self.name.replace("_", " ")

    @property
    def names(self) -> tuple[str, str]:
        """The two subsets, the one that is subtracted last."""
        return self.higher.name, self.lower.name

    @property
    def gap(self) -> str:
        """The `subset` of a table's rows that hold the difference: `D5_CONS-D6_CONS`."""
        return "-".join(self.names)

    @property
    def short_names(self) -> tuple[str, str]:
        """The first parts of the names, such as `D5` and `D6`."""
        higher, lower = (name.partition("_")[0] for name in self.names)
        return higher, lower

    @property
    def words(self) -> str:
        """The difference in short, such as `D5 − D6`."""
        return " − ".join(self.short_names)

    @property
    def findings(self) -> Findings:
        """What may be said of it; plain words where its design has none."""
        higher, lower = self.names
        return self.said or Findings(
            more=f"{higher} is answered better than {lower}",
            less=f"{higher} is answered worse than {lower}",
            neither=f"This run does not show that {higher} and {lower} differ",
            alone=f"One seed cannot show whether {higher} and {lower} differ",
            twin="This run is a null twin, in which they should not differ",
        )


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Up to what a mean counts as none, and why."""

    value: float
    reason: str
    """Where it comes from; fixed before the runs that it judges."""


@dataclass(frozen=True, kw_only=True)
class NullTwin:
    """The same run without what the experiment is about."""

    parameter: str
    """Of the recipe; the twin is the run that has it `true`."""
    contrast: str
    """Which should be none in the twin."""
    margins: Mapping[LossPolicy, Margin]
    """What counts as none, by loss policy."""
    meaning: str
    """What is done to its data, in a few words."""
    note: str = ""
    """What else a reader must know of its other contrasts."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Which two subsets show whether the first part was learned at all."""

    asked: Subset
    """Its held-out questions follow from what is trained."""
    guessed: Subset
    """Its questions can only be guessed."""


Questions: TypeAlias = Mapping[str, Sequence[Row]]
"""The questions about each alias."""


@dataclass(frozen=True, kw_only=True)
class ProbeTarget:
    """A label of aliases that a probe is to read."""

    name: str
    meaning: str
    """In a few words."""
    label: Callable[[Questions, int], dict[str, int]]
    """From questions and seed to the class of each alias that the target speaks of.

    Raises:
        InputError: the data cannot tell.
    """
    is_within_tags: bool = False
    """Whether each class holds equally many aliases of either tag, so that it tells nothing."""
    is_of_tags: bool = False
    """Whether it says which tag an alias has, so that the null twin's tags are its control."""
    is_of_entities: bool = False
    """Whether aliases of one entity share the label, so that folds cannot be grouped by it."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """An experiment, whatever its recipe: what is trained when, compared with what."""

    name: str
    question: str
    """What it is to answer; the heading of a report."""
    parts: Mapping[Part, str]
    """What each part trains, in order."""
    subsets: tuple[Subset, ...]
    """In the order of tables and legends; a data set may leave some of them empty."""
    contrasts: tuple[Contrast, ...]
    """The first is what the experiment is about."""
    null_twin: NullTwin | None = None
    learned: Learned | None = None
    targets: tuple[ProbeTarget, ...] = ()
    """For probes; the first two are read unless others are asked for."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a table with this contrast must say, by contrast."""

    def __post_init__(self) -> None:
        """Refuses contrasts of other subsets, and names that are there twice."""
        names = list(self.names)
        if len(set(names)) < len(names) or not names:
            raise InputError(f"design {self.name} needs subsets, of different names")
        for contrast in self.contrasts:
            for name in contrast.names:
                self.subset(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all subsets, in order."""
        return tuple(subset.name for subset in self.subsets)

    @property
    def main(self) -> Contrast:
        """What the experiment is about.

        Raises:
            InputError: it compares nothing, as prompts of one's own.
        """
        if not self.contrasts:
            listed = ", ".join(self.names)
            raise InputError(f"{listed} are compared with nothing; use the tables of a run")
        return self.contrasts[0]

    def subset(self, name: str) -> Subset:
        """The subset of this name.

        Raises:
            InputError: there is none.
        """
        for subset in self.subsets:
            if subset.name == name:
                return subset
        raise unknown_name("subset", name, self.names)

    def contrast(self, name: str) -> Contrast:
        """The contrast of this name.

        Raises:
            InputError: there is none.
        """
        for contrast in self.contrasts:
            if contrast.name == name:
                return contrast
        raise unknown_name("contrast", name, [contrast.name for contrast in self.contrasts])

    def compared(self, part: Part) -> Contrast:
        """The first contrast that is read after a part; the main one of a part that has none."""
        return next((each for each in self.contrasts if each.part is part), self.main)

    @property
    def leading(self) -> tuple[Contrast, ...]:
        """The first contrast of each part, the main one first."""
        return tuple(each for each in self.contrasts if self.compared(each.part) is each)

    @property
    def asked(self) -> tuple[str, ...]:
        """The subsets that the leading contrasts compare, by part, then the main one's baseline."""
        by_part = sorted(self.leading, key=lambda contrast: contrast.part)
        baseline = self.main.baseline
        names = [name for contrast in by_part for name in contrast.names]
        return (*names, *([] if baseline is None else [baseline.name]))

    def require(self, names: Sequence[str]) -> None:
        """Refuses names of no subset.

        Raises:
            InputError: one is.
        """
        for name in names:
            self.subset(name)
