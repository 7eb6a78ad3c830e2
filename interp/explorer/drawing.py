"""All figures of a board, from what was read before and after some cells were changed."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from interp.explorer.figures import plot_answers, plot_lens_of_prompt
from interp.explorer.grid_figure import cell_words, plot_grid
from interp.explorer.tables import (
    answers_table,
    attention_table,
    chance,
    choices_words,
    lens_table,
    logit_differences,
    said_table,
)
from interp.explorer.texts import grid_words
from interp.explorer.token_figures import plot_said, plot_where_heads_look
from interp.explorer.view import Edit, GridCell, Reading, View
from interp.patching.analysis import Direction


def draw_figures(
    view: View,
    grid: pd.DataFrame,
    before: Reading,
    after: Reading | None,
    *,
    cells: Sequence[GridCell],
    edit: Edit,
    direction: Direction,
    head: tuple[int, int] | None,
    refusal: str,
) -> dict[str, go.Figure]:
    """The figures by name, in the order of the screen.

    Args:
        view: What is looked at.
        grid: Its grid.
        before: What it says with nothing changed.
        after: With the cells changed, if any are.
        cells: The changed cells.
        edit: What they are changed to.
        direction: Of patching.
        head: Layer and number of the head whose attention is shown; all unless given.
        refusal: Why the grid has no effects; empty if it has.
    """
    changed, prompt = cell_words(view, cells, edit), view.prompt
    guess = {"chance": chance(view), "among": choices_words(view), "changed": changed}
    now = after or before
    note = f"with {changed}" if changed else ""
    about = refusal or grid_words(view, logit_differences(view, before), direction)
    return {
        "answers": plot_answers(answers_table(view, before, after), **guess),
        "said": plot_said(
            said_table(view, now), prompt, answer=view.rows.tokens([view.answer])[0], note=note
        ),
        "lens": plot_lens_of_prompt(lens_table(view, before, after), **guess),
        "heads": plot_where_heads_look(attention_table(now, head=head), prompt, note=note),
        "grid": plot_grid(grid, view, cells=cells, edit=edit, about=about),
    }
