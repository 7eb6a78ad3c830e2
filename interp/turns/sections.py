"""The report's section about turned updates, where its table is there."""

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.figures.words import gap_text, unbroken
from interp.turns.plots import plot_turns
from interp.turns.wording import turns_found
from training.metrics import HEADLINE_METRICS, METRICS
from training.runs.run import Run


def turns_section(run: Run) -> Html | None:
    """What becomes of implicit meta-learning when updates are turned, beside controls."""
    summary, rows = table_of(run, "turns_summary"), table_of(run, "turns")
    if summary is None or rows is None:
        return None
    cells = last_checkpoints(summary)[-1]
    part = Part(
        sentences=turns_found(cells),
        figures={
            f"turns-{metric}": plot_turns(cells, rows, metric=metric) for metric in HEADLINE_METRICS
        },
        tables=[_table(cells, run)],
        settings=settings_words(summary),
    )
    notes = (
        "Both stages are trained again, on the same rows in the same order. What is turned is the "
        "optimizer's update, as far as it comes of the definitions named, in the rows of their "
        "aliases in the embedding; each turned update is as long as it was. Codes are estimated "
        "anew at every step. Intervals are t intervals over seeds of the change from the untreated "
        "run of the same seed, or from its control."
    )
    return section_html("Updates turned", [part], notes=notes)


def _table(cells: pd.DataFrame, run: Run) -> Html:
    """Every change of the gap, then every check and every subset."""
    shown = cells.loc[cells["against"] != ""]
    is_gap = (shown["subset"] == run.design.main.gap) & shown["metric"].isin(HEADLINE_METRICS)
    headings = {metric.name: metric.heading for metric in METRICS}
    body = []
    for each in pd.concat([shown.loc[is_gap], shown.loc[~is_gap]]).to_dict("records"):
        ends = {end: each[end] if pd.notna(each[end]) else None for end in ("ci_low", "ci_high")}
        body.append(
            [
                each["treatment"],
                f"{each['dose']:g}",
                each["control_kind"] or "–",
                each["subset"],
                headings.get(each["metric"], each["metric"].replace("_", " ")),
                f"{each['after']}",
                each["against"],
                f"{each['null']:+.3f}",
                f"{each['value']:+.3f}",
                unbroken(gap_text({"mean": each["difference"], **ends})),
                f"{each['p_value']:.2g}",
                f"{each['p_corrected']:.2g}",
            ]
        )
    head = ["treatment", "dose", "control", "subset", "measured", "after Stage", "against",
            "that", "value", "difference", "p", "corrected p"]  # fmt: skip
    return table_html(head, body, name="Updates turned")
