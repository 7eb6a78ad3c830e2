"""The sections of the page about several runs: each a function from a comparison to HTML."""

from collections.abc import Callable, Sequence

from interp.claims.verdicts import claims_of_run
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import table_of
from interp.figures.markup import Html, swatch_html, table_html
from interp.figures.words import gap_text, mean_text, unbroken
from interp.report.compare_plots import Panel, plot_side_by_side
from interp.report.compare_wording import difference_text, gap_sentences, subset_sentences
from interp.report.compared_runs import ComparedRun, Comparison
from interp.report.guessing import guessing
from interp.report.plots import learning_curves, plot_curves
from interp.report.reproduction import COMMANDS
from interp.report.sections import shared_limits
from interp.verdicts.wording import found_text
from training.metrics import find_metric
from training.statistics import Estimate

STATISTICS = (
    "A difference is the run's mean minus that of the first run. Paired: within each Stage-1 seed "
    "that both have, with a 95% t interval, and p by two-sided sign flips. Welch: the seeds of "
    "either run on their own, with Welch's 95% t interval, and p from dealing the seeds to the two "
    "runs in all ways. So many seeds can give no p below the least possible one. Nothing is "
    "corrected for the number of differences on this page."
)


def compared_gaps(comparison: Comparison) -> Html:
    """Every contrast of every run: figure, and a table with the differences."""
    contrasts, runs = comparison.contrasts, comparison.runs
    panels = [
        Panel(
            title=find_metric(metric).words,
            unit=find_metric(metric).gap_label,
            categories=[
                f"{contrast.name.replace('_', '<br>')}<br>{contrast.words}"
                for contrast in contrasts
            ],
            runs={run.name: [run.gap(each, metric) for each in contrasts] for run in runs},
            twins={
                run.name: [ComparedRun("", twin).gap(each, metric) for each in contrasts]
                for run in runs
                if (twin := run.run.finished_null) is not None
            },
        )
        for metric in comparison.metrics
    ]
    body = [
        [
            contrast.name,
            contrast.words,
            find_metric(metric).heading,
            *_cells(comparison, [run.gap(contrast, metric) for run in runs], gap_text),
        ]
        for contrast in contrasts
        for metric in comparison.metrics
    ]
    head = ["gap", "compares", "metric", *_heads(comparison)]
    figure = plot_side_by_side(panels, title="Gaps of every run", what="gap")
    part = Part(
        sentences=gap_sentences(comparison),
        figures={"compared-gaps": figure},
        tables=[table_html(head, body, name="Gaps and their differences")],
    )
    return section_html("Gaps", [part], notes=STATISTICS)


def compared_curves(comparison: Comparison) -> Html:
    """Learning curves of every run, all at one scale."""
    runs, figures = [each.run for each in comparison.runs], {}
    last = max(learning_curves(run.metrics, "exact_match")["epoch"].max() for run in runs)
    for metric in comparison.metrics:
        limits = shared_limits(runs, metric)
        for place, each in enumerate(comparison.runs):
            figure = plot_curves(
                each.run.metrics,
                metric,
                title=f"{find_metric(metric).heading}, {each.name}",
                chance=guessing(each.run).get(metric),
                y_range=limits,
            )
            figure.update_xaxes(range=[-0.02 * last, 1.02 * last], rangemode="normal")
            figures[f"compared-curves-{metric}-{place + 1}"] = figure
    ends = []
    for each in comparison.runs:
        curves = learning_curves(each.run.metrics, "exact_match").sort_values(["stage", "step"])
        means = {
            name: curves.loc[curves["subset"] == name, "mean"].iloc[-1]
            for name in each.run.design.main.names
        }
        shown = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
        ends.append(f"{each.name}: {shown}")
    part = Part(
        sentences=[f"Exact match at the last evaluation. {'; '.join(ends)}."],
        figures=figures,
        side_by_side=len(runs),
    )
    notes = "Both axes have the same limits in all runs. Dotted: guessing."
    return section_html("Curves", [part], notes=notes)


