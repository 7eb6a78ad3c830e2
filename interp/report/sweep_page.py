"""One self-contained HTML page about a sweep: `DIR/report.html`, made like the page about a run."""

from pathlib import Path
from typing import Any

import pandas as pd

from data.subsets import Subset
from interp.claims.names import NAME
from interp.figures.answer_first import Part, folded_html, result_html, section_html
from interp.figures.markup import Html, as_html, note_html, swatch_html, table_html
from interp.figures.places import at_words, site_words
from interp.figures.settings_note import settings_words
from interp.figures.words import (
    consecutive,
    gap_text,
    mean_text,
    plain,
    seed_ranges,
    unbroken,
)
from interp.probes.targets import PLANTED
from interp.probes.wording import (
    OUTDATED,
    accuracy_text,
    detectable_words,
    is_found,
    is_outdated,
)
from interp.report.claims_section import claims_html
from interp.report.guessing import guessing, guessing_words
from interp.report.ladder_section import ladder_section
from interp.report.page import REPORT_FILE
from interp.report.places_section import PROBES_FILE, places_section
from interp.report.shell import page_html
from interp.report.sweep_plots import (
    AXIS_TITLES,
    panel_words,
    plot_levels,
    plot_sweep_gaps,
    setting_text,
)
from interp.sweeps.folders import FinishedSweep
from interp.sweeps.ladder import ladder_table
from interp.sweeps.ladder_text import ladder_sentences
from training.metrics import HEADLINE_METRICS, find_metric
from training.runs.old_rules import old_rules_text
from training.runs.publication import Files, exists, publish, require_intact
from training.runs.run import Run, read_table


def build_sweep_report(sweep: FinishedSweep) -> Path:
    """Writes the report into the sweep's folder.

    Raises:
        DamagedError: a file of the sweep or of a cell is damaged.
    """
    folders = [sweep.folder, *(run.folder for run in sweep.runs)]
    for folder in folders:
        require_intact(folder, replacing=[REPORT_FILE])

    def make() -> dict[Path, Files]:
        html = sweep_html(FinishedSweep.load(sweep.folder))
        return {sweep.folder: {REPORT_FILE: html.encode()}}

    publish(folders, make)
    return sweep.folder / REPORT_FILE


def sweep_html(sweep: FinishedSweep) -> Html:
    """The whole page about a sweep."""
    if sweep.rungs:
        about = [overview_section(sweep), ladder_section(sweep), settings_section(sweep)]
        return page_html(sweep.info["name"], about)
    sections = [
        overview_section(sweep),
        levels_section(sweep),
        gaps_section(sweep),
        readable_section(sweep),
        places_section(sweep),
        claims_html(sweep.verdicts),
        settings_section(sweep),
    ]
    return page_html(sweep.info["name"], [each for each in sections if each is not None])


def overview_section(sweep: FinishedSweep) -> Html:
    """The question, what came out, and what was run."""
    info = sweep.info
    figures = f"the paper's Figure {' and '.join(info['figures'])}"
    recipes = ", ".join(dict.fromkeys(run.config.recipe for run in sweep.runs))
    facts = {
        "sweep": f"{info['name']}: {len(sweep.runs)} cells of {recipes}",
        "varies": AXIS_TITLES.get(sweep.varies, sweep.varies),
        "seeds": f"{len(sweep.seeds)} in Stage 1 of every cell ({seed_ranges(sweep.seeds)})",
        "serves": (figures if info["figures"] else "no figure of the paper")
        + (f"; claims {', '.join(info['claims'])}" if info["claims"] else ""),
    }
    policies = dict.fromkeys(run.config.loss_policy for run in sweep.runs)
    facts |= {f"loss policy {policy}": policy.words for policy in policies}
    if rules := "; ".join(dict.fromkeys(t for t in map(old_rules_text, sweep.runs) if t)):
        facts["old rules"] = rules
    if info["smoke"]:
        facts["smoke"] = "tiny cells, whose numbers mean nothing"
    items = "".join(f"<dt>{name}</dt><dd>{as_html(text)}</dd>" for name, text in facts.items())
    title = f"<h1>{as_html(info['question'])}</h1>"
    if sweep.rungs:
        sentences = ladder_sentences(sweep, ladder_table(sweep))
    else:
        sentences = gap_sentences(sweep)
    return Html(f"{title}\n{result_html(sentences)}<dl>{items}</dl>")


