"""The report's section about what Stage 2 needs, where its table is there."""

import pandas as pd

from interp.circuits.disruption import GAP
from interp.circuits.necessity_plots import plot_necessity, treated_words
from interp.circuits.necessity_wording import necessity_found
from interp.circuits.treatments import UNTOUCHED
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.figures.words import gap_text, unbroken
from interp.hooked.answers import ANSWER_METRICS
from training.metrics import find_metric
from training.runs.run import Run


def necessity_section(run: Run) -> Html | None:
    """Whether implicit meta-learning still forms without each component, beside others."""
    summary, rows = table_of(run, "necessity_summary"), table_of(run, "necessity")
    if summary is None or rows is None:
        return None
    cells = last_checkpoints(summary)[-1]
    part = Part(
        sentences=necessity_found(cells),
        figures={
            f"necessity-{metric}": plot_necessity(cells, rows, metric=metric)
            for metric in ANSWER_METRICS
        },
        tables=[_table(cells, run)],
        settings=settings_words(summary),
    )
    notes = (
        "Stage 2 is trained again from the run's Stage 1, on the same rows in the same order. "
        "Everything frozen is Stage 1. Where embeddings are tied, their rows are the unembedding, "
        "too. Alias rows are held against as many rows of other tokens, heads and MLPs against "
        "others of their layer. Intervals are t intervals over seeds of the change from Stage 2 "
        "as it was."
    )
    return section_html("Necessity in training", [part], notes=notes)


def _table(cells: pd.DataFrame, run: Run) -> Html:
    """What was done, and what it changed in the gap, in both subsets and where they are recited."""
    main = run.design.main
    shown = [GAP, *main.names, *(f"recite {name}" for name in main.names)]
    rows = cells.loc[(cells["mode"] != UNTOUCHED) & cells["subset"].isin(shown)]
    body = []
    for subset in (name for name in shown if name in set(rows["subset"])):
        for each in rows.loc[rows["subset"] == subset].to_dict("records"):
            is_known = pd.notna(each["ci_low"])
            estimate = {"mean": each["difference"]}
            estimate |= {end: each[end] if is_known else None for end in ("ci_low", "ci_high")}
            has_others = bool(each["n_tested"])
            body.append(
                [
                    subset,
                    find_metric(each["metric"]).heading,
                    treated_words(each["mode"], each["part"]),
                    f"{each['untouched']:+.3f}",
                    f"{each['value']:+.3f}",
                    unbroken(gap_text(estimate)),
                    f"{each['control']:+.3f}" if has_others else "–",
                    f"{each['p_corrected']:.2g}" if has_others else "–",
                ]
            )
    head = ["subset", "metric", "kept from learning", "as it was", "without", "change",
            "change of others", "corrected p"]  # fmt: skip
    return table_html(head, body, name="Stage 2 without a component")
