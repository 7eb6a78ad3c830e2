"""What a subset of the data is: what is stated and asked about its aliases, and how it looks."""

from dataclasses import dataclass

from data.vocabulary import Part, TagKind


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Colour (`#rrggbb`), marker and dash in figures; the names are plotly's."""

    color: str
    symbol: str
    dash: str = "solid"


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Aliases about which the same kind of thing is stated and asked."""

    name: str
    notation: str
    """The subset as the paper writes it, in Unicode."""
    meaning: str
    """How the aliases of the subset are defined, in a few words."""
    part: Part
    """The part in which the rows are trained; what is never trained counts to that of its like."""
    has_definitions: bool = False
    """Whether something is stated about its aliases."""
    has_questions: bool = False
    """Whether questions about it are in the training set."""
    replaced: bool = True
    """Whether an alias stands for the entity in its questions."""
    tag: TagKind | None = None
    """What kind of tag its definitions carry; None where they carry none."""
    consistent: bool | None = None
    """Whether its definitions agree with its questions; None where nothing is defined."""
    twin: str = ""
    """The subset that differs from it in its tag's kind alone, if there is one."""
    mark: Mark | None = None
    """How figures show the subset; they choose a mark where it has none."""
