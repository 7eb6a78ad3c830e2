"""Edits of aliases' vectors along a code; everything else of each alias's own change is kept.

An edit is what it adds to each alias's vector: an amount of the tested code of the alias's entity,
and, in `swap` and the turns, something of another vector. The amounts come from the trained model;
a control keeps them and puts other vectors in the place of the tested code's.

    take          the own code is taken out of both subsets' changes     is it necessary?
    add           both get as much of it as the richer subset has        is it sufficient?
    swap          it becomes the code of another entity                  does the answer follow?
    lower         the better subset gets the other's amounts             is the gap gone?
    raise         the other subset gets the better one's amounts         is the gap gone?
    equal         both get the amounts between                           is the gap gone?
    exchange      lower and raise at once                                is it reversed?
    turn_in       the lower subset's writing is turned into the code     is the gap gone?
    turn_out      the better subset's writing is turned out of it        is the gap gone?
    turn          both at once                                           is it reversed?

Amounts are exchanged by rank: the alias with the most code of one subset gets what the alias with
the most has in the other, so that they are spread as they were. The turns keep how much is written
in the two tags' codes together, and give it the other subset's *composition*: they ask where a
subset writes, apart from how much.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from interp.codes.estimation import UNRELIABLE, Code, coefficients

TAKE, ADD, SWAP = "take", "add", "swap"
LOWER, RAISE, EQUAL, EXCHANGE = "lower", "raise", "equal", "exchange"
TURN_IN, TURN_OUT, TURN = "turn_in", "turn_out", "turn"
PROJECT, PROJECT_EMBED, PROJECT_BLOCKS = "project", "project_embed", "project_blocks"
PROJECTING = (PROJECT, PROJECT_EMBED, PROJECT_BLOCKS)
"""Edits of weights, not of vectors; see `interp.codes.projected`."""
SPAN, BESIDE, WHOLE = "span", "beside", "whole"
CHANGED_SPAN, CHANGED_WHOLE = "changed_span", "changed_whole"
PARTNERED = (SPAN, BESIDE, WHOLE, CHANGED_SPAN, CHANGED_WHOLE)
"""Exchanges of two aliases of one entity; see `interp.codes.spans`."""
HALVES = {LOWER: EXCHANGE, RAISE: EXCHANGE, TURN_IN: TURN, TURN_OUT: TURN}
"""Edits of one subset alone, by the edit of both that they are half of."""
OF_HIGHER = (LOWER, TURN_OUT)
"""The halves that edit the subset that should be answered better."""
SETTING = (LOWER, RAISE, EQUAL, EXCHANGE)
"""The edits that set amounts, over whose shares of the gap the mean is taken."""
EXPLAINING = (TAKE, *SETTING, TURN_IN, TURN_OUT, TURN, *PROJECTING, *PARTNERED)
"""After which the gap should be gone, or turned round, if amounts or places make it."""
REVERSING = (EXCHANGE, TURN, *PARTNERED)
"""Where the gap is not to go but to turn round."""

Amounts = Float[np.ndarray, " alias"]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What the last stage changed in each compared alias, and whose code is its own."""

    vectors: Float[np.ndarray, "alias width"]
    """Less their mean over all compared aliases."""
    numbers: Int[np.ndarray, " alias"]
    """The place of each alias's entity among the codes."""
    swapped: Int[np.ndarray, " alias"]
    """The place of another entity, whose code it gets in `swap`."""
    is_higher: np.ndarray
    """Whether the alias is of the subset that should be answered better."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """An edit before any vectors are put in: additions are linear in the tested code."""

    amounts: Amounts
    """Of the code of the alias's own entity."""
    swapped: Amounts
    """Of the code of the other entity."""
    fixed: Float[np.ndarray, "alias width"]
    """What is added whatever the tested code is."""

    def additions(self, code: Code, changes: Changes) -> Float[np.ndarray, "alias width"]:
        """What the edit adds to each alias's vector, with these vectors as the tested code."""
        own, other = code[changes.numbers], code[changes.swapped]
        return self.amounts[:, None] * own + self.swapped[:, None] * other + self.fixed


def edits_of(name: str, codes: Mapping[str, Code], changes: Changes) -> dict[str, Edit]:
    """Every edit of both subsets along the code of this name, by the edit's name.

    Those of one subset alone are the halves of these; see `HALVES`.

    Args:
        name: One of `interp.codes.estimation.CODES`.
        codes: All codes; the unreliable tag's is the one that the turns turn out of.
        changes: Of the compared aliases.
    """
    code, is_higher = codes[name], changes.is_higher
    own = coefficients(changes.vectors, code, changes.numbers)
    has = own[is_higher], own[~is_higher]
    zero, none = np.zeros_like(own), np.zeros_like(changes.vectors)

    def setting(higher: Amounts, lower: Amounts) -> Edit:
        new = np.empty_like(own)
        new[is_higher], new[~is_higher] = higher, lower
        return Edit(amounts=new - own, swapped=zero, fixed=none)

    lowered, raised = by_rank(has[0], has[1]), by_rank(has[1], has[0])
    found = {
        TAKE: Edit(amounts=-own, swapped=zero, fixed=none),
        ADD: Edit(amounts=zero + max(each.mean() for each in has), swapped=zero, fixed=none),
        SWAP: Edit(amounts=-own, swapped=own, fixed=none),
        EQUAL: setting((has[0] + lowered) / 2, (has[1] + raised) / 2),
        EXCHANGE: setting(lowered, raised),
    }
    return found if name == UNRELIABLE else found | {TURN: _turn(code, codes[UNRELIABLE], changes)}


def by_rank(
    own: Float[np.ndarray, " one"], other: Float[np.ndarray, " other"]
) -> Float[np.ndarray, " one"]:
    """The other group's values in the order of one's own; between two values where counts differ.

    >>> by_rank(np.array([0.3, 0.1, 0.2]), np.array([3.0, 1.0, 2.0])).tolist()
    [3.0, 1.0, 2.0]
    """
    ranks = own.argsort(kind="stable").argsort(kind="stable")
    shares = (ranks + 0.5) / len(own)
    places = (np.arange(len(other)) + 0.5) / len(other)
    return np.interp(shares, places, np.sort(other))


def _turn(code: Code, second: Code, changes: Changes) -> Edit:
    """Each subset's writing with the composition that the other subset's has.

    What an alias writes is what lies along the own code, and along what the second code has beside
    it (at right angles). Of both together, over all its aliases, a subset's composition is the
    share along the first.
    """
    own = code[changes.numbers]
    lengths = np.linalg.norm(own, axis=1)
    lengths = np.where(lengths > 0, lengths, 1.0)
    along = own / lengths[:, None]
    other = second[changes.numbers]
    beside = other - (other * along).sum(1)[:, None] * along
    widths = np.linalg.norm(beside, axis=1)
    beside = beside / np.where(widths > 0, widths, 1.0)[:, None]
    written = np.stack([(changes.vectors * each).sum(1) for each in (along, beside)], axis=1)
    total, is_higher = written.sum(1), changes.is_higher
    higher, lower = (
        np.clip(written[where, 0].sum() / (total[where].sum() or 1.0), 0.0, 1.0)
        for where in (is_higher, ~is_higher)
    )
    turned = total * np.where(is_higher, lower - higher, higher - lower)
    return Edit(
        amounts=turned / lengths, swapped=np.zeros_like(total), fixed=-turned[:, None] * beside
    )
