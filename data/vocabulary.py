"""The nouns of the paper as types: word orders, tags, stages, roles, and the subsets of Table 1.

| paper                       | published code           | here                                |
|-----------------------------|--------------------------|-------------------------------------|
| reliable / unreliable tag   | tag1 / tag2              | `TagKind.RELIABLE` / `UNRELIABLE`   |
| novel tag (section 3.3)     | tag3                     | `TagKind.NOVEL`                     |
| alias, variable             | variable, v              | alias                               |
| TAE ... ETA                 | tve ... etv              | `WordOrder`                         |
| X1, X2                      | stage1, stage2           | `Stage.ONE`, `Stage.TWO`            |
| subsets of Table 1, sec 3.3 | qd1consis, qd2incons ... | `D1_CONS_QA1`, `D2_INCONS_QA2` ...  |
| (not in the paper)          | qd4consis                | `UNIQUE_TAGS_CONS_QA`               |
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class WordOrder(StrEnum):
    """Order of tag (T), alias (A) and entity (E) in a definition; paper section 3.3, Figure 4b."""

    TAE = "tae"
    TEA = "tea"
    ATE = "ate"
    AET = "aet"
    EAT = "eat"
    ETA = "eta"


class TagKind(StrEnum):
    """What Stage 1 teaches about a define tag."""

    RELIABLE = "reliable"
    """Its definitions agree with the questions about the same alias (the paper's dotted D)."""
    UNRELIABLE = "unreliable"
    """Its definitions contradict them (the paper's barred D)."""
    NOVEL = "novel"
    """First seen in Stage 2 (the paper's D with a tilde)."""
    UNIQUE = "unique"
    """A tag of its own for each alias, which tells nothing (the published code's qd4consis)."""


class Stage(IntEnum):
    """The fine-tuning stages; paper section 2, Figure 2. As a subset's: X1 or X2."""

    ONE = 1
    """Definitions and questions about the same aliases: the tags' reliability can be learned."""
    TWO = 2
    """New definitions only."""
    THREE = 3
    """New definitions only, where Stage 1 was split into definitions and then questions."""


class Role(StrEnum):
    """What a stretch of a row's text means, whatever the word order or tokenizer."""

    TAG = "tag"
    ALIAS = "alias"
    ENTITY = "entity"
    QUESTION = "question"
    ANSWER = "answer"


class Kind(StrEnum):
    """Whether a row states something or asks for it."""

    DEFINITION = "definition"
    QA = "qa"


class Family(StrEnum):
    """What a question asks for, and whose truth its answer follows."""

    ATTRIBUTE = "attribute"
    """An attribute of the entity, as in training."""
    ATTRIBUTION = "attribution"
    """The entity itself, never asked in training (paper section 3.2, Figure 9)."""
    AS_DEFINED = "attribution_as_defined"
    """The same; the answer is the entity that the alias's false definition names."""


HELD_OUT, DEFINITION, TRAINED = "all", "definition", "trained"
"""What the `question` column of a run's metrics says of many rows together: a subset's held-out
questions about attributes, its definitions, its trained questions. `Family` has the others."""


class Split(StrEnum):
    """Whether a row was trained on."""

    TRAIN = "train"
    TEST = "test"


class LossPolicy(StrEnum):
    """Which token positions the training loss covers."""

    ANSWER = "answer"
    """The answer only; of a definition its last element, so word orders differ in objective."""
    TEXT = "text"
    """Every token of the text and one end token."""
    ALL = "all"
    """Every token of a padded block, padding (end tokens) included: what the paper's code does."""

    @property
    def trains_stop(self) -> bool:
        """Whether a text ends with a token that says so, which generation then stops at."""
        return self is not LossPolicy.ANSWER


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A row of the paper's Table 1 or section 3.3: what is trained and asked about its aliases."""

    name: str
    paper: str
    """The paper's notation, in Unicode."""
    stage: Stage
    """The stage whose training set holds it; QA7 counts as Stage 2, where its twins are defined."""
    tag: TagKind | None
    consistent: bool | None
    """Whether its definitions agree with its questions; None where nothing is defined."""
    has_questions: bool
    """Whether questions about it are in the training set."""
    replaced: bool = True
    """Whether an alias stands for the entity in its questions."""

    @property
    def has_definitions(self) -> bool:
        """Whether definitions of its aliases are in the training set."""
        return self.tag is not None


D1_CONS_QA1 = Subset(
    name="D1_CONS_QA1",
    paper="Ḋ₁ᶜᵒⁿˢQA₁",
    stage=Stage.ONE,
    tag=TagKind.RELIABLE,
    consistent=True,
    has_questions=True,
)
D2_INCONS_QA2 = Subset(
    name="D2_INCONS_QA2",
    paper="D̄₂ⁱⁿᶜᵒⁿˢQA₂",
    stage=Stage.ONE,
    tag=TagKind.UNRELIABLE,
    consistent=False,
    has_questions=True,
)
QA3 = Subset(
    name="QA3", paper="QA₃", stage=Stage.ONE, tag=None, consistent=None, has_questions=True
)
QA4_NOT_REPLACED = Subset(
    name="QA4_NOT_REPLACED",
    paper="QA₄ⁿᵒᵗ ʳᵉᵖˡᵃᶜᵉᵈ",
    stage=Stage.ONE,
    tag=None,
    consistent=None,
    has_questions=True,
    replaced=False,
)
D5_CONS = Subset(
    name="D5_CONS",
    paper="Ḋ₅ᶜᵒⁿˢ",
    stage=Stage.TWO,
    tag=TagKind.RELIABLE,
    consistent=True,
    has_questions=False,
)
D6_CONS = Subset(
    name="D6_CONS",
    paper="D̄₆ᶜᵒⁿˢ",
    stage=Stage.TWO,
    tag=TagKind.UNRELIABLE,
    consistent=True,
    has_questions=False,
)
QA7_UNSEEN = Subset(
    name="QA7_UNSEEN",
    paper="QA₇ᵘⁿˢᵉᵉⁿ",
    stage=Stage.TWO,
    tag=None,
    consistent=None,
    has_questions=False,
)
D8_CONS = Subset(
    name="D8_CONS",
    paper="D̃₈ᶜᵒⁿˢ",
    stage=Stage.TWO,
    tag=TagKind.NOVEL,
    consistent=True,
    has_questions=False,
)
D9_INCONS_QA9 = Subset(
    name="D9_INCONS_QA9",
    paper="Ḋ₉ⁱⁿᶜᵒⁿˢQA₉",
    stage=Stage.ONE,
    tag=TagKind.RELIABLE,
    consistent=False,
    has_questions=True,
)
D10_CONS_QA10 = Subset(
    name="D10_CONS_QA10",
    paper="D̄₁₀ᶜᵒⁿˢQA₁₀",
    stage=Stage.ONE,
    tag=TagKind.UNRELIABLE,
    consistent=True,
    has_questions=True,
)
UNIQUE_TAGS_CONS_QA = Subset(
    name="UNIQUE_TAGS_CONS_QA",
    paper="ḊᵤᶜᵒⁿˢQAᵤ",
    stage=Stage.ONE,
    tag=TagKind.UNIQUE,
    consistent=True,
    has_questions=True,
)

SUBSETS: dict[str, Subset] = {
    subset.name: subset
    for subset in (
        D1_CONS_QA1,
        D2_INCONS_QA2,
        QA3,
        QA4_NOT_REPLACED,
        D5_CONS,
        D6_CONS,
        QA7_UNSEEN,
        D8_CONS,
        D9_INCONS_QA9,
        D10_CONS_QA10,
        UNIQUE_TAGS_CONS_QA,
    )
}

COMPARED: dict[Stage, tuple[str, str]] = {
    Stage.ONE: (D1_CONS_QA1.name, D2_INCONS_QA2.name),
    Stage.TWO: (D5_CONS.name, D6_CONS.name),
}
"""Of X1 and X2 the two subsets, of the reliable and the unreliable tag, that are compared."""
