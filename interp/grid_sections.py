"""The report's sections about probes and lenses, where the run folder has their tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from interp.grid_plots import plot_probes
from interp.grid_tables import last_checkpoints, one_checkpoint, question_only
from interp.grid_wording import is_found, probe_sentences
from interp.lens_plots import plot_lens
from interp.lens_wording import lens_sentences
from interp.markup import Html, as_html, table_html
from interp.probe_targets import Target
from interp.report_sections import figure_html, note_html
from training.runs import Run, read_table

CONTROL = "QA7_UNSEEN"
"""Aliases that are never defined."""
COMPARED = {1: ("D1_CONS_QA1", "D2_INCONS_QA2"), 2: ("D5_CONS", "D6_CONS")}
"""By stage the two subsets, of either tag, whose definitions are trained there."""


def probes_section(run: Run) -> Html | None:
    """What is linearly readable at the last checkpoint of each stage that was probed."""
    summary = _table(run, "probes_summary")
    if summary is None:
        return None
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        words = "".join(f"<p>{as_html(sentence)}</p>" for sentence in probe_sentences(cells))
        parts.append(f'<h3>Stage {stage}, step {step}</h3>\n<div class="result">{words}</div>')
        parts += [
            figure_html(plot_probes(cells, probe=probe), f"probes-{stage}-{probe.replace('_', '-')}")
            for probe in sorted(set(cells["probe"]))
        ]
    parts.append(_other_checkpoints(summary))
    notes = (
        "A cell is a target, site, layer, role and kind of probe. Logistic and mass-mean probes "
        "are corrected together, with every cell of the same command. In the null twin each alias "
        "has been seen with its shuffled tag: it is a contrast, not a null."
    )
    return Html("<h2>Probes</h2>\n" + "\n".join(parts) + note_html(notes))


def lens_section(run: Run) -> Html | None:
    """What the lenses read at the last checkpoint of each stage that they were pointed at."""
    summary, lens = _table(run, "lens_summary"), _table(run, "lens")
    if summary is None or lens is None:
        return None
    guess = float(np.mean([_question_only(run, seed) for seed in run.seeds]))
    parts = []
    for cells in last_checkpoints(summary):
        stage, step = one_checkpoint(cells)
        compared = COMPARED[stage]
        if not set(compared) <= set(cells["subset"]):
            continue
        rows = lens.loc[(lens["stage"] == stage) & (lens["step"] == step)]
        role = "question_last" if "question_last" in set(cells["role"]) else cells["role"].iloc[-1]
        words = lens_sentences(rows, cells, compared=compared, role=role, guess=guess)
        result = "".join(f"<p>{as_html(sentence)}</p>" for sentence in words)
        parts.append(f'<h3>Stage {stage}, step {step}: at {role}</h3>\n<div class="result">{result}</div>')
        figure = plot_lens(cells, (*compared, CONTROL), guess=guess)
        parts.append(figure_html(figure, f"lens-{stage}"))
    notes = (
        "The logit lens ends the model after a state; the tuned lens first maps the state, by an "
        "affine map trained to give the model's own output. Log-probabilities are of the first "
        "token, over the whole vocabulary. The question alone: the best guess that knows a "
        f"question, but not the alias. {CONTROL}: aliases that are never defined. The other "
        "entity is the one a false definition names, elsewhere one drawn at random."
    )
    return Html("<h2>Lenses</h2>\n" + "\n".join(parts) + note_html(notes)) if parts else None
