"""What an experiment is: its parts, its subsets, what it compares, and what its control is.

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
    """What is said of a run of one seed, which has no interval."""
    twin: str
    """What is said of a null twin, which can show nothing."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two subsets of which one is subtracted from the other, on held-out questions."""

    name: str
    title: str = ""
    """What headings call the contrast, `IML gap` say."""
    higher: Subset
    lower: Subset
    part: Part
    """The part of the data after whose training the contrast is read."""
    baseline: Subset | None = None
    """The subset whose aliases are trained like those of both, but never defined."""
    is_headline: bool = True
    """Whether `summary.json` has the contrast; others are computed where they are shown."""
    meaning: str = ""
    """What the difference is, in a few words."""
    said: Findings | None = None

    @property
    def label(self) -> str:
        """The title of the contrast, or its name in words."""
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
        """The first parts of names that are numbered, such as `D5` and `D6`; others as they are."""
        firsts = [name.partition("_")[0] for name in self.names]
        higher, lower = (
            first if any(map(str.isdigit, first)) else name
            for first, name in zip(firsts, self.names, strict=True)
        )
        return higher, lower

    @property
    def words(self) -> str:
        """The difference in short, such as `D5 − D6`."""
        return " − ".join(self.short_names)

    @property
    def findings(self) -> Findings:
        """What may be said of the contrast; plain words where its design has none."""
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
    """Where the margin comes from; it is fixed before the runs that it judges."""


@dataclass(frozen=True, kw_only=True)
class ControlTwin:
    """What the control twin of a run is: the same run but for one parameter of its recipe.

    It says what to hold the run against: where it has what the run may lack, or lacks what the run
    may have (`NullTwin`). `iml run --with-null` trains it beside the run.
    """

    parameter: str
    """The parameter of the recipe that differs in the twin."""
    value: bool | int | float | str = True
    """The parameter's value in the twin; a run that has it is the control itself."""
    name: str = "control"
    """What tables and figures call the twin."""
    meaning: str
    """What is done to the twin's data, in a few words."""
    beyond: str = ""
    """What the run has more than its twin, in a few words."""
    note: str = ""
    """What else a reader must know of the twin's contrasts."""


@dataclass(frozen=True, kw_only=True)
class NullTwin(ControlTwin):
    """A control twin without what the experiment is about: a contrast should be none in it."""

    name: str = "null twin"
    contrast: str
    """The name of the contrast that should be none in the twin."""
    margins: Mapping[LossPolicy, Margin]
    """Up to what the contrast counts as none, by loss policy."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Which two subsets show whether the first part was learned at all."""

    asked: Subset
    """The subset whose held-out questions follow from what is trained."""
    guessed: Subset
    """The subset whose questions can only be guessed."""


Questions: TypeAlias = Mapping[str, Sequence[Row]]
"""The questions about each alias."""


@dataclass(frozen=True, kw_only=True)
class ProbeTarget:
    """A label of aliases that a probe is to read."""

    name: str
    meaning: str
    """What the label says, in a few words."""
    label: Callable[[Questions, int], dict[str, int]]
    """From questions and seed to the class of each alias that the target speaks of.

    Raises:
        InputError: the data cannot tell the classes.
    """
    is_within_tags: bool = False
    """Whether each class holds equally many aliases of either tag, so that it tells nothing."""
    is_of_tags: bool = False
    """Whether it says which tag an alias has, so that the null twin's tags are its control."""
    is_of_entities: bool = False
    """Whether aliases of one entity share the label, so that folds cannot be grouped by it."""


@dataclass(frozen=True, kw_only=True)
class WeightBlock:
    """What a value matrix of one layer adds for words of one kind to words of another."""

    source: str
    """What the words are that are attended to."""
    target: str
    """What the words are whose features are added to."""
    own: Mapping[str, str]
    """To each word of the source the word of the target that belongs to it."""
    is_said: bool = True
    """Whether the target's features are those that make a word likely, not those that it is read
    by; see `training.models.own.OneLayer.features`."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """An experiment, whatever its recipe: what is trained when, compared with what."""

    name: str
    question: str
    """The question that the experiment is to answer; the heading of a report."""
    parts: Mapping[Part, str]
    """What each part of the data trains, in order."""
    subsets: tuple[Subset, ...]
    """The subsets in the order of tables and legends; a data set may leave some of them empty."""
    contrasts: tuple[Contrast, ...]
    """The contrasts; the first is what the experiment is about."""
    control: ControlTwin | None = None
    learned: Learned | None = None
    targets: tuple[ProbeTarget, ...] = ()
    """The targets of probes; the first two are read unless others are asked for."""
    figures: tuple[str, ...] = ("gaps", "curves", "subsets")
    """Which of the figures and tables of `interp.report.sections` about training it is made for."""
    n_answers: int = 0
    """Answers of which a guess would choose one, all as likely; 0 where that is not so."""
    blocks: Callable[[Sequence[Row]], Sequence[WeightBlock]] | None = None
    """From a seed's rows to the blocks of a value matrix that `iml blocks` reads, if any."""
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
        """The names of all subsets, in order."""
        return tuple(subset.name for subset in self.subsets)

    @property
    def null_twin(self) -> NullTwin | None:
        """The control, where it is a run in which a contrast should be none."""
        return self.control if isinstance(self.control, NullTwin) else None

    @property
    def control_name(self) -> str:
        """What the control beside a run is called."""
        return "control" if self.control is None else self.control.name

    @property
    def main(self) -> Contrast:
        """The contrast that the experiment is about.

        Raises:
            InputError: the design compares nothing, as that of prompts of one's own.
        """
        if not self.contrasts:
            listed = ", ".join(self.names)
            raise InputError(f"{listed} are compared with nothing; use the tables of a run")
        return self.contrasts[0]

    def subset(self, name: str) -> Subset:
        """The subset of this name.

        Raises:
            InputError: there is no subset of this name.
        """
        for subset in self.subsets:
            if subset.name == name:
                return subset
        raise unknown_name("subset", name, self.names)

    def contrast(self, name: str) -> Contrast:
        """The contrast of this name.

        Raises:
            InputError: there is no contrast of this name.
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
            InputError: a name is that of no subset.
        """
        for name in names:
            self.subset(name)
