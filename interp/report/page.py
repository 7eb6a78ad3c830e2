"""One self-contained HTML page about a run: `DIR/report.html`.

The page is a list of sections, each a function from a run to HTML, or to None where it does not
apply; a new analysis adds its function to `ANALYSES`. Every number comes from the run folder,
so a rebuilt report is the same, byte for byte. Nothing is loaded from a network.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from interp.alignment.sections import alignment_section
from interp.attention.sections import attention_section
from interp.circuits.necessity_sections import necessity_section
from interp.circuits.sections import circuits_section
from interp.codes.sections import codes_section
from interp.dictionaries.sections import dictionaries_section
from interp.figures.markup import Html
from interp.hypotheses.sections import hypotheses_section
from interp.interventions.sections import ablation_section, erasure_section
from interp.mediation.sections import mediation_section
from interp.one_layer.sections import blocks_section
from interp.orders.sections import orders_section
from interp.patching.sections import patching_section
from interp.report.claims_section import claims_section
from interp.report.exam_section import exam_section
from interp.report.grid_sections import lens_section, probes_section
from interp.report.sections import (
    curves_section,
    examples_section,
    gaps_section,
    overview_section,
    settings_section,
    subsets_section,
)
from interp.report.shell import page_html
from interp.transplants.sections import transplants_section, weight_differences_section
from interp.turns.sections import turns_section
from interp.twins.sections import twins_section
from training.runs.publication import Files, require_intact
from training.runs.run import Run, publish_runs

REPORT_FILE = "report.html"
Section: TypeAlias = Callable[[Run], Html | None]
FIGURES: Mapping[str, Section] = {
    "gaps": gaps_section,
    "curves": curves_section,
    "subsets": subsets_section,
}
"""About training, by the names that a `Design` has in its `figures`."""
ANALYSES: Sequence[Section] = [
    probes_section,
    lens_section,
    patching_section,
    attention_section,
    ablation_section,
    erasure_section,
    circuits_section,
    codes_section,
    dictionaries_section,
    transplants_section,
    weight_differences_section,
    alignment_section,
    necessity_section,
    turns_section,
    mediation_section,
    twins_section,
    orders_section,
    blocks_section,
]
"""About what was looked at inside, from top to bottom."""


def sections_of(run: Run) -> list[Section]:
    """The page about a run, from top to bottom."""
    first, *others = run.design.figures
    return [
        overview_section,
        hypotheses_section,
        FIGURES[first],
        claims_section,
        *(FIGURES[name] for name in others),
        exam_section,
        *ANALYSES,
        examples_section,
        settings_section,
    ]


def build_report(run: Run) -> Path:
    """Writes the report of a finished run into its folder.

    Raises:
        DamagedError: a file of the run is damaged.
    """
    for folder in run.folders:
        require_intact(folder, replacing=[REPORT_FILE])

    def make() -> dict[Path, Files]:
        return {run.folder: {REPORT_FILE: report_html(Run.load(run.folder)).encode()}}

    publish_runs(run.folders, make)
    return run.folder / REPORT_FILE


def report_html(run: Run) -> Html:
    """The whole page about a run."""
    sections = [html for section in sections_of(run) if (html := section(run)) is not None]
    return page_html(f"{run.config.recipe} {run.config.run_id}", sections)
