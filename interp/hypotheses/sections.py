"""The report's first section: the matrix of hypotheses, where they were checked."""

from collections.abc import Sequence
from contextlib import suppress

import plotly.graph_objects as go

from interp.codes.places import EMBED
from interp.codes.plots import plot_code_edits
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, table_of
from interp.figures.markup import Html, table_html
from interp.hypotheses.files import load_results
from interp.hypotheses.held_out import third_tag_table
from interp.hypotheses.matrix import matrix_table, opposed_rows
from interp.hypotheses.plots import plot_matrix, plot_rows, plot_third_tag
from interp.hypotheses.results import Result
from interp.hypotheses.wording import expected_words, found, seen_words
from interp.mediation.plots import plot_mediation
from interp.orders.plots import plot_orders
from interp.verdicts.quantities import NotMeasured
from training.runs.run import Run

PASSED = {True: "passed", False: "failed", None: "not known"}


def hypotheses_section(run: Run) -> Html | None:
    """The verdicts, the matrix, what was seen of each row, and every prediction."""
    results = load_results(run)
    if not results:
        return None
    figures = carrying_figures(run, results)
    part = Part(
        sentences=found(results),
        figures=figures,
        shown=len(figures),
        tables=[_verdicts(results), _gates(results[0]), _rows(results), _opposed(results)],
    )
    others = [
        Part(
            heading=f"{result.title}: {result.words}",
            sentences=[result.statement, *(f"{reason}." for reason in result.reasons)],
            tables=[_predictions(result)],
        )
        for result in results
    ]
    notes = (
        "A row is one quantity of the run, one value a Stage-1 seed. A hypothesis expects it above "
        "a margin, or within it, which was chosen before. By rule: a side is shown where the 95% t "
        "interval lies wholly beyond the margin, none where the 90% interval lies within it "
        "(equivalence), and the opposite where the interval lies wholly elsewhere; else a "
        "prediction is undecided. A hypothesis is supported if all its core predictions are, "
        "refuted if one of them is. What stands in brackets would be so if nothing else were at "
        "work. Exploratory: the data were known before the text was frozen, so that the verdict "
        "suggests something to test on fresh seeds. Verdicts are not corrected for their number. "
        "p: sign flips against the margin."
    )
    return section_html("Hypotheses", [part, *others], notes=notes)


def carrying_figures(run: Run, results: Sequence[Result]) -> dict[str, go.Figure]:
    """What carries the matrix, each with its control, as far as the run has been measured.

    The matrix; every row beside its control; the gap after edits of codes beside their nulls; the
    course of training or, without it, single definitions beside shuffled ones; and a third tag.
    """
    table = matrix_table(results)
    figures = {"hypotheses-matrix": plot_matrix(table)}
    if table["seen"].notna().to_numpy().any():
        figures["hypotheses-rows"] = plot_rows(table)
    codes, mediation = table_of(run, "codes_summary"), table_of(run, "mediation")
    course = table_of(run, "orders")
    if codes is not None and (codes["site"] == EMBED).to_numpy().any():
        at_embeddings = codes.loc[codes["site"] == EMBED]
        figures["hypotheses-codes"] = plot_code_edits(last_checkpoints(at_embeddings)[-1])
    if course is not None:
        last = course.loc[course["stage"] == course["stage"].to_numpy().max()]
        figures["hypotheses-course"] = plot_orders(last)
    elif mediation is not None:
        figures["hypotheses-definitions"] = plot_mediation(mediation)
    with suppress(NotMeasured):
        figures["hypotheses-third-tag"] = plot_third_tag(third_tag_table(run))
    return figures


def _verdicts(results: Sequence[Result]) -> Html:
    head = ("hypothesis", "says", "verdict", "why", "frozen", "sha256 of its text")
    body = [
        (
            each.title,
            each.statement,
            each.words,
            "; ".join(each.reasons),
            each.frozen[:16] if each.frozen else "no",
            each.sha256[:12],
        )
        for each in results
    ]
    return table_html(head, body, name="Verdicts")


def _gates(result: Result) -> Html:
    body = [(gate.name, PASSED[gate.passed], gate.found) for gate in result.gates]
    return table_html(("gate", "", "found"), body, name="Gates, which come first")


def _rows(results: Sequence[Result]) -> Html:
    """What each row is and what was seen, once however many hypotheses speak of it."""
    by_row = {each.row: each for result in results for each in result.predictions}
    order = list(dict.fromkeys(matrix_table(results)["row"]))
    body = [(row, by_row[row].statement, seen_words(by_row[row])) for row in order]
    return table_html(("row", "is large if", "seen"), body, name="Rows")


def _opposed(results: Sequence[Result]) -> Html:
    """In how many rows each pair of hypotheses expects different things."""
    body = [
        (first.title, *(len(opposed_rows(first, second)) or "" for second in results))
        for first in results
    ]
    head = ("rows of which two expect different things", *(each.title for each in results))
    return table_html(head, body, name="What tells hypotheses apart")


def _predictions(result: Result) -> Html:
    head = ("row", "because", "expected", "seen", "p", "verdict")
    body = [
        (
            each.row if each.is_core else f"{each.row} (if alone)",
            each.because,
            expected_words(each),
            seen_words(each),
            "" if each.p_value is None else f"{each.p_value:.2g}",
            each.verdict,
        )
        for each in result.predictions
    ]
    return table_html(head, body, name=f"Predictions of {result.name}")
