"""The report's section about circuits, where the run folder has their tables."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from data.design import Contrast
from interp.circuits.behaviours import Behaviour, BehaviourKind
from interp.circuits.disruption import GAP
from interp.circuits.null_plots import LOSSES, plot_circuit_tests, plot_disruption
from interp.circuits.plots import plot_circuit, plot_inclusion
from interp.circuits.transfer_plots import plot_transfer
from interp.circuits.unit_cells import circuits_of
from interp.circuits.wording import circuit_found
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from training.runs.run import Run

NOTES = (
    "A part is a head or an MLP at the tokens of one role. Without a part its output is replaced, "
    "by its mean over other aliases in the same question unless said otherwise; a score is the "
    "answer's log-probability that is lost (nats), positive where the part helps. A circuit is "
    "chosen on half of the aliases and tested on the others. Faithfulness: what it alone recovers "
    "of what the model says; completeness: whether knocking its parts out changes it as it changes "
    "the whole model; minimality: what each member adds; independence: whether what is left "
    "without it still goes along with the answers. Many circuits carry one behaviour, so the "
    "frequencies with which parts are chosen say more than any one set. Losses are of the right "
    "answers and stand beside circuits matched on what the trained subsets lose, never on the "
    "subsets that are compared; where a seed has no such circuit, nothing is claimed of it."
)
OF_TWINS = " What the null twin shows as well is not about the tag."


def circuits_section(run: Run) -> Html | None:
    """What carries the answers, at the last checkpoint of each stage that was looked at."""
    table, summary = table_of(run, "circuits"), table_of(run, "circuits_summary")
    if table is None or summary is None:
        return None
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        rows = table.loc[(table["stage"] == stage) & (table["step"] == step)]
        compared = run.compared_at(stage)
        main = Behaviour(kind=BehaviourKind.ANSWER, subset=compared.higher.name).name(run.design)
        figures = {
            f"circuits-{stage}-{name}": figure
            for ablation in dict.fromkeys(rows["ablation"])
            for name, figure in _figures(rows, cells, main, str(ablation)).items()
        }
        tables = [_criteria_table(cells), _losses_table(cells, compared)]
        part = Part(
            heading=f"Stage {stage}, step {step}",
            sentences=circuit_found(cells, compared),
            figures=figures,
            tables=[each for each in tables if each],
            settings=settings,
        )
        parts.append(part)
    of_twins = OF_TWINS if run.design.null_twin is not None else ""
    return section_html("Circuits", parts, notes=NOTES + of_twins)


def _figures(
    rows: pd.DataFrame, cells: pd.DataFrame, main: str, ablation: str
) -> Mapping[str, go.Figure]:
    """All figures of one ablation; the picture of the main circuit comes first."""
    of_kind = rows.loc[rows["ablation"] == ablation]
    quantities = set(of_kind.loc[of_kind["unit"] == "", "quantity"])
    circuits = circuits_of(of_kind)
    figures = {
        f"{name}-{ablation}".replace(" ", "-"): plot_circuit(rows, name, ablation=ablation)
        for name in sorted(circuits, key=main.__ne__)
    }
    if circuits:
        figures[f"inclusion-{ablation}"] = plot_inclusion(rows, ablation=ablation)
    if "faithfulness" in quantities:
        figures[f"tests-{ablation}"] = plot_circuit_tests(rows, ablation=ablation)
    if "transfer" in quantities:
        figures[f"transfer-{ablation}"] = plot_transfer(rows, cells, ablation=ablation)
    for quantity in LOSSES:
        if quantity in quantities:
            drawn = plot_disruption(rows, quantity=quantity, ablation=ablation)
            figures[f"{quantity.replace('_', '-')}-{ablation}"] = drawn
    return figures


def _criteria_table(cells: pd.DataFrame) -> Html:
    """Each circuit's size and criteria, with its control and corrected p."""
    found = {
        (cell["ablation"], cell["circuit"], cell["quantity"]): cell
        for cell in cells.loc[(cells["unit"] == "") & (cells["subset"] == "")].to_dict("records")
    }
    known = dict.fromkeys((ablation, circuit) for ablation, circuit, _ in found)
    body = [
        [
            circuit,
            ablation,
            _number(found.get((ablation, circuit, "size")), ".1f"),
            *(
                _beside(found.get((ablation, circuit, quantity)))
                for quantity in ("faithfulness", "completeness", "independence")
            ),
        ]
        for ablation, circuit in known
    ]
    head = ("circuit", "ablation", "parts", "faithfulness (control)", "completeness (control)",
            "independence (control)")  # fmt: skip
    return table_html(head, body, name="Circuits on held-out aliases") if body else Html("")


def _losses_table(cells: pd.DataFrame, compared: Contrast) -> Html:
    """What the compared subsets and their gap lose without each circuit, beside matched ones."""
    subsets = (*compared.names, GAP)
    lost = cells.loc[
        cells["quantity"].isin(LOSSES) & (cells["unit"] == "") & cells["subset"].isin(subsets)
    ]
    body = [
        [
            cell["circuit"],
            cell["ablation"],
            cell["quantity"].replace("_", " "),
            f"gap {compared.words}" if cell["subset"] == GAP else cell["subset"],
            f"{cell['value']:+.3f}",
            _number(cell, "+.3f", "control"),
            _number(cell, ".2g", "p_corrected"),
            _number(cell, ".2g", "p_smallest"),
        ]
        for cell in lost.to_dict("records")
    ]
    head = ("circuit", "ablation", "intervention", "subset", "lost", "matched circuits",
            "corrected p", "least possible p")  # fmt: skip
    name = "What is lost without each circuit (nats; exact matches)"
    return table_html(head, body, name=name) if body else Html("")


def _beside(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "–"
    p = cell["p_corrected"]
    tested = "" if pd.isna(p) else f", corrected p {p:.2g}"
    return f"{cell['value']:.2f} ({_number(cell, '.2f', 'control')}){tested}"


def _number(cell: Mapping[str, Any] | None, form: str, column: str = "value") -> str:
    return "–" if cell is None or pd.isna(cell[column]) else format(cell[column], form)
