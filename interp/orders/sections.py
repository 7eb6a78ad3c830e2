"""The report's section about what comes first in training, where its table is there."""

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import table_of
from interp.figures.markup import Html, table_html
from interp.orders.curves import CURVES
from interp.orders.plots import plot_orders
from interp.orders.wording import orders_found
from training.runs.run import Run


def orders_section(run: Run) -> Html | None:
    """Curves of each stage that was looked at, and their order."""
    table, summary = table_of(run, "orders"), table_of(run, "orders_summary")
    if table is None:
        return None
    parts = []
    for stage in sorted(set(table["stage"]), reverse=True):
        rows = table.loc[table["stage"] == stage]
        pairs = pd.DataFrame() if summary is None else summary.loc[summary["stage"] == stage]
        parts.append(
            Part(
                heading=f"Stage {stage}",
                sentences=orders_found(rows, pairs),
                figures={f"orders-{stage}": plot_orders(rows)},
                tables=[] if pairs.empty else [_table(pairs)],
            )
        )
    notes = (
        "A curve counts where its change over the stage is shown over seeds. Half times are read "
        "at the checkpoints that all curves share. That two curves are half-way at different times "
        "says which is first, not that the one makes the other."
    )
    return section_html("What comes first", parts, notes=notes)


def _table(pairs: pd.DataFrame) -> Html:
    body = [
        [
            CURVES[each["first"]].words,
            CURVES[each["second"]].words,
            f"{each['ratio']:.2f} [{each['ci_low']:.2f}, {each['ci_high']:.2f}]",
            f"{each['p_corrected']:.2g}",
            f"{each['p_smallest']:.2g}",
            str(each["n_seeds"]),
            f"first is {each['verdict']}" if each["verdict"] in ("before", "after")
            else each["verdict"],
        ]
        for each in pairs.to_dict("records")
    ]  # fmt: skip
    head = ["first", "second", "times later", "corrected p", "least possible p", "n seeds", "order"]
    return table_html(head, body, name="Order of half times")
