"""Codes in the weights: what changed blocks write, and the code taken out of the change itself.

Of each block: how far what its changed weights write lies in each code, and all edits of it, as at
a place of the stream. Beside them `project`: the code's directions are projected out of the change
of the block's own matrices; see `interp.codes.projected`. Then all matrices together, at the site
`weights_all`: those of the blocks, the input embedding, and both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from interp.codes.directions import tried_directions
from interp.codes.edited import (
    answer_records,
    measure_edits,
    share_records,
    unedited_records,
)
from interp.codes.edits import PROJECT, PROJECT_BLOCKS, PROJECT_EMBED
from interp.codes.estimation import CODES, Vectors
from interp.codes.places import ENTRY, WEIGHTS_ALL, CodePlace
from interp.codes.projected import EMBEDDING, ChangedWeights
from interp.codes.rows import Variants
from interp.codes.seed_codes import SeedCodes
from interp.codes.shape import measure_shape
from interp.codes.written import written_by_change
from interp.hooked.model import HookedModel


def codes_of_writing(
    codes: SeedCodes, before: HookedModel, after: HookedModel, place: CodePlace
) -> SeedCodes:
    """The codes of a place, where a change is what the changed weights of its block write there."""
    aliases = [*codes.aliases.compared, *codes.aliases.further]
    written = written_by_change(before, after, aliases, place)
    vectors = {
        **codes.before.of,
        **{name: codes.before.of[name] + w for name, w in written.items()},
    }
    return replace(codes, after=Vectors(of=vectors, entities=codes.before.entities))


def measure_weights(
    by_group: Mapping[int, SeedCodes],
    places: Mapping[int, CodePlace],
    model: HookedModel,
    weights: ChangedWeights,
) -> pd.DataFrame:
    """The rows of all blocks at one role, with their places.

    Args:
        by_group: By layer the codes behind a block and what its weights write; those where the
            embedding enters the stream as `EMBEDDING`.
        places: By layer where it writes.
        model: The checkpoint that is looked at.
        weights: Of both checkpoints, with the questions about the compared aliases.
    """
    tables = []
    blocks = sorted(places)
    for layer in blocks:
        codes, place = by_group[layer], places[layer]
        parts = [measure_shape(codes), measure_edits(codes, model, place)]
        projected = _projections(by_group, weights, {PROJECT: [layer]})
        tables.append(_placed(pd.concat([*parts, projected]), place.coordinates))
    edits = {
        PROJECT_EMBED: [EMBEDDING],
        PROJECT_BLOCKS: blocks,
        PROJECT: [EMBEDDING, *blocks],
    }
    last = places[blocks[-1]]
    together = pd.concat(
        [
            _trained(by_group[EMBEDDING], weights, model, CodePlace(site=ENTRY, role=last.role)),
            _projections(by_group, weights, edits),
        ]
    )
    where = last.coordinates | {"site": WEIGHTS_ALL, "layer": 0}
    return pd.concat([*tables, _placed(together, where)], ignore_index=True)


def _trained(
    codes: SeedCodes, weights: ChangedWeights, model: HookedModel, place: CodePlace
) -> pd.DataFrame:
    """The answers of the model as it was trained, and the floor."""
    answers = weights.without({}, {})[None]
    records = answer_records(codes, answers, Variants(kinds=[""]), code="", edit="")
    if codes.aliases.baseline:
        records += unedited_records(codes.aliases.baseline, model, place)
    return pd.DataFrame(records)


def _projections(
    by_group: Mapping[int, SeedCodes], weights: ChangedWeights, edits: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """Answers, gap and share with each code projected out of the change of some groups."""
    trained, records = weights.without({}, {}), []
    for name in CODES:
        groups = dict.fromkeys(each for chosen in edits.values() for each in chosen)
        tried = {group: tried_directions(by_group[group], name) for group in groups}
        for edit, chosen in edits.items():
            kinds = [kind for kind, _ in tried[chosen[0]]]
            own = {group: tried[group][0][1] for group in chosen}
            answers = np.stack(
                [
                    weights.without(own, {group: tried[group][at][1] for group in chosen})
                    for at in range(len(kinds))
                ]
            )
            codes, variants = by_group[chosen[0]], Variants(kinds=kinds)
            records += answer_records(codes, answers, variants, code=name, edit=edit)
            records += share_records(codes, answers, trained, variants, code=name, edit=edit)
    return pd.DataFrame(records)


def _placed(table: pd.DataFrame, coordinates: Mapping[str, object]) -> pd.DataFrame:
    for at, (name, value) in enumerate(coordinates.items()):
        table.insert(at, name, value)
    return table
