"""The report's section about twins with exchanged tags, where its table is there."""

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, table_of
from interp.figures.markup import Html
from interp.figures.settings_note import settings_words
from interp.twins.plots import plot_twins
from interp.twins.wording import twins_found
from training.metrics import HEADLINE_METRICS
from training.runs.run import Run


def twins_section(run: Run) -> Html | None:
    """The gap alias by alias, each with either tag, and what pairing gains."""
    summary, rows = table_of(run, "twins_summary"), table_of(run, "twins")
    if summary is None or rows is None:
        return None
    cells = last_checkpoints(summary)[-1]
    part = Part(
        sentences=twins_found(cells),
        figures={
            f"twins-{metric}": plot_twins(rows, metric=metric)
            for metric in reversed(HEADLINE_METRICS)
        },
        settings=settings_words(summary),
    )
    notes = (
        "The twin is trained from the same initial weights on the same rows in the same order, but "
        "for the tags, which have changed places in one stage. Exchanged in Stage 1, the texts of "
        "Stage 2 are the same to the letter and the tags mean the opposite; exchanged in Stage 2, "
        "the model after Stage 1 is the same and each definition has the other tag."
    )
    return section_html("Twins with exchanged tags", [part], notes=notes)
