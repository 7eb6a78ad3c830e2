"""Answers without the features of a target, as rows of the table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from data.design import Contrast
from data.tokens import TokenizedRow
from interp.dictionaries.ablation import (
    N_DRAWS,
    FeatureAblation,
    matched_features,
    weight_of,
)
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.rows import EXACT_MATCH, LOG_PROB, SET_NORM, SET_RATE, feature_row
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.interventions.base import answer_table

QUANTITIES = dict(zip(ANSWER_METRICS, (EXACT_MATCH, LOG_PROB), strict=True))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model, the questions that it is asked, and where a dictionary's features are taken away."""

    model: HookedModel
    questions: Sequence[TokenizedRow]
    """About aliases that neither the dictionary nor the choice of features has seen."""
    site: Site
    role: TokenRole | None
    dictionary: Dictionary

    def answers(self, features: Sequence[int] = ()) -> pd.DataFrame:
        """Each question's answer without these features."""
        if not features:
            return answer_table(self.model, self.questions)
        ablation = FeatureAblation(
            model=self.model,
            site=self.site,
            role=self.role,
            dictionary=self.dictionary,
            features=tuple(features),
        )
        return answer_table(self.model, self.questions, [ablation])


def ablate_targets(
    asked: Asked,
    chosen: dict[str, tuple[int, ...]],
    choosing: Float[Tensor, "vector width"],
    compared: Contrast,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """What each subset's answers, and the difference of those compared, lose by target.

    Args:
        asked: See `Asked`.
        chosen: The features to ablate, by target.
        choosing: Vectors of the aliases that chose, by which features are matched.
        compared: Whose sides are subtracted.
        rng: Draws matched features.
    """
    before, weight = asked.answers(), weight_of(asked.dictionary, choosing)
    rows = []
    for target, features in chosen.items():
        draws = [matched_features(weight, features, rng) for _ in range(N_DRAWS)]
        draws = [drawn for drawn in draws if drawn]
        lost = _by_subset(before, asked.answers(features), compared)
        controls = [_by_subset(before, asked.answers(drawn), compared) for drawn in draws]
        for subset, metric in lost:
            control = [each[subset, metric][0] for each in controls]
            value, n = lost[subset, metric]
            rows.append(
                feature_row(
                    QUANTITIES[metric], value, control=_mean(control), n=n, target=target,
                    subset=subset,
                )
            )  # fmt: skip
        for quantity, known in ((SET_RATE, weight.rates), (SET_NORM, weight.norms)):
            control = [known[drawn].mean() for drawn in draws]
            value, n = known[list(features)].mean(), len(features)
            rows.append(feature_row(quantity, value, control=_mean(control), n=n, target=target))
    return rows


def _by_subset(
    before: pd.DataFrame, after: pd.DataFrame, compared: Contrast
) -> dict[tuple[str, str], tuple[float, int]]:
    """By subset and metric the mean change and its questions; also the difference of the sides."""
    metrics = list(ANSWER_METRICS)
    change = after[metrics].to_numpy() - before[metrics].to_numpy()
    subsets = before["subset"].to_numpy()
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for subset in sorted(set(subsets.tolist())):
        of = change[subsets == subset]
        for place, metric in enumerate(metrics):
            found[subset, metric] = (float(of[:, place].mean()), len(of))
    if set(compared.names) <= set(subsets.tolist()):
        for metric in metrics:
            (higher, n), (lower, m) = (found[name, metric] for name in compared.names)
            found[compared.gap, metric] = (higher - lower, n + m)
    return found


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
