"""Makes the figures of `docs/findings.md` of a run that has been looked at.

    python -m docs.findings_figures runs/fresh

The page says which commands look at it.
"""

import sys
from pathlib import Path

import plotly.graph_objects as go
import plotly.io

from interp.codes.estimation import QUESTION
from interp.codes.plots import plot_code_edits, plot_codes
from interp.figures.room import PAGE
from interp.hypotheses.files import load_results
from interp.hypotheses.matrix import matrix_table
from interp.hypotheses.plots import plot_matrix
from interp.mediation.plots import plot_mediation
from interp.turns.plots import plot_turns
from notebooks.store import shrunk
from training.runs.run import Run

DOCS = Path(__file__).parent


def figures(run: Run) -> dict[str, go.Figure]:
    """The matrix and the figures that carry it, by name."""
    twin = run.finished_null
    assert twin is not None
    codes, its_codes = run.table("codes_summary"), twin.table("codes_summary")
    mediation, turns = run.table("mediation"), run.table("turns_summary")
    assert codes is not None
    assert mediation is not None
    assert turns is not None
    return {
        "matrix": plot_matrix(matrix_table(load_results(run))),
        "codes": plot_codes(codes, its_codes),
        "edits": plot_code_edits(codes, its_codes, code=QUESTION),
        "definitions": plot_mediation(mediation),
        "turns": plot_turns(turns, metric="answer_log_prob"),
    }


def main() -> None:
    """Writes one picture a figure beside the page."""
    for name, figure in figures(Run.load(Path(sys.argv[1]))).items():
        path = DOCS / f"findings-{name}.png"
        height = int(figure.layout.height)
        drawn = plotly.io.to_image(figure, format="png", width=PAGE, height=height, scale=1.5)
        path.write_bytes(shrunk(drawn))
        print(path)


if __name__ == "__main__":
    main()
