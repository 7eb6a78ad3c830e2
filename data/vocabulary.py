"""The nouns of the paper as types: word orders, tags, parts of the data, stages, roles.

The subsets of its Table 1 are in `data.tasks.iml`.

| paper                       | published code           | here                                |
|-----------------------------|--------------------------|-------------------------------------|
| reliable / unreliable tag   | tag1 / tag2              | `TagKind.RELIABLE` / `UNRELIABLE`   |
| novel tag (section 3.3)     | tag3                     | `TagKind.NOVEL`                     |
| alias, variable             | variable, v              | alias                               |
| TAE ... ETA                 | tve ... etv              | `WordOrder`                         |
| X1, X2                      | stage1, stage2           | `Part.X1`, `Part.X2`                |
| subsets of Table 1, sec 3.3 | qd1consis, qd2incons ... | `D1_CONS_QA1`, `D2_INCONS_QA2` ...  |
| (not in the paper)          | qd4consis                | `UNIQUE_TAGS_CONS_QA`               |
"""

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
    """A tag whose definitions agree with the questions about the same alias (the dotted D)."""
    UNRELIABLE = "unreliable"
    """A tag whose definitions contradict those questions (the paper's barred D)."""
    NOVEL = "novel"
    """A tag that is first seen in Stage 2 (the paper's D with a tilde)."""
    UNIQUE = "unique"
    """A tag of its own for each alias, which tells nothing (the published code's qd4consis)."""


class Part(IntEnum):
    """The parts of the data; paper section 2, Figure 2. A `Schedule` says which stage trains which.

    What each of them holds is said by the `Design` of a data set.
    """

    X1 = 1
    X2 = 2


class Stage(IntEnum):
    """The stages of training, in order; a run has as many as its `Schedule` says."""

    ONE = 1
    TWO = 2
    THREE = 3


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
    ENTITY_ATTRIBUTION = "attribution"
    """The entity itself, never asked in training (paper section 3.2, Figure 9)."""
    AS_DEFINED = "attribution_as_defined"
    """The entity itself, the answer being the one that the alias's false definition names."""


HELD_OUT, DEFINITION, TRAINED = "all", "definition", "trained"
"""What the `question` column of a run's metrics says of many rows together: a subset's held-out
questions about attributes, its definitions, its trained questions. `Family` has the others."""


class Split(StrEnum):
    """Whether a row was trained on."""

    TRAIN = "train"
    TEST = "test"


class LossPolicy(StrEnum):
    """Which token positions the training loss covers."""

    ANSWER = (
        "answer",
        (
            "the loss covers only a row's answer; a definition's answer is its last element, so "
            "runs of different word orders differ in objective too"
        ),
    )
    TEXT = "text", "the loss covers every token of a row and one end token"
    ALL = "all", "the loss covers every token of a padded block, padding included"
    """What the paper's code does; padding is end tokens."""

    words: str
    """What it covers, in a sentence."""

    def __new__(cls, name: str, words: str) -> "LossPolicy":
        """A member that is equal to its name."""
        member = str.__new__(cls, name)
        member._value_, member.words = name, words
        return member

    @property
    def trains_stop(self) -> bool:
        """Whether texts are trained to end with a token, at which generation then stops."""
        return self is not LossPolicy.ANSWER
