"""The tables of `iml probe` and `iml lens`, as figures and sentences need them.

A state of the model is named in words, `stream after layer 1`, and comes in the order in which the
model computes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from data.errors import InputError
from interp.figures.places import site_words
from interp.hooked.addresses import SITE_HOOKS
from training.columns import NO_RUN
from training.runs.publication import exists
from training.runs.run import Run, read_table

ALPHA = 0.05
"""The corrected p up to which a cell counts as found."""


def table_of(run: Run, name: str) -> pd.DataFrame | None:
    """A run's own rows of a table in its folder, if there are any.

    Args:
        run: The run whose folder is read.
        name: The stem of the file's name, `probes_summary` say.
    """
    path = run.folder / f"{name}.parquet"
    if not exists(path):
        return None
    table = read_table(path)
    table = table.loc[table["run_id"] == run.config.run_id]
    return None if table.empty else table


def with_run_columns(table: pd.DataFrame, **others: object) -> pd.DataFrame:
    """A table as a figure reads it: that of one model, outside any run, gets the run columns.

    Args:
        table: As an analysis of a model or of a run returns it.
        others: Further columns that only a grid adds, and what stands for them.
    """
    lacking = {n: v for n, v in {**NO_RUN, **others}.items() if n not in table.columns}
    return table.assign(**lacking)


def summarized(
    table: pd.DataFrame, summarize: Callable[[pd.DataFrame], pd.DataFrame], **others: object
) -> pd.DataFrame:
    """A summary as it is; a table of a model's or seeds' own rows is summarized.

    Args:
        table: Either.
        summarize: How.
        others: As for `with_run_columns`.
    """
    if "n_seeds" in table.columns:
        return table
    return summarize(with_run_columns(table, **others))


def summarized_with_rows(
    table: pd.DataFrame,
    rows: pd.DataFrame | None,
    summarize: Callable[[pd.DataFrame], pd.DataFrame],
    **others: object,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """As `summarized`, with the seeds' own rows: those that are given, or the table if it is them.

    Args:
        table: Either.
        rows: What a summary was made of, if at hand.
        summarize: How.
        others: As for `with_run_columns`.
    """
    if "n_seeds" not in table.columns:
        rows = with_run_columns(table, **others)
    return summarized(table, summarize, **others), rows


def is_one_model(table: pd.DataFrame) -> bool:
    """Whether a table is of a model outside any run; see `with_run_columns`."""
    return set(table["run_id"]) == {NO_RUN["run_id"]}


def run_words(table: pd.DataFrame) -> str:
    """The recipes of a table's runs, for a title; of one model outside any run there is none."""
    if "recipe" not in table:
        return ""
    return " and ".join(name for name in dict.fromkeys(table["recipe"]) if name)


def titled(words: str, table: pd.DataFrame) -> str:
    """A figure's title that ends with the run that it is of, if it is of one."""
    return ": ".join(filter(None, [words, run_words(table)]))


def checkpoint_words(table: pd.DataFrame) -> str:
    """Of which run a table's only checkpoint is, with its stage and step, in words.

    Raises:
        InputError: the table is empty or holds several.
    """
    stage, step = one_checkpoint(table)
    if is_one_model(table):
        return "one model"
    return ", ".join(filter(None, [run_words(table), f"Stage {stage}, step {step}"]))


def state_names(table: pd.DataFrame) -> list[str]:
    """The name of each row's state."""
    return list(map(site_words, table["site"], table["layer"]))


def ordered_states(table: pd.DataFrame) -> list[str]:
    """The states of a table, each once, from the first layer to the last."""
    sites = list(SITE_HOOKS)
    found = set(zip(table["layer"], table["site"], strict=True))
    ordered = sorted(found, key=lambda state: (state[0], sites.index(state[1])))
    return [site_words(site, layer) for layer, site in ordered]


def ordered_axis(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names, all of them shown, in this order."""
    names = list(names)
    order = {"type": "category", "categoryorder": "array", "categoryarray": names}
    return {**order, "tickvals": names}


def one_checkpoint(table: pd.DataFrame) -> tuple[int, int]:
    """Stage and step of a table's only checkpoint.

    Raises:
        InputError: the table is empty or holds several.
    """
    found = sorted(set(zip(table["stage"].tolist(), table["step"].tolist(), strict=True)))
    if len(found) != 1:
        listed = ", ".join(f"stage {stage} step {step}" for stage, step in found) or "none"
        raise InputError(f"a table of one checkpoint is needed, this has {listed}; choose its rows")
    return found[0]


def last_checkpoints(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of the last step of each stage in a table."""
    tables = [rows for _, rows in table.groupby("stage", sort=True)]
    return [rows.loc[rows["step"] == rows["step"].to_numpy().max()] for rows in tables]


def run_names(table: pd.DataFrame) -> dict[str, str]:
    """What tells a table's runs apart, by run id: nothing of one, else word order, then the id."""
    orders = table.drop_duplicates("run_id").set_index("run_id")["word_order"].str.upper().to_dict()
    if len(orders) == 1:
        return dict.fromkeys(orders, "")
    if len(set(orders.values())) == len(orders):
        return orders
    return {run_id: f"{order} {run_id}" for run_id, order in orders.items()}
