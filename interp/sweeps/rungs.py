"""The rungs from the alias toy to a real model: what each changes, and what may bring it back.

Every rung keeps what the rung that it follows has and changes one thing more. Two arms leave the
toy: both have fewer aliases an entity, one by fewer aliases, the other by more entities. The second
is how text is, so the rungs above go on from its end. Knobs stand beside rungs at which the effect
may be lost: they keep the rung's data but for one thing that might bring it back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from training.config import Value

FOR_LADDER = 0.5
"""Least share of held-out questions about what is defined and asked about that a rung must answer
right: below, too little of Stage 1 is learned for the rung to tell what the effect needs."""

RUNGS = "rungs"
"""What `sweep.json` calls the rungs of its cells."""
_NOTED = ("name", "change", "after", "knob")


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One run of a ladder, and what it changes."""

    name: str
    change: str
    """What is not as in the run that it is compared with, in words."""
    after: str = ""
    """The rung that it is compared with: the one below, or the one that a knob stands beside."""
    knob: str = ""
    """What a knob turns; empty for a rung."""
    recipe: str = "alias-toy"
    arguments: Mapping[str, Value] = field(default_factory=dict)
    same_steps: bool = False
    """Whether both stages have as many steps as by the recipe's defaults, whatever the rows."""
    smoke: Mapping[str, Value] = field(default_factory=dict)
    """What a smoke run has instead, so that it stays tiny and differs from the others."""
    has_twin: bool = True
    """Whether its null twin is trained, too."""
    most_seeds: int = 0
    """Most seeds that it gets; 0 for all that are asked for."""

    def above(self, name: str, change: str, **arguments: Value) -> "Rung":
        """The next rung: this one with more arguments."""
        known = {**self.arguments, **arguments}
        return replace(self, name=name, change=change, after=self.name, arguments=known)

    def turned(self, knob: str, change: str, smoke: Mapping[str, Value], **more: Value) -> "Rung":
        """A knob beside this rung."""
        beside = self.above(f"{self.name}-{knob}", change, **more)
        return replace(beside, knob=knob, has_twin=False, smoke={**self.smoke, **smoke})

    @property
    def rung(self) -> str:
        """The rung that it is, or stands beside."""
        return self.after if self.knob else self.name


def ladder_note(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """What `sweep.json` says of rungs."""
    return [{name: getattr(rung, name) for name in _NOTED} for rung in rungs]


def is_ladder_note(content: object, n_cells: int) -> bool:
    """Whether something read from `sweep.json` is what is said of so many rungs, or of none."""
    if not isinstance(content, list) or len(content) not in (0, n_cells):
        return False
    return all(
        isinstance(each, dict) and all(isinstance(each.get(name), str) for name in _NOTED)
        for each in content
    ) and len({each["name"] for each in content}) == len(content)


_WIDER: Mapping[str, Value] = {"d_model": 128, "heads": 8, "d_mlp": 512}
_TINY_WIDER: Mapping[str, Value] = {"d_model": 32, "heads": 4, "d_mlp": 64}
_ALIASES_OF_20: Mapping[int, tuple[int, int]] = {20: (170, 60), 8: (64, 32), 4: (30, 20), 1: (8, 4)}
"""By aliases an entity: aliases of either tag, and undefined ones, of 20 entities in Stage 1."""


def _fewer_aliases(start: Rung) -> Iterator[Rung]:
    """The arm in which the 20 entities stay."""
    below = start
    for n, (defined, undefined) in _ALIASES_OF_20.items():
        below = below.above(
            f"fixed-entities-{n}",
            f"{n} aliases an entity in Stage 1, of the same 20 entities; as many steps",
            aliases_per_entity=n,
            aliases_per_subset=defined,
            aliases_qa3=undefined,
        )
        few: dict[str, Value] = {"epochs_stage1": 3, "epochs_stage2": 4}
        below = replace(below, same_steps=True, smoke=few)
        yield below


def _more_entities(start: Rung) -> Iterator[Rung]:
    """The arm in which the 900 aliases of Stage 1 stay."""
    below = start
    for n in _ALIASES_OF_20:
        below = below.above(
            f"fixed-aliases-{n}",
            f"{n} aliases an entity in Stage 1, of {-(-900 // n)} entities; as many epochs",
            aliases_per_entity=n,
        )
        yield below


def _towards_text(start: Rung) -> Iterator[Rung]:
    """What else text has, one thing after another."""
    below = start.above(
        "new-entities", "entities of Stage 2 that no alias of Stage 1 has", new_entities_stage2=True
    )
    yield below
    below = below.above(
        "long-names", "aliases of two tokens of 64", alias_tokens=2, alias_syllables=64
    )
    yield below
    below = below.above("long-answers", "answers of two tokens", answer_tokens=2)
    yield below
    below = below.above("sentences", "sentences in place of word lists", sentences=True)
    yield below
    yield below.above(
        "every-token",
        "every token trained, with untied embeddings, since tied ones leave no effect then",
        loss_policy="text",
        tied_embeddings=False,
    )


def _toy_to_text() -> tuple[Rung, ...]:
    start = Rung(name="alias-toy", change="45 aliases an entity in Stage 1, 40 of them defined")
    fewer, more = [*_fewer_aliases(start)], [*_more_entities(start)]
    text = [*_towards_text(more[-1])]
    real = Rung(
        name="pretrained",
        change="a pretrained model and people whom it knows; answers trained, as in sentences",
        after="sentences",
        recipe="famous-people",
        most_seeds=6,
    )
    lost = (fewer[-1], *more[1:], *text)
    knobs = [knob for rung in lost for knob in (_wider(rung), _with_more(rung))]
    # Knobs last, so that what is broken off early has the rungs; those of the toys before the real.
    return (start, *fewer, *more, *text, *knobs, real)


def _wider(rung: Rung) -> Rung:
    return rung.turned("wide", "twice as wide", _TINY_WIDER, **_WIDER)


def _with_more(rung: Rung) -> Rung:
    """As many aliases an entity, of more entities."""
    n, few = (5, (8, 4)) if "aliases_per_subset" in rung.arguments else (2, (400, 100))
    defined, undefined = (n * size for size in few)
    return rung.turned(
        "more-entities",
        f"{n} times the entities and aliases",
        {"aliases_per_subset": 40 + 20 * n, "aliases_qa3": 20},
        aliases_per_subset=defined,
        aliases_qa3=undefined,
    )


TOY_TO_TEXT: tuple[Rung, ...] = _toy_to_text()
