"""What comes first in training, in sentences."""

from collections.abc import Mapping

import pandas as pd

from interp.orders.curves import CURVES
from interp.orders.half_times import AFTER, BEFORE, FEWEST_SEEDS, TOGETHER, Timed
from interp.orders.summary import timed_curves


def orders_found(table: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """When each curve is half-way, and each pair's order, those that are shown first.

    Args:
        table: Rows of `interp.orders.curves.curves_of`, of one run and stage.
        summary: What `summarize_orders` makes of it.
    """
    steps, curves = timed_curves(table)
    sentences = [_times_sentence(steps, curves)]
    pairs = summary.to_dict("records")
    pairs.sort(key=lambda pair: (pair["verdict"] not in (BEFORE, AFTER), pair["p_corrected"]))
    sentences += [_pair_sentence(pair) for pair in pairs]
    if not pairs:
        sentences.append(
            f"No two curves are shown to change in {FEWEST_SEEDS} seeds, so there is no order."
        )
    drawn = [
        each
        for each in dict.fromkeys(table["curve"])
        if not (CURVES[each].is_tested or CURVES[each].scaled_by)
    ]
    if drawn:
        named = ", ".join(CURVES[each].words for each in drawn)
        sentences.append(
            f"Drawn, not tested: {named}; accuracy is a threshold, which lags whatever it is of."
        )
    return [*sentences, RULE]


RULE = (
    "Half-way: half of a curve's own change over the stage, in each seed, made monotone first. "
    "Sign flips over seeds of the difference in log(1 + step), corrected over all pairs."
)


def _times_sentence(steps: list[int], curves: Mapping[str, Timed]) -> str:
    known = {name: each for name, each in curves.items() if each.is_shown}
    times = sorted(known.items(), key=lambda item: item[1].typical)
    said = ", ".join(
        f"{CURVES[name].words} at step {each.typical:.0f} "
        f"({each.change:+.2g} {CURVES[name].unit}, {len(each.half_times)} seeds)"
        for name, each in times
    )
    still = [CURVES[name].words for name in curves if name not in known]
    rest = f" Not shown to change one way: {', '.join(still)}." if still else ""
    head = f"Half-way (median over seeds, {len(steps)} shared checkpoints)"
    return f"{head}: {said or 'nothing'}.{rest}"


def _pair_sentence(pair: dict) -> str:
    first, second = (CURVES[pair[name]].words for name in ("first", "second"))
    p = f"corrected p {pair['p_corrected']:.2g}, n = {pair['n_seeds']} seeds"
    ratio = f"{pair['ratio']:.2f} times [{pair['ci_low']:.2f}, {pair['ci_high']:.2f}]"
    if pair["verdict"] == BEFORE:
        return f"{_capital(first)} comes before {second}, which is half-way {ratio} later ({p})."
    if pair["verdict"] == AFTER:
        ends = f"[{1 / pair['ci_high']:.2f}, {1 / pair['ci_low']:.2f}]"
        ratio = f"{1 / pair['ratio']:.2f} times {ends}"
        return f"{_capital(second)} comes before {first}, which is half-way {ratio} later ({p})."
    if pair["verdict"] == TOGETHER:
        return (
            f"No order of {first} and {second} is shown, and they are less than one checkpoint "
            f"({pair['resolution']:.1f} times) apart: {ratio} ({p})."
        )
    return f"No order of {first} and {second} is shown: {ratio} ({p})."


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
