"""The section of a sweep's page that holds a ladder: figure, verdicts and table."""

from interp.figures.answer_first import Part, section_html
from interp.figures.markup import Html, table_html
from interp.figures.words import unbroken
from interp.report.ladder_plots import plot_ladder
from interp.sweeps.folders import FinishedSweep
from interp.sweeps.ladder import ladder_contrasts, ladder_table
from interp.sweeps.ladder_text import RULE, ladder_rows, ladder_sentences


def ladder_section(sweep: FinishedSweep) -> Html:
    """Both contrasts along the rungs, with the words for them."""
    table = ladder_table(sweep)
    head, rows = ladder_rows(sweep, table)
    part = Part(
        sentences=ladder_sentences(sweep, table),
        figures={"ladder": plot_ladder(table, ladder_contrasts(sweep.design))},
        tables=[table_html(head, [[*map(unbroken, row)] for row in rows], name="The rungs")],
    )
    return section_html("The ladder", [part], notes=RULE)
