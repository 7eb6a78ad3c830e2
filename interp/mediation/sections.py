"""The report's section about single definitions, where its table is there."""

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.mediation.plots import plot_mediation
from interp.mediation.wording import mediation_found
from training.runs.run import Run


def mediation_section(run: Run) -> Html | None:
    """Whether what a definition is like before Stage 2 predicts how well it is internalized."""
    summary, rows = table_of(run, "mediation_summary"), table_of(run, "mediation")
    if summary is None or rows is None:
        return None
    cells = last_checkpoints(summary)[-1]
    body = [
        [
            each["predictor"] or "–",
            each["given"] or "–",
            each["within"] or "–",
            each["quantity"].replace("_", " "),
            f"{each['value']:+.3f}",
            f"{each['null']:+.3f}",
            f"[{each['ci_low']:+.3f}, {each['ci_high']:+.3f}]",
            "–" if each["p_permuted"] != each["p_permuted"] else f"{each['p_permuted']:.2g}",
            str(each["n_seeds"]),
        ]
        for each in cells.to_dict("records")
    ]
    head = ["predictor", "given", "within", "quantity", "value", "shuffled", "value minus shuffled",
            "p, shuffled", "n seeds"]  # fmt: skip
    part = Part(
        sentences=mediation_found(cells),
        figures={"mediation": plot_mediation(rows)},
        tables=[table_html(head, body, name="What predicts a definition's internalization")],
        settings=settings_words(summary),
    )
    notes = (
        "Predictor and answers have the mean of each seed and tag taken out, so that nothing which "
        "differs between the tags counts. Among aliases of one entity the entity's mean is out, "
        "too. Carried: slope times the difference of the predictor between the tags."
    )
    return section_html("Definition by definition", [part], notes=notes)
