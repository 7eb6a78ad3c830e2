"""Dictionaries in words: how good at which sparsity, what features carry, what answers lose."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interp.dictionaries.analysis import PCA, PCA_OWN, RANDOM
from interp.dictionaries.carrying import ALIAS, SIDE
from interp.dictionaries.readings import ALL
from interp.dictionaries.rows import ALIKE, AUROC, LOG_PROB, MOVED, OLD_VARIANCE
from interp.figures.grid_tables import ALPHA
from training.designs import design_of

PLACE = ["site", "layer", "role"]
BASELINES = (RANDOM, PCA, PCA_OWN)
ENOUGH = 0.95
"""The share of the loss from which on a sentence says that it is recovered."""
Cell = Mapping[str, Any]
KIND_WORDS = {
    "topk": "TopK",
    "batch_topk": "BatchTopK",
    "topk_matryoshka": "TopK, Matryoshka",
    "batch_topk_matryoshka": "BatchTopK, Matryoshka",
    RANDOM: "random features",
    PCA: "first principal components",
    PCA_OWN: "each vector's largest components",
}
"""What figures and tables call an autoencoder or a baseline, in their order."""


def target_words(target: str) -> str:
    """What a target is called.

    >>> target_words("side"), target_words("phantom_tag")
    ('compared subset', 'phantom tag')
    """
    return {SIDE: "compared subset", ALIAS: "alias itself"}.get(target, target.replace("_", " "))


def place_words(cells: pd.DataFrame) -> str:
    """Where an autoencoder was trained.

    >>> place_words(pd.DataFrame({"site": ["resid_post"], "layer": [1], "role": ["all"]}))
    'resid_post of layer 1 at all tokens'
    """
    first = cells.iloc[0]
    at = "all tokens" if first["role"] == ALL else first["role"]
    return f"{first['site']} of layer {first['layer']} at {at}"


def dictionary_sentences(cells: pd.DataFrame, twin: pd.DataFrame | None = None) -> list[str]:
    """`found` at every place and of every kind, under its name where there are several."""
    sentences = []
    groups = list(by_place(cells))
    for here in groups:
        said = found(here, same_place(twin, here))
        if len(groups) > 1 and said:
            name = place_words(here)
            said[0] = f"{name[0].upper()}{name[1:]}: {said[0]}"
        sentences += said
    return sentences


def by_place(cells: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each place and kind of autoencoder, with those of its baselines."""
    found = []
    for _, here in cells.groupby(PLACE, sort=False):
        for kind in KIND_WORDS:
            if kind not in BASELINES and kind in set(here["dictionary"]):
                found.append(here.loc[here["dictionary"].isin([kind, *BASELINES])])
    return found


def same_place(twin: pd.DataFrame | None, here: pd.DataFrame) -> pd.DataFrame | None:
    """The null twin's rows of a place; None where it was not looked at."""
    if twin is None:
        return None
    is_here = (twin[PLACE] == here[PLACE].iloc[0].tolist()).all(axis=1)
    theirs = twin.loc[is_here & twin["dictionary"].isin(sorted(set(here["dictionary"])))]
    return None if theirs.empty else theirs


def kind_of(cells: pd.DataFrame) -> str:
    """The kind of autoencoder of one place."""
    return next(kind for kind in cells["dictionary"] if kind not in BASELINES)


def found(cells: pd.DataFrame, twin: pd.DataFrame | None = None) -> list[str]:
    """What was found at one place of one run, the answer first.

    Args:
        cells: Rows of a `dictionaries_summary` of one run, checkpoint and place.
        twin: The same of its null twin, where that was looked at.
    """
    sentences = [*_quality(cells), *_carried(cells, twin), *_ablated(cells, twin)]
    return [*sentences, *_changed(cells)]


