"""Claims about what changes from run to run: which runs are compared, and how, seed by seed.

Runs are paired by Stage-1 seed: a seed counts where every run that a comparison needs has it.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from data.tasks.set_inclusion import SetInclusionConfig
from interp.verdicts.quantities import Measure, NotMeasured
from training.runs.run import Run

RunsByValue: TypeAlias = Mapping[Any, Run]
"""Runs, each by its value of a setting."""
Comparison: TypeAlias = Callable[[Measure, RunsByValue], pd.Series]
"""What is made of one measure in several runs: values by Stage-1 seed; raises `NotMeasured`."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing in which the runs of a sweep differ, such as the batch size."""

    name: str
    read: Callable[[Run], Any]
    """A run's value of the setting; None where the run has no such setting."""


ALPHA = Setting(name="alpha", read=lambda run: run.config.parameters.get("alpha"))
BATCH_SIZE = Setting(name="batch size", read=lambda run: run.config.stage1.batch_size)
WORD_ORDER = Setting(name="word order", read=lambda run: str(run.config.word_order or ""))
PHI = Setting(name="phi", read=lambda run: run.config.parameters.get("phi"))
MODEL = Setting(name="model", read=lambda run: run.config.model.name)


def _questions(run: Run) -> int | None:
    data = run.config.data
    return data.n_questions if isinstance(data, SetInclusionConfig) else None


QUESTIONS = Setting(name="number of questions", read=_questions)


@dataclass(frozen=True, kw_only=True)
class Across:
    """Which setting a claim compares runs by, and how."""

    setting: Setting
    compare: Comparison


def comparable(runs: Sequence[Run], setting: Setting) -> dict[str, dict[Any, Run]]:
    """Groups of runs by setting: runs of one value that differ in anything else are kept apart.

    Returns:
        By what tells a group from the others, such as `loss_policy=text`; one group has "".
    """
    by_value: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        value = setting.read(run)
        if value is not None:
            facts = {"recipe": run.config.recipe, **run.config.identity}
            by_value[value].append({"run": run, "facts": facts})
    differing = sorted(
        {
            name
            for same in by_value.values()
            for name in same[0]["facts"]
            if len({str(each["facts"].get(name)) for each in same}) > 1
        }
    )
    groups: dict[str, dict[Any, Run]] = defaultdict(dict)
    for value, same in by_value.items():
        for each in same:
            label = ", ".join(f"{name}={each['facts'].get(name)}" for name in differing)
            groups[label][value] = each["run"]
    return dict(groups)


def slope(place: Callable[[Any], float | None] = float) -> Comparison:
    """Least-squares slope over the runs, in units of `place`, which leaves out runs at None."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        points = {value: place(value) for value in runs}
        kept = {value: x for value, x in points.items() if x is not None}
        if len(set(kept.values())) < 2:
            raise NotMeasured("fewer than two runs to draw a line through")
        table = _paired({value: measure(runs[value]) for value in kept})
        x = np.array([kept[value] for value in table.columns])
        x = x - x.mean()
        return pd.Series(table.to_numpy(dtype=float) @ x / (x @ x), index=table.index)

    return compare


def at(value: float | str) -> Comparison:
    """The run whose setting has a value."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        if value not in runs:
            raise NotMeasured(f"no run at {value}")
        return measure(runs[value])

    return compare


def at_largest(measure: Measure, runs: RunsByValue) -> pd.Series:
    """The run whose setting is largest, of two or more."""
    if len(runs) < 2:
        raise NotMeasured("fewer than two runs")
    return measure(runs[max(runs)])


def mean_where(chosen: Callable[[Any], bool], words: str) -> Comparison:
    """The mean over the runs whose setting is chosen; `words` names them."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        kept = {value: run for value, run in runs.items() if chosen(value)}
        if not kept:
            raise NotMeasured(f"no run of {words}")
        return _paired({value: measure(run) for value, run in kept.items()}).mean(axis=1)

    return compare


def against_next(limit: int) -> Comparison:
    """The run with the largest setting up to a limit, minus the next larger one."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        below = [value for value in runs if value <= limit]
        above = [value for value in runs if value > limit]
        if not below or not above:
            raise NotMeasured(f"no runs on both sides of {limit}")
        return measure(runs[max(below)]) - measure(runs[min(above)])

    return compare


def largest_model(family: str) -> Comparison:
    """The run of the largest model of a family, of two or more."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        sizes = _sizes(runs, family)
        if len(sizes) < 2:
            raise NotMeasured(f"fewer than two runs of {family}")
        return measure(runs[max(sizes, key=sizes.__getitem__)])

    return compare


def smaller_models(family: str) -> Comparison:
    """The mean over the runs of all models of a family but the largest."""

    def compare(measure: Measure, runs: RunsByValue) -> pd.Series:
        sizes = _sizes(runs, family)
        if len(sizes) < 2:
            raise NotMeasured(f"fewer than two runs of {family}")
        smaller = [name for name in sizes if sizes[name] < max(sizes.values())]
        return _paired({name: measure(runs[name]) for name in smaller}).mean(axis=1)

    return compare


def model_size(name: str) -> float | None:
    """Number of parameters that a model's name states, if it does.

    >>> model_size("EleutherAI/pythia-1.4b-deduped"), model_size("gpt2")
    (1400000000.0, None)
    """
    found = re.search(r"(\d+(?:\.\d+)?)([mb])(?![a-z])", name.lower())
    return float(found[1]) * {"m": 1e6, "b": 1e9}[found[2]] if found else None


def is_of(name: str, family: str) -> bool:
    """Whether a model is of a family, by its name; GPT-NeoX is no GPT-Neo."""
    return family in name.lower().replace("neox", "")


def size_in(
    family: str, *, at_least: float = 0.0, below: float = math.inf
) -> Callable[[Any], bool]:
    """Whether a model is of a family, with parameters in a range."""
    return lambda name: is_of(name, family) and at_least <= (model_size(name) or -1) < below


def log_size(family: str) -> Callable[[Any], float | None]:
    """Log10 of the parameters of models of a family; None of others."""

    def place(name: str) -> float | None:
        size = model_size(name) if is_of(name, family) else None
        return None if size is None else math.log10(size)

    return place


def _sizes(names: Iterable[str], family: str) -> dict[str, float]:
    found = {name: model_size(name) for name in names if is_of(name, family)}
    return {name: size for name, size in found.items() if size is not None}


def _paired(values: Mapping[Any, pd.Series]) -> pd.DataFrame:
    """A column for each run, a row for each seed that all of them have."""
    table = pd.DataFrame(dict(values)).dropna()
    if table.empty:
        raise NotMeasured("the runs have no seed in common")
    return table
