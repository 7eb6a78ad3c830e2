"""The report's sections about ablations and erasures, where the run folder has their tables."""

from collections.abc import Sequence

import pandas as pd

from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, as_html, figure_html, note_html, table_html
from interp.figures.settings_note import settings_note
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
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        compared = run.compared_at(stage).names
        shown = asked_first(run.design, compared, set(cells["subset"]))
        words = "".join(f"<p>{as_html(each)}</p>" for each in ablation_found(cells, shown))
        parts.append(f'<h3>Stage {stage}, step {step}</h3>\n<div class="result">{words}</div>')
        parts.append(_largest(cells, shown))
        for metric in ("answer_log_prob", "exact_match"):
            figure = plot_ablation(of_checkpoint, shown, metric=metric)
            parts.append(figure_html(figure, f"ablation-{stage}-{metric.replace('_', '-')}"))
        definitions = of_checkpoint.loc[of_checkpoint["kind"] == DEFINITION]
        if set(compared) & set(definitions["subset"]):
            figure = plot_ablation(of_checkpoint, compared, kind=DEFINITION)
            parts.append(figure_html(figure, f"ablation-{stage}-definitions"))
    notes = (
        "An effect is the change of a subset's mean when a component is replaced at all tokens, "
        "or tokens of a route's destination no longer see its source. A head or MLP whose loss "
        "changes nothing may have others that step in. The control of a route hides as many other "
        "tokens, drawn at random; prompts of a toy are so short that it may hide the question."
    )
    told = note_html(notes) + settings_note(summary)
    return Html("<h2>Ablations and knock-outs</h2>\n" + "\n".join(parts) + told)


def erasure_section(run: Run) -> Html | None:
    """What the answers lose with the tag, at the last checkpoint of each stage looked at."""
    tables = _tables(run, "erasure")
    if tables is None:
        return None
    rows, summary = tables
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        words = "".join(f"<p>{as_html(sentence)}</p>" for sentence in erasure_found(cells))
        parts.append(f'<h3>Stage {stage}, step {step}</h3>\n<div class="result">{words}</div>')
        for target in dict.fromkeys(cells["target"]):
            figure = plot_erasure(of_checkpoint, target=target)
            parts.append(figure_html(figure, f"erasure-{stage}-{target.replace('_', '-')}"))
    compared = " and ".join(run.design.main.short_names)
    notes = (
        "Erasers (LEACE) are fitted to one half of the labelled aliases; probes and questions are "
        "of others, no entity of which the eraser saw. Target tag: fitted to Stage-1 aliases and "
        f"applied to all; tag (Stage 2): fitted to those of {compared}. Probes read every "
        "place that was erased; labels that mean nothing say what they read by chance. Where no "
        "probe reads the tag before, an unchanged answer says nothing about its use. Erasing at "
        "test time says what the answer reads, not what training on the definition left behind."
    )
    told = note_html(notes) + settings_note(summary)
    return Html("<h2>Erasing the tag</h2>\n" + "\n".join(parts) + told)


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
    return table_html(head, body)


def _tables(run: Run, name: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """This run's rows of an analysis and of its summary, if both are there."""
    rows, summary = table_of(run, name), table_of(run, f"{name}_summary")
    return None if rows is None or summary is None else (rows, summary)
