"""The report's sections about probes and lenses, where the run folder has their tables."""

import pandas as pd

from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, as_html, figure_html, note_html, table_html
from interp.figures.places import at_words
from interp.figures.settings_note import settings_note
from interp.lenses.plots import plot_lens
from interp.lenses.wording import found as found_by_lens
from interp.lenses.wording import predicting_role
from interp.probes.plots import plot_probes
from interp.probes.targets import PLANTED
from interp.probes.wording import (
    OUTDATED,
    controls,
    found,
    is_found,
    is_outdated,
    reading_words,
)
from interp.report.guessing import guess_of
from training.runs.run import Run


def probes_section(run: Run) -> Html | None:
    """What is linearly readable at the last checkpoint of each stage that was probed."""
    summary, rows = table_of(run, "probes_summary"), table_of(run, "probes")
    if summary is None:
        return None
    if is_outdated(summary):
        return Html(f"<h2>Probes</h2>\n{note_html(OUTDATED)}")
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        said = (*found(cells), *controls(cells))
        words = "".join(f"<p>{as_html(sentence)}</p>" for sentence in said)
        parts.append(f'<h3>Stage {stage}, step {step}</h3>\n<div class="result">{words}</div>')
        parts += [
            figure_html(
                plot_probes(cells, rows, probe=probe), f"probes-{stage}-{probe.replace('_', '-')}"
            )
            for probe in sorted(set(cells["probe"]))
        ]
    parts.append(_other_checkpoints(summary))
    notes = (
        "A cell is a target, site, layer, role and kind of probe. Logistic and mass-mean probes "
        "are corrected together, with every cell of the same command. An alias is tested only by "
        "probes that were trained without any alias of its entities, also of the one that a false "
        "definition names; others are left out of that division. At alpha 1 the tag goes along "
        "with truth: in the null twin the same labels say truth alone."
    )
    return Html("<h2>Probes</h2>\n" + "\n".join(parts) + note_html(notes) + settings_note(summary))


def lens_section(run: Run) -> Html | None:
    """What the lenses read at the last checkpoint of each stage that they were pointed at."""
    summary, lens = table_of(run, "lens_summary"), table_of(run, "lens")
    if summary is None or lens is None:
        return None
    guess = guess_of(run)
    baseline = run.design.main.baseline
    control = () if baseline is None else (baseline.name,)
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        compared = run.compared_at(stage).names
        if not set(compared) <= set(cells["subset"]):
            continue
        rows = lens.loc[(lens["stage"] == stage) & (lens["step"] == step)]
        words = found_by_lens(rows, cells, compared=compared, guess=guess)
        result = "".join(f"<p>{as_html(sentence)}</p>" for sentence in words)
        heading = f"<h3>Stage {stage}, step {step}: {at_words(predicting_role(cells))}</h3>"
        parts.append(f'{heading}\n<div class="result">{result}</div>')
        figure = plot_lens(rows, (*compared, *control), guess=guess)
        parts.append(figure_html(figure, f"lens-{stage}"))
    undefined = "".join(f" {name}: aliases that are never defined." for name in control)
    notes = (
        "The logit lens ends the model after a state; the tuned lens first maps the state, by an "
        "affine map trained to give the model's own output. Log-probabilities are of the first "
        "token, over the whole vocabulary. The question alone: the best guess that knows a "
        f"question, but not the alias.{undefined} The other "
        "entity is the one a false definition names, elsewhere one drawn at random."
    )
    if not parts:
        return None
    told = note_html(notes) + settings_note(summary)
    return Html("<h2>Lenses</h2>\n" + "\n".join(parts) + told)


def _other_checkpoints(summary: pd.DataFrame) -> Html:
    """The best cell of each earlier checkpoint and target, and how many were found."""
    last = {one_checkpoint(cells) for cells in last_checkpoints(summary)}
    body = []
    for (stage, step, target), cells in summary.groupby(["stage", "step", "target"]):  # pyright: ignore[reportGeneralTypeIssues]
        if (stage, step) in last or target == PLANTED.name:
            continue
        best = cells.loc[cells["accuracy"].idxmax()].to_dict()
        n_found = sum(map(is_found, cells.to_dict("records")))
        body.append((stage, step, target, f"{n_found} of {len(cells)}", reading_words(best)))
    if not body:
        return Html("")
    head = ("stage", "step", "target", "cells found", "the best")
    return Html(f"<h3>Other checkpoints</h3>\n{table_html(head, body)}")
