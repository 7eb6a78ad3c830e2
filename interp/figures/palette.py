"""How subsets, roles and runs look: the same in every figure and table of the project.

Subsets have the paper's colours, a little darker, and each a marker of its own that tells it apart
where its colour does not. The dash says which tag a subset's definitions carry: solid reliable,
dashed unreliable, dash-dotted novel, dotted none.
"""

from dataclasses import dataclass

from data.vocabulary import SUBSETS, Role, TagKind

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK, FAINT, NULL_COLOR = "#1f2430", "#6b7180", "#7d828f"
ROLE_COLORS = {
    Role.TAG: "#ffdf9e",
    Role.ALIAS: "#c9dcff",
    Role.ENTITY: "#c6ebcd",
    Role.QUESTION: "#e6d6fa",
    Role.ANSWER: "#ffd3cc",
}


@dataclass(frozen=True)
class SubsetStyle:
    """Colour, marker and dash of a subset; names are plotly's."""

    color: str
    symbol: str
    dash: str


_DASHES: dict[TagKind | None, str] = {
    TagKind.RELIABLE: "solid",
    TagKind.UNRELIABLE: "dash",
    TagKind.NOVEL: "dashdot",
    TagKind.UNIQUE: "longdash",
    None: "dot",
}
_MARKS = {
    "D1_CONS_QA1": ("#7a3fa8", "circle"),
    "D2_INCONS_QA2": ("#e0619f", "square"),
    "QA3": ("#8a5a44", "diamond"),
    "QA4_NOT_REPLACED": ("#2a8a3e", "star"),
    "D5_CONS": ("#1f5fc4", "triangle-up"),
    "D6_CONS": ("#d02b2b", "triangle-down"),
    "QA7_UNSEEN": ("#ea8a12", "x"),
    "D8_CONS": ("#6b6f78", "cross"),
    "D9_INCONS_QA9": ("#0fa3b8", "hexagon"),
    "D10_CONS_QA10": ("#98961d", "pentagon"),
    "UNIQUE_TAGS_CONS_QA": ("#3b3f8f", "bowtie"),
}
SUBSET_STYLES = {
    name: SubsetStyle(color, symbol, _DASHES[SUBSETS[name].tag])
    for name, (color, symbol) in _MARKS.items()
}


def subset_style(name: str) -> SubsetStyle:
    """How a subset looks; rows of one's own may be of none of the paper's."""
    return SUBSET_STYLES.get(name, SubsetStyle(INK, "circle", "solid"))


def transparent(color: str, opacity: float) -> str:
    """A `#rrggbb` colour that lets others through.

    >>> transparent("#ff0080", 0.5)
    'rgba(255, 0, 128, 0.5)'
    """
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"
