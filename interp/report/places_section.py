"""The section of a sweep's page in which all that was probed can be looked through."""

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.markup import Html
from interp.figures.places import at_words, site_words
from interp.figures.settings_note import settings_words
from interp.hooked.addresses import in_order
from interp.probes.targets import PLANTED
from interp.probes.wording import accuracy_text, is_found, is_outdated
from interp.report.places_plots import plot_places
from interp.report.sweep_plots import panel_words, setting_text
from interp.sweeps.folders import FinishedSweep
from training.runs.publication import exists
from training.runs.run import read_table

PROBES_FILE = "probes_summary.parquet"


def places_section(sweep: FinishedSweep) -> Html | None:
    """A map of every target and role, by run, state and checkpoint, of a sweep along training."""
    path = sweep.folder / PROBES_FILE
    if not exists(path):
        return None
    probes = read_table(path)
    if is_outdated(probes) or len(set(zip(probes["stage"], probes["step"], strict=True))) < 2:
        return None
    cells = probes.loc[(probes["probe"] == "logistic") & (probes["target"] != PLANTED.name)]
    names = run_labels(sweep)
    parts = []
    targets = [target.name for target in sweep.design.targets]
    for target in dict.fromkeys([*targets, *cells["target"]]):
        for role in in_order(cells["role"]):
            rows = cells.loc[(cells["target"] == target) & (cells["role"] == role)]
            if rows.empty:
                continue
            figures = {f"places-{target}-{role}": plot_places(rows, names)}
            heading = f"{target} {at_words(role)}"
            parts.append(Part(heading=heading, sentences=_found(rows, names), figures=figures))
    parts[0] = Part(
        heading=parts[0].heading,
        sentences=[_counted(probes), *parts[0].sentences],
        figures=parts[0].figures,
        settings=settings_words(probes),
    )
    notes = (
        "A panel is a run, a row a state of the model, a column a checkpoint, named by stage and "
        "step; blue is above chance. Every cell of every panel was corrected together, over "
        "targets, roles, sites, layers, checkpoints and runs. The best of many cells is high by "
        "selection. The sweep's probes.parquet has a row for each seed, probes_summary.parquet one "
        "for each cell."
    )
    return section_html("What is readable where and when", parts, notes=notes)


def run_labels(sweep: FinishedSweep) -> dict[str, str]:
    """What each run of a sweep is called in a figure, by its id."""
    return {
        run.config.run_id: " ".join(
            filter(None, [setting_text(sweep.varies, setting), panel and f"({panel_words(panel)})"])
        )
        for panel, runs in sweep.panels.items()
        for setting, run in runs.items()
    }


def _counted(probes: pd.DataFrame) -> str:
    n_found = sum(map(is_found, probes.to_dict("records")))
    places = set(zip(probes["stage"], probes["step"], strict=True))
    return (
        f"{n_found:,} of {len(probes):,} probes of {probes['run_id'].nunique()} runs at "
        f"{len(places)} checkpoints survive one correction over all of them."
    )


def _found(cells: pd.DataFrame, names: dict[str, str]) -> list[str]:
    """Where and when a target is read best, and since when it is read at all."""
    found = cells.loc[[is_found(cell) for cell in cells.to_dict("records")]]
    if found.empty:
        return ["It is read above permuted labels nowhere after correction."]
    best = found.loc[found["accuracy"].idxmax()].to_dict()
    place = f"{site_words(best['site'], best['layer'])}, stage {best['stage']} step {best['step']}"
    runs = [names[run_id] for run_id in names if run_id in set(found["run_id"])]
    return [
        f"It is read best in {names[best['run_id']]}, {place}: {accuracy_text(best)}.",
        f"It is read after correction in {len(runs)} of {len(names)} runs: {', '.join(runs)}.",
    ]