def gap_sentences(sweep: FinishedSweep) -> list[str]:
    """Sentences on where the interval of the main contrast lies above 0, below, or holds it."""
    gaps = sweep.gaps()
    gaps = gaps.loc[gaps["metric"] == "exact_match"]
    stage = int(gaps["stage"].iloc[0])
    main = sweep.design.main
    about = (
        f"{' − '.join(main.names)} in exact match on held-out questions at the end of Stage {stage}"
    )
    sentences = [f"The {main.label} is {about}; means with 95% t intervals over Stage-1 seeds."]
    for panel, rows in gaps.groupby("panel", sort=False):
        found: dict[str, list[str]] = {side: [] for side in _SIDES}
        for each in rows.to_dict("records"):
            text = f"{setting_text(sweep.varies, each['setting'])} ({gap_text(each)})"
            found[_side(each)].append(text)
        parts = [f"{side} at {', '.join(texts)}" for side, texts in found.items() if texts]
        where = f"With {panel_words(panel)}, by" if panel else "By"
        sentences.append(f"{where} {sweep.varies.replace('_', ' ')} it is {'; '.join(parts)}.")
    return sentences


_SIDES = ("above 0", "below 0", "not shown to differ from 0")


def _side(gap: dict[str, Any]) -> str:
    """The side of 0 on which an interval lies; one seed has none, and shows nothing."""
    above, below, neither = _SIDES
    if pd.isna(gap["ci_low"]):
        return neither
    if gap["ci_low"] > 0:
        return above
    return below if gap["ci_high"] < 0 else neither


def levels_section(sweep: FinishedSweep) -> Html:
    """Exact match of every subset in every cell: figure, and a table for each part of the data."""
    levels = sweep.levels()
    chance = guessing(sweep.runs[0]).get("exact_match")
    tables = [
        _levels_table(sweep, rows, f"Subsets of X{part}, end of Stage {rows['stage'].iloc[0]}")
        for part, rows in levels.groupby("part")
    ]
    notes = (
        "The share of held-out questions that are answered right, of each subset when its own part "
        "of the data has just been trained. Markers of one setting stand side by side to be told "
        "apart. n is the number of questions a seed; the interval is over seeds."
    )
    if chance is not None:
        notes += f" {guessing_words(sweep.runs[0])} It scores {chance:.2f}."
    if not any(NAME in set(run.metrics["question"]) for run in sweep.runs):
        notes += (
            " The paper's Figure 4 asks for the name of the entity; these runs have no such "
            "questions, so held-out questions stand in, in claims about names too."
        )
    figures = {"levels": plot_levels(levels, sweep.varies, chance=chance)}
    part = Part(sentences=[_level_sentence(sweep, levels)], figures=figures, tables=tables)
    return section_html("Exact match", [part], notes=notes)


def _level_sentence(sweep: FinishedSweep, levels: pd.DataFrame) -> str:
    """Between which means over the cells each of the compared subsets lies."""
    ranges = []
    for name in sweep.design.main.names:
        means = levels.loc[levels["subset"] == name, "mean"].to_numpy()
        ranges.append(f"{name} lies between {means.min():.2f} and {means.max():.2f}")
    return f"Over {len(sweep.runs)} cells, exact match of {' and that of '.join(ranges)}."


def _levels_table(sweep: FinishedSweep, levels: pd.DataFrame, name: str) -> Html:
    """A row for each cell, a column for each subset."""
    subsets = [s for s in sweep.design.subsets if s.name in set(levels["subset"])]
    by_cell = {
        run_id: {each["subset"]: each for each in rows.to_dict("records")}
        for run_id, rows in levels.groupby("run_id")
    }
    sizes = {s.name: levels.loc[levels["subset"] == s.name, "n_questions"] for s in subsets}
    head = [*_names(sweep), *(_subset_head(each, sizes[each.name]) for each in subsets), "n seeds"]
    body = []
    for run in sweep.runs:
        found = by_cell[run.config.run_id]
        texts = [
            unbroken(mean_text(found[each.name])) if each.name in found else "–" for each in subsets
        ]
        seeds = {each["n_seeds"] for each in found.values()}
        body.append([*_settings(sweep, run), *texts, ", ".join(map(str, sorted(seeds)))])
    return table_html(head, body, name=name)


def _subset_head(subset: Subset, sizes: pd.Series) -> Html:
    low, high = int(sizes.to_numpy().min()), int(sizes.to_numpy().max())
    n = f"n = {low}" if low == high else f"n = {low} to {high}"
    return Html(f"{swatch_html(subset)}<br>{n}")


def gaps_section(sweep: FinishedSweep) -> Html:
    """The main contrast of every cell: figure and table."""
    gaps, main = sweep.gaps(), sweep.design.main
    figure = plot_sweep_gaps(gaps, sweep.varies, main)
    head = _names(sweep)
    for metric in HEADLINE_METRICS:
        head += [f"{find_metric(metric).heading}: mean [95% interval]", "p"]
    body = []
    for run in sweep.runs:
        found = run.summary[main.name]
        cells: list[object] = list(_settings(sweep, run))
        for metric in HEADLINE_METRICS:
            cells += [unbroken(gap_text(found[metric])), f"{found[metric]['p_value']:.2g}"]
        first = found[HEADLINE_METRICS[0]]
        body.append([*cells, f"{first['p_smallest']:.2g}", first["n_seeds"], run.config.run_id])
    table = table_html(
        [*head, "least possible p", "n seeds", "run"], body, name=f"The {main.label} by cell"
    )
    notes = (
        f"{' − '.join(main.names)}, within each seed. p: two-sided sign flips over the seeds of "
        "one cell, not corrected for the number of cells. The run is the folder of the cell below "
        "cells/."
    )
    sentences = gap_sentences(sweep)[1:]  # the first says what the contrast is, which notes do
    part = Part(sentences=sentences, figures={"gaps": figure}, tables=[table])
    return section_html(f"The {main.label}", [part], notes=notes)


