"""The report's section about the weights of one layer, where their table is there."""

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import table_of
from interp.figures.markup import Html, table_html
from interp.one_layer.analysis import TABLE
from interp.one_layer.plots import (
    plot_blocks,
    plot_directions,
    plot_probabilities,
    plot_spectrum,
)
from interp.one_layer.wording import blocks_found
from training.runs.run import Run

NOTES = (
    "A block holds the weights from words of one kind to words of another: to the one word that "
    "belongs to each, and to the others. The classifier is fitted on half of the held-out texts "
    "and asked about the other half; before a norm, what is linear in the words cannot tell "
    "whether they go together."
)


def blocks_section(run: Run) -> Html | None:
    """Blocks, spectrum and directions, with those of the control."""
    table = table_of(run, TABLE)
    if table is None:
        return None
    twin = run.finished_null
    control = None if twin is None else table_of(twin, TABLE)
    figures = {"blocks": plot_blocks(table, control), "spectrum": plot_spectrum(table, control)}
    if "auc" in set(table["quantity"]):
        figures = {"directions": plot_directions(table, control), **figures}
    figures["probabilities"] = plot_probabilities(table, control)
    part = Part(
        sentences=[f"{sentence.rstrip('.')}." for sentence in blocks_found(table, control)],
        figures=figures,
        tables=[_table(table)],
    )
    return section_html("Weights of one layer", [part], notes=NOTES)


def _table(table: pd.DataFrame) -> Html:
    """Each seed's blocks at its last step."""
    rows = table.loc[table["step"] == table.groupby("seed")["step"].transform("max")]
    rows = rows.loc[rows["quantity"] == "block"]
    wide = rows.pivot(index=["part", "state"], columns="seed", values="value")
    body = [
        [*(str(each) for each in key), *(f"{value:.3f}" for value in values)]  # pyright: ignore[reportGeneralTypeIssues]
        for key, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return table_html(["block", "to", *(f"seed {seed}" for seed in wide.columns)], body,
                      name="Mean weights of blocks, seed by seed")  # fmt: skip
