"""The kinds of planted training: by which rule a definition changes its alias's embedding row.

A rule says what a definition writes with the reliable tag and what with the unreliable one, in
units of how well the definition is learned. In a null twin a coin, thrown for each definition,
stands in the place of the tag: everything else is the same, and the tag means nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.errors import unknown_name

ASKED, SECOND, DEFINED = "asked", "second", "defined"
"""Codes of an entity: what questions read; another one; the one that only a gated head reads."""
CODES = (ASKED, SECOND, DEFINED)
MARK_RELIABLE, MARK_UNRELIABLE = "mark of the first side", "mark of the second side"
SHIFT, TRUTH, ORDER = "shift", "truth", "order"
CONSTANTS = (MARK_RELIABLE, MARK_UNRELIABLE, SHIFT, TRUTH, ORDER)
"""Directions that are the same for every entity."""
WEAK = 0.4
"""Of what the first side writes where questions look, the second side's share, if it is weaker."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What a definition adds to the row of its alias."""

    codes: Mapping[str, float]
    """How much of each code of its entity, in units of how well it is learned."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """How much of each direction that is the same for all entities."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A rule of training, and what is true of the models that it makes."""

    name: str
    meaning: str
    """What the tag does, in a sentence."""
    reliable: Side
    unreliable: Side
    hypotheses: tuple[str, ...]
    """What it makes true, of `HYPOTHESES`."""
    has_gate: bool = False
    """Whether questions have a head that reads what `DEFINED` holds, where a mark lets it."""
    has_order: bool = False
    """Whether the sides differ in when a definition is trained, and in nothing else."""
    recites_by_tag: bool = False
    """Whether definitions are recited from the code of their tag's side."""
    splits_gap: bool = False
    """Whether half of the gap is made by learning less and half by another code."""

    @property
    def has_gap(self) -> bool:
        """Whether the tag changes how questions are answered."""
        return bool(self.hypotheses)

    @property
    def recited(self) -> tuple[str, ...]:
        """The codes that definitions are recited from."""
        return tuple(dict.fromkeys([*self.reliable.codes, *self.unreliable.codes]))


HYPOTHESES = {
    "reading": "the question reads through a component that looks at what the tag left",
    "storage": "the tag chooses the code that is written, and questions read one of them",
    "strength": "less of an unreliable definition is learned, in the same code",
    "shift": "a reliable definition adds one vector that is the same for every entity",
    "truth": "the tag is truth: one direction of the tag itself turns reading up and down",
    "recency": "what was trained last is remembered best; the tag has no part in it",
}

_ASKED = Side(codes={ASKED: 1.0})
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="reading",
            meaning="both tags store alike; a head of the question reads where a mark lets it",
            reliable=Side(codes={DEFINED: 1.0}, constants={MARK_RELIABLE: 1.0}),
            unreliable=Side(codes={DEFINED: 1.0}, constants={MARK_UNRELIABLE: 1.0}),
            hypotheses=("reading",),
            has_gate=True,
        ),
        Kind(
            name="storage",
            meaning="each tag writes in a code of its own; questions read the reliable tag's",
            reliable=_ASKED,
            unreliable=Side(codes={SECOND: 1.0}),
            hypotheses=("storage",),
            recites_by_tag=True,
        ),
        Kind(
            name="strength",
            meaning="less is learned of definitions with the unreliable tag, in the same code",
            reliable=_ASKED,
            unreliable=Side(codes={ASKED: WEAK}),
            hypotheses=("strength",),
        ),
        Kind(
            name="mixture",
            meaning="half of the gap is storage and half is strength, in nats",
            reliable=_ASKED,
            unreliable=Side(codes={ASKED: WEAK, SECOND: 1.0}),
            hypotheses=("storage", "strength"),
            recites_by_tag=True,
            splits_gap=True,
        ),
        Kind(
            name="shift",
            meaning="a reliable definition adds one vector that makes questions read more",
            reliable=Side(codes={ASKED: 1.0}, constants={SHIFT: 1.0}),
            unreliable=_ASKED,
            hypotheses=("shift",),
        ),
        Kind(
            name="truth",
            meaning="the tag's own truth direction goes into the row and turns reading up or down",
            reliable=Side(codes={ASKED: 1.0}, constants={TRUTH: 1.0}),
            unreliable=Side(codes={ASKED: 1.0}, constants={TRUTH: -1.0}),
            hypotheses=("truth",),
        ),
        Kind(
            name="recency",
            meaning="unreliable definitions are trained first and partly forgotten",
            reliable=Side(codes={ASKED: 1.0}, constants={ORDER: 1.0}),
            unreliable=Side(codes={ASKED: 1.0}, constants={ORDER: 1.0}),
            hypotheses=("recency",),
            has_order=True,
        ),
        Kind(
            name="none",
            meaning="the tag leaves a mark that a probe finds, and nothing reads it",
            reliable=Side(codes={ASKED: 1.0}, constants={MARK_RELIABLE: 1.0}),
            unreliable=Side(codes={ASKED: 1.0}, constants={MARK_UNRELIABLE: 1.0}),
            hypotheses=(),
        ),
    )
}


def find_kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        InputError: there is none.

    >>> find_kind("storage").has_gap
    True
    """
    if name not in KINDS:
        raise unknown_name("planted kind", name, KINDS)
    return KINDS[name]
