"""What a page shows of single features: where they fire most, how often, and what they promote.

Examples are stored as JSON, `{"words": [...], "roles": [...], "at": 1}`: the words of the text, the
role of each (empty: none) and the place at which the feature fires.
"""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.attention.view import token_words
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.readings import Reading
from interp.dictionaries.rows import EXAMPLE, PROMOTED, RATE, feature_row
from interp.hooked.model import HookedModel

N_EXAMPLES, N_TOKENS = 5, 4
"""Texts that a page shows of a feature; tokens that it promotes most, and least."""


def page_rows(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    reading: Reading,
    vectors: Float[Tensor, "vector width"],
    dictionary: Dictionary,
    features: dict[int, str],
) -> Iterator[dict[str, object]]:
    """Rows of the table about each feature, by its number and the target that it was chosen for.

    Args:
        model: Whose tokens and unembedding are named.
        rows: Texts about aliases that are reported on.
        reading: Of these rows.
        vectors: What was read.
        dictionary: Whose features.
        features: The target of each feature that has a page.
    """
    chosen, owners = list(features), reading.owners()
    parts = [part[:, chosen].double() for _, part in dictionary.in_chunks(vectors)]
    codes = torch.cat(parts).numpy()
    subsets = np.array([rows[owner].row.subset.name for owner in owners])
    spots = [place for each in reading.looked_at for place in each]
    for column, feature in enumerate(chosen):
        values, about = codes[:, column], {"target": features[feature], "feature": feature}
        for subset in dict.fromkeys(subsets.tolist()):
            fires = values[subsets == subset] > 0
            yield feature_row(RATE, fires.mean(), n=len(fires), subset=subset, **about)
        for place in _top(values, owners):
            row = rows[owners[place]]
            text = _example(model, row, spots[place])
            yield feature_row(
                EXAMPLE, values[place], n=1, subset=row.row.subset.name, text=text, **about
            )
        for text in _promoted(model, dictionary.decoder[feature]):
            yield feature_row(PROMOTED, values.max(), n=1, text=text, **about)


def _top(values: Float[np.ndarray, " vector"], owners: np.ndarray) -> list[int]:
    """Where a feature is largest, each text and value once: texts may share what stands there."""
    found: list[int] = []
    seen: set[object] = set()
    for place in np.argsort(-values, kind="stable").tolist():
        value, text = round(float(values[place]), 4), f"text {owners[place]}"
        if value <= 0 or len(found) == N_EXAMPLES:
            break
        if not seen & {value, text}:
            seen |= {value, text}
            found.append(place)
    return found


def _example(model: HookedModel, row: TokenizedRow, at: int) -> str:
    roles = [""] * len(row.input_ids)
    for role, (first, last) in row.spans.items():
        roles[first : last + 1] = [str(role)] * (last - first + 1)
    words = token_words(model, row)
    return json.dumps({"words": words, "roles": roles, "at": at})


def _promoted(model: HookedModel, feature: Float[Tensor, " width"]) -> Iterator[str]:
    """The tokens whose logits a feature raises most, and lowers most, if no later layer changes it.

    Nothing of a feature that is not in the residual stream.
    """
    if len(feature) != model.d_model or model.tokenizer is None:
        return
    scale = getattr(model.unembed.norm, "weight", None)
    direction = feature if scale is None else feature * scale.detach().cpu()
    logits = direction @ model.W_U.cpu()
    logits = logits - logits.mean()
    raised, lowered = (
        [str(model.tokenizer.decode([token])) for token in order.topk(N_TOKENS).indices.tolist()]
        for order in (logits, -logits)
    )
    yield json.dumps({"raised": raised, "lowered": lowered})
