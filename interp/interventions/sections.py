"""The report's sections about ablations and erasures, where the run folder has their tables."""

from collections.abc import Sequence

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.interventions.ablation_analysis import DEFINITION
from interp.interventions.plots import plot_ablation, plot_erasure
from interp.interventions.wording import (
    ablation_found,
    asked_first,
    erasure_found,
    interval_text,
    intervention_words,
    largest_effects,
    tested_words,
)
from training.runs.run import Run

N_LARGEST = 6


def ablation_section(run: Run) -> Html | None:
    """What the answers need, at the last checkpoint of each stage that was looked at."""
    tables = _tables(run, "ablation")
    if tables is None:
        return None
    rows, summary = tables
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        compared = run.compared_at(stage).names
        shown = asked_first(run.design, compared, set(cells["subset"]))
        figures = {
            f"ablation-{stage}-{metric.replace('_', '-')}": plot_ablation(
                of_checkpoint, shown, metric=metric
            )
            for metric in ("answer_log_prob", "exact_match")
        }
        definitions = of_checkpoint.loc[of_checkpoint["kind"] == DEFINITION]
        if set(compared) & set(definitions["subset"]):
            figure = plot_ablation(of_checkpoint, compared, kind=DEFINITION)
            figures[f"ablation-{stage}-definitions"] = figure
        parts.append(
            Part(
                heading=f"Stage {stage}, step {step}",
                sentences=ablation_found(cells, shown),
                figures=figures,
                tables=[_largest(cells, shown)],
                settings=settings,
            )
        )
    notes = (
        "An effect is the change of a subset's mean when a component is replaced at all tokens, "
        "or tokens of a route's destination no longer see its source. A head or MLP whose loss "
        "changes nothing may have others that step in. The control of a route hides as many other "
        "tokens, drawn at random; prompts of a toy are so short that it may hide the question."
    )
    return section_html("Ablations and knock-outs", parts, notes=notes)


def erasure_section(run: Run) -> Html | None:
    """What the answers lose with the tag, at the last checkpoint of each stage looked at."""
    tables = _tables(run, "erasure")
    if tables is None:
        return None
    rows, summary = tables
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        targets = dict.fromkeys(cells["target"])
        parts.append(
            Part(
                heading=f"Stage {stage}, step {step}",
                sentences=erasure_found(cells),
                figures={
                    f"erasure-{stage}-{target.replace('_', '-')}": plot_erasure(
                        of_checkpoint, target=target
                    )
                    for target in targets
                },
                settings=settings,
            )
        )
    compared = " and ".join(run.design.main.short_names)
    notes = (
        "Erasers (LEACE) are fitted to one half of the labelled aliases; probes and questions are "
        "of others, no entity of which the eraser saw. Target tag: fitted to Stage-1 aliases and "
        f"applied to all; tag (Stage 2): fitted to those of {compared}. Probes read every "
        "place that was erased; labels that mean nothing say what they read by chance. Where no "
        "probe reads the tag before, an unchanged answer says nothing about its use. Erasing at "
        "test time says what the answer reads, not what training on the definition left behind."
    )
    return section_html("Erasing the tag", parts, notes=notes)


def _largest(cells: pd.DataFrame, subsets: Sequence[str]) -> Html:
    """For each subset the interventions that change the answer's log-probability most."""
    body = []
    for subset in subsets:
        for cell in largest_effects(cells, subset).head(N_LARGEST).to_dict("records"):
            body.append(
                (
                    subset,
                    intervention_words(cell),
                    f"{cell['effect']:+.2f}",
                    f"{cell['control']:+.2f}",
                    interval_text(cell),
                    tested_words(cell),
                )
            )
    head = ("subset", "largest effects", "nats", "control", "difference [95% interval]", "p")
    return table_html(head, body, name="Largest effects on the answer's log-probability")


def _tables(run: Run, name: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """This run's rows of an analysis and of its summary, if both are there."""
    rows, summary = table_of(run, name), table_of(run, f"{name}_summary")
    return None if rows is None or summary is None else (rows, summary)
