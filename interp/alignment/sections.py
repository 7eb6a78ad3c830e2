"""The report's section about gradient alignment, where the run folder has its tables."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from interp.alignment.experiment_plots import plot_branches, plot_predictions, plot_surgery
from interp.alignment.pairs import Pairing
from interp.alignment.plots import (
    plot_alignment,
    plot_alignment_modules,
    plot_alignment_steps,
    plot_alignment_tokens,
)
from interp.alignment.summary import ALL, ZERO, is_token_part
from interp.alignment.wording import (
    CAUTION,
    PAIRING_WORDS,
    alignment_sentences,
    branch_sentences,
    estimate_text,
    left_out_sentences,
    surgery_sentences,
    update_sentences,
)
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.figures.words import unbroken
from training.designs import design_of
from training.runs.run import Run

Test = tuple[str, Callable[[pd.DataFrame], list[str]], Callable[[pd.DataFrame], go.Figure]]
TESTS: dict[str, Test] = {
    "branches": ("Stage 2 from checkpoints of Stage 1", branch_sentences, plot_branches),
    "updates": (
        "One optimizer step",
        update_sentences,
        lambda table: plot_predictions(table, by="optimizer", unit="nats"),
    ),
    "surgery": ("Gradients turned in Stage 1", surgery_sentences, plot_surgery),
    "left_out": (
        "Definitions left out of Stage 2",
        left_out_sentences,
        lambda table: plot_predictions(table, unit="nats"),
    ),
}
"""The heading, the sentences and the figure of each test's table."""
NOTE = (
    "Gradients of each row's own loss over all parameters, exact. Matched pairs ask for the same "
    "attribute and differ in what their name says. The alias is the unit within a seed, the "
    "Stage-1 seed above it: t intervals and sign flips over seeds, corrected by the largest |t| "
    "over all contrasts of a measure. A t interval is symmetric and may pass 1, where a "
    "cosine or a correlation cannot. " + CAUTION
)


def alignment_section(run: Run) -> Html | None:
    """What is aligned with what, along training, and what follows from it."""
    summary = table_of(run, "alignment_summary")
    tests = [part for name in TESTS if (part := _test_part(run, name)) is not None]
    if summary is None and not tests:
        return None
    rows = table_of(run, "alignment")
    parts = [] if summary is None else _measured(run, summary, rows)
    return section_html("Gradient alignment", [*parts, *tests], notes=NOTE)


def _measured(run: Run, summary: pd.DataFrame, rows: pd.DataFrame | None) -> list[Part]:
    parts, settings = [], settings_words(summary)
    compared = [contrast.names for contrast in run.design.leading]
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        figures, tables = {}, []
        for policy, of_policy in cells.groupby("loss_policy", sort=True):
            name = f"alignment-{stage}-{policy}"
            whole = of_policy.loc[of_policy["component"] == ALL]
            if any(set(pair) <= set(whole["subset"]) for pair in compared):
                figures[name] = plot_alignment(whole, rows)
            tables.append(_contrast_table(run, whole))
            figures |= _component_figures(of_policy, rows, name)
        parts.append(
            Part(
                heading=f"Stage {stage}, step {step}",
                sentences=alignment_sentences(cells),
                figures=figures,
                tables=tables,
                settings=settings,
            )
        )
    steps = summary.loc[summary["component"] == ALL]
    along = {
        f"steps-{policy}": plot_alignment_steps(of_policy, rows)
        for policy, of_policy in steps.groupby("loss_policy", sort=True)
        if of_policy.groupby("stage")["step"].nunique().max() > 1
    }
    return [*parts, *([Part(heading="Along training", figures=along)] if along else [])]


def _component_figures(
    cells: pd.DataFrame, rows: pd.DataFrame | None, name: str
) -> dict[str, go.Figure]:
    own = cells.loc[(cells["pairing"] == Pairing.OWN) & (cells["component"] != ALL)]
    own = own.loc[own["subset"].isin(design_of(cells).main.names)]
    is_token = own["component"].map(is_token_part).astype(bool)
    figures = {}
    if is_token.any():
        figures[f"{name}-tokens"] = plot_alignment_tokens(cells, rows)
    if (~is_token).any():
        figures[f"{name}-modules"] = plot_alignment_modules(cells, rows)
    return figures


def _contrast_table(run: Run, cells: pd.DataFrame) -> Html:
    """Own pairs against each class of matched pairs, and one tag against the other."""
    chosen = _contrasts(cells)
    twin = run.finished_null
    theirs = None if twin is None else table_of(twin, "alignment_summary")
    beside: dict[tuple[object, ...], str] = {}
    if theirs is not None:
        stage, _ = one_checkpoint(cells)
        of_stage = [c for c in last_checkpoints(theirs) if one_checkpoint(c)[0] == stage]
        same = sorted(set(cells["loss_policy"]))
        for found in of_stage:
            rows = _contrasts(found.loc[found["loss_policy"].isin(same)]).to_dict("records")
            beside |= {_key(row): unbroken(estimate_text(row)) for row in rows}
    body = []
    for row in chosen.to_dict("records"):
        against = "zero" if row["against"] == ZERO else PAIRING_WORDS[Pairing(row["against"])]
        line = [
            row["subset"].replace("-", " − "),
            against,
            f"{row['value']:+.3f}",
            f"{row['null']:+.3f}",
            unbroken(estimate_text(row)),
            f"{row['p_corrected']:.2g}",
            "–" if pd.isna(row["found_within"]) else f"{row['found_within']:.0%}",
        ]
        body.append([*line, *([beside.get(_key(row), "–")] if beside else [])])
    head = ["definitions", "own questions against", "own", "against", "difference", "corrected p",
            "seeds with p ≤ .05 within"]  # fmt: skip
    head += ["difference in the null twin"] if beside else []
    return table_html(head, body, name="Own questions against others")


def _contrasts(cells: pd.DataFrame) -> pd.DataFrame:
    """What each cosine of own pairs is held against, by subset and comparison, in order."""
    rows = cells.loc[(cells["measure"] == "grad_cosine") & (cells["component"] == ALL)]
    leading = design_of(cells).leading
    is_gap = rows["subset"].isin([contrast.gap for contrast in leading])
    rows = rows.loc[(rows["pairing"] == Pairing.OWN) & (is_gap | (rows["against"] != ZERO))]
    modes = set(rows["pairs"])
    rows = rows.loc[rows["pairs"] == ("own" if "own" in modes else next(iter(modes), "own"))]
    subsets = [name for contrast in leading for name in (*contrast.names, contrast.gap)]
    order = [ZERO, *map(str, Pairing)]
    place = rows["subset"].map({name: i for i, name in enumerate(subsets)}).fillna(len(subsets))
    rows = rows.assign(place=place, inner=rows["against"].map(order.index))
    return rows.sort_values(["place", "inner"], kind="stable")


def _key(row: dict) -> tuple[object, ...]:
    return row["subset"], row["against"], row["loss_policy"]


def _test_part(run: Run, name: str) -> Part | None:
    """One test's sentences and figure, if it was run."""
    table, summary = table_of(run, name), table_of(run, f"{name}_summary")
    if table is None or summary is None:
        return None
    heading, sentences, plot = TESTS[name]
    return Part(
        heading=heading,
        sentences=sentences(summary),
        figures={f"alignment-{name.replace('_', '-')}": plot(table)},
        settings=settings_words(table),
    )
