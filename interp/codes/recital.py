"""Where another code is read: definitions recited with their own tag and with the other one.

A definition of one subset is recited from the alias's vector as questions are answered from it. If
each tag has a code of its own, a definition should suffer where its tag's code is taken out, and
with the other tag in its place where that one's is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from data.errors import InputError
from data.tag_swaps import retagged_definitions
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role
from interp.codes.answers import METRICS, Answers, AskedAliases, unchanged
from interp.codes.edits import TAKE, edits_of
from interp.codes.estimation import CODES
from interp.codes.nulls import NULLS
from interp.codes.places import CodePlace
from interp.codes.rows import Variants, code_row
from interp.codes.seed_codes import SeedCodes
from interp.hooked.addresses import TokenRole
from interp.hooked.model import HookedModel

ALIAS_ROLES = (None, TokenRole.ALIAS_FIRST, TokenRole.ALIAS_LAST)
"""The places that definitions have as well as questions; None is the embedding's."""
OWN_TAG, OTHER_TAG = "recited", "recited, other tag"


def measure_recital(
    codes: SeedCodes, model: HookedModel, place: CodePlace, rows: Sequence[TokenizedRow]
) -> pd.DataFrame:
    """How both compared subsets' definitions are recited, trained and with each code taken out.

    Empty where definitions lack the place, or the alias is what they are to say.
    """
    definitions = _definitions(codes, rows)
    if place.role not in ALIAS_ROLES or definitions is None:
        return pd.DataFrame()
    records = []
    for name, own in _by_tag(definitions, rows).items():
        aliases = [
            replace(alias, questions=tuple(rows_of))
            for alias, rows_of in zip(codes.aliases.compared, own, strict=True)
        ]
        asked = AskedAliases(model=model, place=place, aliases=aliases)
        trained = unchanged(asked)[None]
        records += _records(codes, trained, Variants(kinds=[""]), name=name, code="", edit="")
        for code in CODES:
            tried = [("", codes.codes[code])]
            tried += [(kind, each) for kind in NULLS for each in codes.nulls[code][kind]]
            edit = edits_of(code, codes.codes, codes.changes)[TAKE]
            added = np.stack([edit.additions(each, codes.changes) for _, each in tried])
            variants = Variants(kinds=[kind for kind, _ in tried])
            answers = asked.with_added(added)
            records += _records(codes, answers, variants, name=name, code=code, edit=TAKE)
    return pd.DataFrame(records)


def _definitions(codes: SeedCodes, rows: Sequence[TokenizedRow]) -> list[list[TokenizedRow]] | None:
    """The definitions of each compared alias; None if one has none, or is to say the alias."""
    known: dict[str | None, list[TokenizedRow]] = {}
    for row in rows:
        if row.row.kind is Kind.DEFINITION:
            known.setdefault(row.row.alias, []).append(row)
    found = [known.get(alias.name, []) for alias in codes.aliases.compared]
    is_told = [
        Role.ALIAS in row.spans and row.spans[Role.ALIAS][1] < row.answer_positions[0]
        for own in found
        for row in own
    ]
    return found if all(found) and all(is_told) else None


def _by_tag(
    definitions: list[list[TokenizedRow]], rows: Sequence[TokenizedRow]
) -> Mapping[str, list[list[TokenizedRow]]]:
    """The definitions as they are and, where the tag stands in the prompt, with the other tag."""
    try:
        other = retagged_definitions([row for own in definitions for row in own], rows)
    except InputError:  # the tag is what is to be said, or there are not two tags
        return {OWN_TAG: definitions}
    retagged = [[other[row.row.row_id] for row in own] for own in definitions]
    return {OWN_TAG: definitions, OTHER_TAG: retagged}


def _records(
    codes: SeedCodes, answers: Answers, variants: Variants, *, name: str, code: str, edit: str
) -> list[dict[str, object]]:
    return [
        code_row(
            *variants.split(answers[:, where, at].mean(1)),
            quantity=metric.name, code=code, subset=f"{subset} {name}", edit=edit,
            n=int(where.sum()),
        )
        for subset, where in codes.sides.items()
        for at, metric in enumerate(METRICS)
    ]  # fmt: skip
