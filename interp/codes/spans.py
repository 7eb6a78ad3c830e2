"""Aliases of one entity exchanged, one of each compared subset: wholly, or in a code's directions.

The edits of `interp.codes.edits` set one number of an alias, the amount of its own entity's code.
Here a part of its vector becomes what another alias has, which stands for the same entity and was
defined with the other tag. If the gap lies in this part, it turns round.

    span            what lies in the main directions of the code, of all entities
    beside          what lies at right angles to them: if this leaves the gap, it is all in the span
    whole           everything: one alias is put in the place of the other
    changed_span    what the last stage *changed* within the directions; the start is kept
    changed_whole   all that it changed: the most that an edit of changes can bring about

A vector is taken as it stands at the end of the stage, with where it started. In all but the last
two an alias so loses its own start, too, as far as it lies in the part.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp.codes.answers import AskedAliases, unchanged
from interp.codes.directions import Directions, tried_directions
from interp.codes.edited import answer_records, share_records
from interp.codes.edits import BESIDE, CHANGED_SPAN, CHANGED_WHOLE, SPAN, WHOLE
from interp.codes.estimation import CODES
from interp.codes.places import CodePlace
from interp.codes.rows import Variants, code_row
from interp.codes.seed_codes import SeedCodes
from interp.hooked.model import HookedModel
from training.seeds import derive_seed

DIRECTIONS = "directions"
"""The quantity that says how many directions a code's are."""

ENOUGH = 0.9
"""Of the compared aliases, those that must have a partner, so that a gap can turn round."""

Differences = Float[np.ndarray, "alias width"]
"""What an alias's partner has, less what it has itself."""


def measure_spans(codes: SeedCodes, model: HookedModel, place: CodePlace) -> pd.DataFrame:
    """Answers, the gap and its explained share after each exchange, by code and edit.

    Nothing where too many entities have aliases in one of the compared subsets only, as in text.
    """
    partners = partners_of(codes)
    if (partners != np.arange(len(partners))).mean() < ENOUGH:
        return pd.DataFrame()
    asked = AskedAliases(model=model, place=place, aliases=codes.aliases.compared)
    trained, n = unchanged(asked), len(codes.aliases.compared)
    stands = codes.after.at(codes.aliases.compared)
    stands, changed = (each[partners] - each for each in (stands, codes.changes.vectors))
    records: list[dict[str, object]] = []

    def note(kinds: list[str], tried: Sequence[Differences], code: str, edit: str) -> None:
        answers, variants = asked.with_added(np.stack(tried)), Variants(kinds=kinds)
        records.extend(answer_records(codes, answers, variants, code=code, edit=edit))
        records.extend(share_records(codes, answers, trained, variants, code=code, edit=edit))

    note([""], [stands], "", WHOLE)
    note([""], [changed], "", CHANGED_WHOLE)
    for name in CODES:
        kinds, found = map(list, zip(*tried_directions(codes, name), strict=True))
        records.append(code_row(float(len(found[0])), quantity=DIRECTIONS, code=name, n=n))
        note(kinds, [within(stands, each) for each in found], name, SPAN)
        note([""], [stands - within(stands, found[0])], name, BESIDE)
        note(kinds, [within(changed, each) for each in found], name, CHANGED_SPAN)
    return pd.DataFrame(records)


def within(vectors: Differences, directions: Directions) -> Differences:
    """What of vectors lies in some directions.

    >>> within(np.array([[3.0, 4.0]]), np.array([[0.0, 1.0]])).tolist()
    [[0.0, 4.0]]
    """
    return vectors @ directions.T @ directions


def partners_of(codes: SeedCodes) -> Int[np.ndarray, " alias"]:
    """Of each compared alias one of the other subset that stands for the same entity.

    Drawn at random; each is drawn before one is drawn again. An alias whose entity has none there
    is its own partner.
    """
    rng = np.random.default_rng(derive_seed(codes.seed, "codes/partners"))
    changes = codes.changes
    partners = np.arange(len(changes.numbers))
    for number in np.unique(changes.numbers):
        sides = [
            np.flatnonzero((changes.numbers == number) & (changes.is_higher == side))
            for side in (True, False)
        ]
        if all(map(len, sides)):
            for own, other in (sides, sides[::-1]):
                partners[own] = np.resize(rng.permutation(other), len(own))
    return partners