def readable_section(sweep: FinishedSweep) -> Html | None:
    """The best place at each role for every cell and probed target, where the sweep has probes."""
    path = sweep.folder / PROBES_FILE
    if not exists(path):
        return None
    probes = read_table(path)
    if is_outdated(probes):
        return Html(f"<h2>What is readable</h2>\n{note_html(OUTDATED)}")
    probes = probes.loc[(probes["probe"] == "logistic") & (probes["target"] != PLANTED.name)]
    probes = probes.loc[probes["stage"] == probes["stage"].max()]
    probes = probes.loc[probes["step"] == probes.groupby("run_id")["step"].transform("max")]
    roles = list(dict.fromkeys(probes["role"]))
    head = [*_names(sweep), "target", *(f"{at_words(role)}: best place" for role in roles)]
    body = []
    for run in sweep.runs:
        of_run = probes.loc[probes["run_id"] == run.config.run_id]
        for target in dict.fromkeys(of_run["target"]):
            cells = of_run.loc[of_run["target"] == target]
            at_roles = (cells.loc[cells["role"] == role] for role in roles)
            texts = [_best_place(cells) if len(cells) else "–" for cells in at_roles]
            body.append([*_settings(sweep, run), target, *texts])
    notes = (
        f"Logistic probes at the end of Stage {probes['stage'].iloc[0]}: share right of aliases "
        "that the probe never saw (chance .5 of two classes), mean and 95% interval over seeds, at "
        "the state where it is highest; the best of several is high by selection, so bold is what "
        "survives correction over all cells of the sweep (p <= .05). "
        f"{detectable_words(probes)} A tag goes along with the truth of its definitions; a null "
        "twin, which a sweep has not, would tell the two apart."
    )
    n_found = sum(map(is_found, probes.to_dict("records")))
    part = Part(
        sentences=[f"{n_found} of {len(probes)} probes of the sweep survive correction."],
        tables=[table_html(head, body, name="What is readable")],
        settings=settings_words(probes),
    )
    return section_html("What is readable", [part], notes=notes)


def _best_place(cells: pd.DataFrame) -> Html:
    """The cell of highest accuracy, bold if it survives correction."""
    best = cells.loc[cells["accuracy"].idxmax()].to_dict()
    text = as_html(f"{accuracy_text(best)}, {site_words(best['site'], best['layer'])}")
    return Html(f"<b>{text}</b>") if is_found(best) else text


def settings_section(sweep: FinishedSweep) -> Html:
    """What all cells share, and the commands that make this page again."""
    parameters = [(n, plain(v)) for n, v in sweep.shared().items()]
    shared = table_html(("parameter", "value"), parameters, name="Settings of all cells")
    runs = {name: _over(sweep, name) for name in ("device", "git_commit", "threads")}
    names = dict.fromkeys(name for run in sweep.runs for name in run.info["versions"])
    runs |= {
        name: ", ".join(sorted({run.info["versions"].get(name) or "none" for run in sweep.runs}))
        for name in names
    }
    commands = as_html("\n".join(sweep_commands(sweep)))
    machine = table_html(("what", "value"), runs.items(), name="Cells ran on")
    told = folded_html(
        f"{len(parameters)} settings that all {len(sweep.runs)} cells share, versions and machine",
        Html(f'<div class="columns">{shared}{machine}</div>'),
    )
    return Html(
        f"<h2>Settings</h2>\n<p>To make this page again:</p>\n<pre>{commands}</pre>\n{told}"
    )


def sweep_commands(sweep: FinishedSweep) -> list[str]:
    """Command lines that run the same cells with the same seeds and write the report."""
    name = sweep.info["name"]
    file = sweep.info.get("file", name)
    smoke = " --smoke" if sweep.info["smoke"] else ""
    commands = [
        f"iml sweep {file} --seeds {low}:{high + 1}{smoke}"
        for low, high in consecutive(sweep.seeds)
    ]
    return [*commands, f"iml report runs/{name}"]


def _over(sweep: FinishedSweep, name: str) -> str:
    """What the `run.json` of the cells say under a key, each value once."""
    return ", ".join(sorted({str(run.info.get(name) or "unknown") for run in sweep.runs}))


def _names(sweep: FinishedSweep) -> list[object]:
    return [name.replace("_", " ") for name in sweep.differing()]


def _settings(sweep: FinishedSweep, run: Run) -> list[str]:
    parameters = run.config.parameters
    return [setting_text(name, plain(parameters.get(name))) for name in sweep.differing()]
