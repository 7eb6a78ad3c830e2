"""A table of dictionaries whose means can be worked out by hand."""

import json

import pandas as pd

from interp.dictionaries.analysis import PCA, PCA_OWN, RANDOM
from interp.dictionaries.quality import QUALITIES
from interp.dictionaries.rows import (
    ALIKE,
    AUROC,
    COORDINATES,
    EXACT_MATCH,
    EXAMPLE,
    LOG_PROB,
    MOVED,
    OLD_VARIANCE,
    PROMOTED,
    RATE,
    feature_row,
)

D5, D6, UNSEEN = "D5_CONS", "D6_CONS", "QA7_UNSEEN"
RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2}
RUN |= {"step": 200}
PLACE = {"site": "resid_post", "layer": 0, "role": "all"}
TARGETS = {"entity": 0.9, "tag": 0.6, "side": 0.5, "phantom_tag": 0.5}
"""AUROC of each target; that of features which fire as often is .5."""


def dictionaries_table(n_seeds: int = 6, *, kind: str = "topk", lost: float = -1.0) -> pd.DataFrame:
    """Curves over two sparsities, targets, ablations, changes and the page of one feature.

    Args:
        n_seeds: How many.
        kind: Of the autoencoder.
        lost: What the gap loses without the features of the tag; without others a tenth of it.
    """
    tables = []
    for seed in range(n_seeds):
        jitter = 0.01 * (seed - (n_seeds - 1) / 2)
        rows = [*_curves(kind, jitter), *_features(kind, jitter, lost)]
        tables.append(pd.DataFrame(rows).assign(seed=seed, **RUN, **PLACE))
    columns = ["seed", *RUN, *COORDINATES, "value", "control", "n", "text"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def _curves(kind: str, jitter: float) -> list[dict[str, object]]:
    levels = {kind: (0.90, 0.97), PCA: (0.5, 0.8), PCA_OWN: (0.7, 0.9), RANDOM: (0.4, 0.5)}
    rows = []
    for name, by_k in levels.items():
        for k, level in zip((2, 8), by_k, strict=True):
            for quality in QUALITIES:
                value = float(k) if quality == "l0" else level + jitter
                control = float("nan") if name == PCA else levels[PCA][k == 8]
                row = feature_row(quality, value, control=control, n=100)
                rows.append(row | {"dictionary": name, "k": k})
    return rows


def _features(kind: str, jitter: float, lost: float) -> list[dict[str, object]]:
    rows = [
        feature_row(AUROC, value + jitter, control=0.5, n=50, target=target)
        for target, value in TARGETS.items()
    ]
    for target in TARGETS:
        whole = lost if target == "tag" else lost / 10
        by_subset = {D5: whole / 2, D6: -whole / 2, f"{D5}-{D6}": whole, UNSEEN: 0.0}
        for subset, value in by_subset.items():
            for quantity in (LOG_PROB, EXACT_MATCH):
                rows.append(
                    feature_row(
                        quantity, value + jitter, control=lost / 10, n=40, target=target,
                        subset=subset,
                    )
                )  # fmt: skip
    rows.append(feature_row(ALIKE, 0.6, control=0.7, n=256))
    rows.append(feature_row(OLD_VARIANCE, 0.8, control=0.9, n=100))
    rows += [
        feature_row(MOVED, value, control=0.1, n=40, subset=subset)
        for subset, value in ((D5, 0.3), (D6, 0.2), (UNSEEN, 0.1))
    ]
    page = {"target": "tag", "feature": 7}
    text = {"words": ["ask", "<abc>", "attr0"], "roles": ["", "alias", "question"], "at": 1}
    rows.append(feature_row(EXAMPLE, 1.5, n=1, subset=D5, text=json.dumps(text), **page))
    promoted = json.dumps({"raised": ["a", "b"], "lowered": ["c", "d"]})
    rows.append(feature_row(PROMOTED, 1.5, n=1, text=promoted, **page))
    rows += [
        feature_row(RATE, value, n=40, subset=subset, **page)
        for subset, value in ((D5, 0.25), (D6, 0.5))
    ]
    return [row | {"dictionary": kind, "k": 8} for row in rows]
