"""Reads every checkpoint of a run of one-layer models, and of its control, into tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from data.design import Contrast, Design, WeightBlock
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.figures.seed_marks import over_seeds
from interp.one_layer.measures import block_of, direction_auc, spectrum
from training.columns import RUN_COLUMNS, WITHOUT_SEED, run_columns
from training.files import table_bytes
from training.models.own import OneLayer
from training.runs.checkpoints import load_model, load_tokenizer
from training.runs.publication import Files, require_intact
from training.runs.run import Run, publish_runs

TABLE, SUMMARY = "blocks", "blocks_summary"
CELL = ["quantity", "part", "state"]
COLUMNS = [*RUN_COLUMNS, *CELL, "value"]
MOST_VALUES = 40
"""Singular values that the table keeps, the largest."""


def write_blocks(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Writes `blocks.parquet` and `blocks_summary.parquet`, of the run and of its control.

    Args:
        run: A finished run of models of one layer.

    Returns:
        The table and the summary of the run itself.

    Raises:
        InputError: its models offer nothing to read, or its design says no blocks.
    """
    both = [run, *([] if run.finished_null is None else [run.finished_null])]
    for each in both:
        require_intact(each.folder)
    tables = {each.folder: measure_run(each) for each in both}

    def make() -> dict[Path, Files]:
        return {
            folder: {
                f"{TABLE}.parquet": table_bytes(table),
                f"{SUMMARY}.parquet": table_bytes(summarize_blocks(table)),
            }
            for folder, table in tables.items()
        }

    publish_runs([each.folder for each in both], make)
    return tables[run.folder], summarize_blocks(tables[run.folder])


def measure_run(run: Run) -> pd.DataFrame:
    """All checkpoints of all seeds: `COLUMNS`, one row a number; see `interp.one_layer.measures`.

    Raises:
        InputError: see `write_blocks`.
    """
    tables = []
    for seed in run.seeds:
        rows = run.tokenized_rows(seed)
        for stage in run.config.schedule.stages:
            for step in run.steps(seed, int(stage)):
                folder = run.checkpoint(seed, int(stage), step)
                model, words = load_model(folder), load_tokenizer(folder).get_vocab()
                if not isinstance(model, OneLayer) or run.design.blocks is None:
                    raise InputError(
                        f"{run.folder} is of {run.config.model.name}; iml blocks reads models of "
                        "one layer whose design says which weights belong together"
                    )
                blocks = run.design.blocks([row.row for row in rows])
                found = measure_model(model, rows, blocks, run.design, words)
                place = {"seed": seed, "stage": int(stage), "step": step}
                tables.append(found.assign(**run_columns(run.config), **place))
    return pd.DataFrame(pd.concat(tables, ignore_index=True), columns=COLUMNS)


@torch.no_grad()
def measure_model(
    model: OneLayer,
    rows: Sequence[TokenizedRow],
    blocks: Sequence[WeightBlock],
    design: Design,
    token_of: dict[str, int],
) -> pd.DataFrame:
    """One checkpoint: columns `quantity part state value`.

    Args:
        model: What is read.
        rows: Of the seed; those of the evaluation are asked.
        blocks: Of the design.
        design: Whose main contrast has the two kinds of texts.
        token_of: Token id of each word.
    """
    records: list[tuple[str, str, str, float]] = []
    for block in blocks:
        part = f"{block.source} → {block.target}"
        for state, value in block_of(model, block, token_of).items():
            records.append(("block", part, state, value))
    for name, values in spectrum(model.value_matrix()).items():
        several = len(values) > 1
        for i, value in enumerate(values[:MOST_VALUES], start=1):
            records.append((name, f"{i:02d}" if several else "", "", float(value)))
    asked = [row for row in rows if row.row.is_evaluated]
    records += _answered(model, asked, design)
    records += _directions(model, asked, design.main)
    return pd.DataFrame(records, columns=[*CELL, "value"])


def _answered(
    model: OneLayer, asked: Sequence[TokenizedRow], design: Design
) -> Iterator[tuple[str, str, str, float]]:
    """The mean probability of the answer, by subset."""
    tokens = torch.tensor([row.input_ids for row in asked])
    logits = model(input_ids=tokens[:, :-1]).logits[:, -1]  # pyright: ignore[reportCallIssue]
    chosen = logits.softmax(-1).gather(1, tokens[:, -1:])[:, 0].double().numpy()
    of_subset = np.array([row.row.subset.name for row in asked])
    for name in design.names:
        if (of_subset == name).any():
            yield "probability", name, "", float(chosen[of_subset == name].mean())


def _directions(
    model: OneLayer, asked: Sequence[TokenizedRow], contrast: Contrast
) -> Iterator[tuple[str, str, str, float]]:
    """How well the two kinds of texts are told apart at each place that the rows name."""
    compared = [row for row in asked if row.row.subset.name in contrast.names]
    tokens = torch.tensor([row.input_ids for row in compared])
    is_higher = np.array([row.row.subset == contrast.higher for row in compared])
    for state, values in model.states(tokens[:, :-1]).items():
        for name, (_, last) in sorted(compared[0].spans.items(), key=lambda span: span[1]):
            if name != Role.ANSWER:
                yield "auc", str(name), state, direction_auc(values[:, last].numpy(), is_higher)


def summarize_blocks(table: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: run columns without the seed, `CELL`, `value ci_low ci_high n_seeds`."""
    found = over_seeds(table, [*WITHOUT_SEED, *CELL], "value")
    return found.rename(columns={"mean": "value"})