def _quality(cells: pd.DataFrame) -> list[str]:
    kind = kind_of(cells)
    of_kind = cells.loc[(cells["dictionary"] == kind) & (cells["quantity"] == "loss_recovered")]
    if of_kind.empty:
        return []
    enough = of_kind.loc[of_kind["value"] >= ENOUGH]
    best = (enough if len(enough) else of_kind.tail(1)).sort_values("k").iloc[0].to_dict()
    k = int(best["k"])
    known = {
        (row["dictionary"], row["quantity"]): row
        for row in cells.loc[cells["k"] == k].to_dict("records")
    }
    variance = known[kind, "explained_variance"]
    n_active = known[kind, "l0"]["value"]
    least = "the sparsest of those tried that does" if len(enough) else (
        f"none that was tried recovers {ENOUGH:.0%}"
    )  # fmt: skip
    told = (
        f"{KIND_WORDS[kind]} with {n_active:.1f} features a vector recovers {_level(best)} of the "
        f"loss ({least}) and explains {_level(variance)} of the variance, on aliases it never saw."
    )
    others = [
        f"{KIND_WORDS[name]} {known[name, 'loss_recovered']['value']:.0%} and "
        f"{known[name, 'explained_variance']['value']:.0%}"
        for name in (PCA, PCA_OWN, RANDOM)
        if (name, "loss_recovered") in known
    ]
    alive = known[kind, "share_alive"]["value"]
    shrinkage = known[kind, "shrinkage"]["value"]
    beside = (
        f"At the same number of features a vector: {'; '.join(others)}. {alive:.0%} of its "
        f"features fire on these aliases; what it rebuilds is {shrinkage:.2f} times as long as "
        "fits best."
    )
    return [told, beside]


def _carried(cells: pd.DataFrame, twin: pd.DataFrame | None) -> list[str]:
    rows = _of(cells, AUROC)
    if not rows:
        return []
    theirs = {row["target"]: row for row in _of(twin, AUROC)}
    told, silent = [], []
    for row in sorted(rows, key=lambda row: -row["difference"]):
        words = target_words(row["target"])
        if not (row["difference"] > 0 and row["p_corrected"] <= ALPHA):
            silent.append(words)
            continue
        beside = theirs.get(row["target"])
        in_twin = "" if beside is None else f", null twin {beside['value']:.2f}"
        told.append(
            f"{words} {row['value']:.2f} (features that fire as often {row['control']:.2f}"
            f"{in_twin})"
        )
    sentences = []
    if told:
        sentences.append(
            "Single features tell classes of aliases apart, AUROC on aliases that did not choose "
            f"them: {'; '.join(told)}."
        )
    if silent:
        sentences.append(
            f"No feature is shown to carry {', '.join(silent)} beyond features that fire as often "
            f"(corrected p above {ALPHA})."
        )
    return sentences


def _ablated(cells: pd.DataFrame, twin: pd.DataFrame | None) -> list[str]:
    main = design_of(cells).main
    gaps = [row for row in _of(cells, LOG_PROB) if row["subset"] == main.gap]
    if not gaps:
        return []
    theirs = {row["target"]: row for row in _of(twin, LOG_PROB) if row["subset"] == main.gap}
    first = max(gaps, key=lambda row: abs(row["difference"]))
    is_shown = first["p_corrected"] <= ALPHA
    words, beside = target_words(first["target"]), theirs.get(first["target"])
    in_twin = "" if beside is None else f", in the null twin {beside['value']:+.2f}"
    verdict = (
        f"more than features alike in rate and norm do (corrected p {first['p_corrected']:.2g})"
        if is_shown
        else "no more than features alike in rate and norm are shown to do (corrected p "
        f"{first['p_corrected']:.2g})"
    )
    sentence = (
        f"Without the features of {words} the gap {main.words} changes by {first['value']:+.2f} "
        f"nats, without as many others by {first['control']:+.2f}{in_twin}: {verdict}; of "
        f"{len(gaps)} targets this one differs most."
    )
    return [sentence]


def _changed(cells: pd.DataFrame) -> list[str]:
    alike, old = _of(cells, ALIKE), _of(cells, OLD_VARIANCE)
    if not (alike and old):
        return []
    moved = [row for row in _of(cells, MOVED) if row["subset"] in design_of(cells).main.names]
    sides = ", ".join(f"{row['subset'].partition('_')[0]} {row['value']:.2f}" for row in moved)
    never = f"; aliases never defined {moved[0]['control']:.2f}" if moved else ""
    return [
        f"Of the stage before: features have a cosine of {alike[0]['value']:.2f} with the most "
        f"similar of then (two trainings on the same vectors {alike[0]['control']:.2f}); the "
        f"dictionary of then explains {old[0]['value']:.0%} of today's variance, "
        f"{old[0]['control']:.0%} of its own."
        + (f" Codes of questions moved (1 - cosine): {sides}{never}." if moved else "")
    ]


def _of(cells: pd.DataFrame | None, quantity: str) -> list[dict[str, Any]]:
    if cells is None:
        return []
    found = cells.loc[cells["quantity"] == quantity].to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in found]


def _level(cell: Cell) -> str:
    """A share with its interval, where there is one."""
    mean = f"{cell['value']:.0%}"
    if cell["value_low"] != cell["value_low"]:
        return mean
    return f"{mean} [{cell['value_low']:.0%}, {cell['value_high']:.0%}]"