def compared_subsets(comparison: Comparison) -> Html:
    """Every subset of every run at the end of each stage: figure and table."""
    runs = comparison.runs
    subsets = {s.name: s for each in runs for s in each.run.design.subsets}
    levels = {
        (metric, stage): [each.levels(stage, metric) for each in runs]
        for metric in comparison.metrics
        for stage in comparison.stages
    }
    shown = [name for name in subsets if any(name in each for of in levels.values() for each in of)]
    metric = comparison.metrics[0]
    panels = [
        Panel(
            title=f"end of Stage {int(stage)}",
            unit=find_metric(metric).label,
            categories=[name.partition("_")[0] for name in shown],
            runs={
                run.name: [of_run.get(name) for name in shown]
                for run, of_run in zip(runs, levels[metric, stage], strict=True)
            },
        )
        for stage in comparison.stages
    ]
    body = [
        [
            swatch_html(subsets[name]),
            int(stage),
            find_metric(each).heading,
            *_cells(comparison, [of_run.get(name) for of_run in found], mean_text),
        ]
        for name in shown
        for (each, stage), found in levels.items()
    ]
    head = ["subset", "end of Stage", "metric", *_heads(comparison)]
    figure = plot_side_by_side(panels, title="Exact match of every subset", what="subset")
    part = Part(
        sentences=subset_sentences(comparison),
        figures={"compared-subsets": figure},
        tables=[table_html(head, body, name="Subsets and their differences")],
    )
    return section_html("Subsets", [part], notes=STATISTICS)


def compared_claims(comparison: Comparison) -> Html | None:
    """The verdict of each run on every claim that a recipe of theirs bears on."""
    verdicts = [{v.id: v for v in claims_of_run(each.run)} for each in comparison.runs]
    ids = list(dict.fromkeys(claim for each in verdicts for claim in each))
    if not ids:
        return None
    says = {claim: v.statement for each in verdicts for claim, v in each.items()}
    body = [
        [claim, says[claim]]
        + [
            f"{v.word}: {unbroken(found_text(v))}" if (v := each.get(claim)) else "–"
            for each in verdicts
        ]
        for claim in ids
    ]
    whole = [claim for claim in ids if "." not in claim]
    alike = [c for c in whole if len({str(each[c].word) for each in verdicts if c in each}) == 1]
    part = Part(
        sentences=[f"{len(alike)} of {len(whole)} claims get the same verdict from all runs."],
        tables=[
            table_html(
                ["claim", "says", *(each.name for each in comparison.runs)],
                body,
                name="Verdicts on the paper's claims",
            )
        ],
    )
    return section_html("The paper's claims", [part])


def compared_analyses(comparison: Comparison) -> Html | None:
    """Which analyses each run has; their figures are in the runs' own reports."""
    there = {
        name: [table_of(each.run, name) is not None for each in comparison.runs]
        for name in COMMANDS
    }
    body = [
        [name.replace("_", " "), *("yes" if each else "–" for each in found)]
        for name, found in there.items()
        if any(found)
    ]
    if not body:
        return None
    names = ["analysis", *(each.name for each in comparison.runs)]
    words = "Analyses are not compared here: each run's own report has their figures and tables."
    part = Part(sentences=[words], tables=[table_html(names, body, name="Analyses of each run")])
    return section_html("Analyses", [part])


def _heads(comparison: Comparison) -> list[str]:
    """A column for each run, and those of each difference."""
    heads = [each.name for each in comparison.runs]
    for other in comparison.others:
        name = f"{other.name} − {comparison.first.name}"
        heads += [name, "how", "p", "least possible p"]
    return heads


def _cells(
    comparison: Comparison, found: Sequence[Estimate | None], text: Callable[[dict], str]
) -> list[str]:
    """A number of each run, and how much that of each other one differs from the first's."""
    cells = ["–" if each is None else unbroken(text(each.to_json())) for each in found]
    for other, theirs in zip(comparison.others, found[1:], strict=True):
        less = comparison.minus_first(other, found[0], theirs)
        if less is None:
            cells += ["–"] * 4
        else:
            p_values = (f"{p:.2g}" if p == p else "–" for p in (less.p_value, less.p_smallest))
            cells += [unbroken(difference_text(less)), less.method, *p_values]
    return cells
