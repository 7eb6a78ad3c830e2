"""The report's sections about ablations and erasures, where the run folder has their tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import ALPHA, last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.places import address_words, in_words
from interp.figures.settings_note import settings_words
from interp.interventions.ablation_analysis import DEFINITION, KNOCK_OUT, QUESTION
from interp.interventions.erasure_analysis import ALL, PROBE_ACCURACY
from interp.interventions.plots import (
    component_names,
    plot_ablation,
    plot_erasure,
    target_words,
)
from training.designs import design_of
from training.runs.run import Run

N_LARGEST = 6


def ablation_section(run: Run) -> Html | None:
    """What the answers need, at the last checkpoint of each stage that was looked at."""
    tables = _tables(run, "ablation")
    if tables is None:
        return None
    rows, summary = tables
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        there = set(cells["subset"])
        compared = run.compared_at(stage).names
        wanted = dict.fromkeys((*compared, run.design.asked[-1]))
        shown = tuple(s for s in wanted if s in there) or tuple(sorted(there))
        figures = {
            f"ablation-{stage}-{metric.replace('_', '-')}": plot_ablation(
                of_checkpoint, shown, metric=metric
            )
            for metric in ("answer_log_prob", "exact_match")
        }
        definitions = of_checkpoint.loc[of_checkpoint["kind"] == DEFINITION]
        if set(compared) & set(definitions["subset"]):
            figure = plot_ablation(of_checkpoint, compared, kind=DEFINITION)
            figures[f"ablation-{stage}-definitions"] = figure
        parts.append(
            Part(
                heading=f"Stage {stage}, step {step}",
                figures=figures,
                tables=[_largest(cells, shown)],
                settings=settings,
            )
        )
    notes = (
        "An effect is the change of a subset's mean when a component is replaced at all tokens, "
        "or tokens of a route's destination no longer see its source. A head or MLP whose loss "
        "changes nothing may have others that step in. The control of a route hides as many other "
        "tokens, drawn at random; prompts of a toy are so short that it may hide the question."
    )
    return section_html("Ablations and knock-outs", parts, notes=notes)


def erasure_section(run: Run) -> Html | None:
    """What the answers lose with the tag, at the last checkpoint of each stage looked at."""
    tables = _tables(run, "erasure")
    if tables is None:
        return None
    rows, summary = tables
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        of_checkpoint = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        targets = dict.fromkeys(cells["target"])
        parts.append(
            Part(
                heading=f"Stage {stage}, step {step}",
                sentences=[erasure_sentence(cells, target) for target in targets],
                figures={
                    f"erasure-{stage}-{target.replace('_', '-')}": plot_erasure(
                        of_checkpoint, target=target
                    )
                    for target in targets
                },
                settings=settings,
            )
        )
    compared = " and ".join(run.design.main.short_names)
    notes = (
        "Erasers (LEACE) are fitted to one half of the labelled aliases; probes and questions are "
        "of others, no entity of which the eraser saw. Target tag: fitted to Stage-1 aliases and "
        f"applied to all; tag (Stage 2): fitted to those of {compared}. Probes read every "
        "place that was erased; labels that mean nothing say what they read by chance. Where no "
        "probe reads the tag before, an unchanged answer says nothing about its use. Erasing at "
        "test time says what the answer reads, not what training on the definition left behind."
    )
    return section_html("Erasing the tag", parts, notes=notes)


def erasure_sentence(cells: pd.DataFrame, target: str) -> str:
    """What erasing a target everywhere does to its probes and to D5 minus D6.

    Args:
        cells: Rows of an `erasure_summary` of one checkpoint.
        target: What was erased.
    """
    main = design_of(cells).main
    everywhere = cells.loc[(cells["target"] == target) & (cells["site"] == ALL)]
    read = everywhere.loc[everywhere["metric"] == PROBE_ACCURACY]
    gaps = everywhere.loc[
        (everywhere["subset"] == main.gap) & (everywhere["metric"] == "answer_log_prob")
    ].to_dict("records")
    if read.empty:
        return f"Target {target_words(target)}: not erased everywhere."
    words = f"Target {target_words(target)}, erased at all sites and roles: {_probed_words(read)}"
    if not gaps:
        return f"{words}."
    gap, (higher, lower) = gaps[0], main.short_names
    return (
        f"{words}. The log-probability gap of {higher} over {lower} is {gap['after']:.2f} "
        f"instead of {gap['before']:.2f} nats (random erasures {gap['control']:.2f}; difference "
        f"from them {_interval(gap)}, {_tested(gap)})."
    )


def _probed_words(read: pd.DataFrame) -> str:
    """What probes fitted anew read at each place that was erased, before and after.

    Means over seeds; labels that mean nothing say what so few entities give by chance.
    """
    parts = []
    for cell in read.to_dict("records"):
        place = f"{in_words(address_words(cell['read_at']))} " if cell.get("read_at") else ""
        permuted = cell.get("permuted_before", float("nan"))
        before, after = (
            f"{cell[name]:.2f}"
            + ("" if pd.isna(permuted) else f" (labels permuted {cell[f'permuted_{name}']:.2f})")
            for name in ("before", "after")
        )
        parts.append(f"{place}{after} instead of {before}, random erasures {cell['control']:.2f}")
    return f"probes fitted anew read {'; '.join(parts)}"


def _largest(cells: pd.DataFrame, subsets: Sequence[str]) -> Html:
    """For each subset the interventions that change the answer's log-probability most."""
    body = []
    for subset in subsets:
        chosen = (cells["subset"] == subset) & (cells["metric"] == "answer_log_prob")
        of_subset = cells.loc[chosen & (cells["kind"] == QUESTION)]
        of_subset = of_subset.sort_values("difference", key=abs, ascending=False, kind="stable")
        for cell in of_subset.head(N_LARGEST).to_dict("records"):
            what = (
                "knock-out"
                if cell["intervention"] == KNOCK_OUT
                else f"{cell['intervention']} ablation"
            )
            body.append(
                (
                    subset,
                    f"{what} of {component_names(pd.DataFrame([cell]))[0]}",
                    f"{cell['effect']:+.2f}",
                    f"{cell['control']:+.2f}",
                    _interval(cell),
                    _tested(cell),
                )
            )
    head = ("subset", "largest effects", "nats", "control", "difference [95% interval]", "p")
    return table_html(head, body, name="Largest effects on the answer's log-probability")


def _interval(cell: dict[str, Any]) -> str:
    """The difference with its interval, which one seed does not have."""
    if cell["n_seeds"] < 2:
        return f"{cell['difference']:+.2f}"
    return f"{cell['difference']:+.2f} [{cell['ci_low']:+.2f}, {cell['ci_high']:+.2f}]"


def _tested(cell: dict[str, Any]) -> str:
    """The corrected p value, and that it cannot be small where there are few seeds."""
    words = f"corrected p {cell['p_corrected']:.3g}, {cell['n_seeds']} seeds"
    if cell["p_smallest"] > ALPHA:
        words += f" (least possible p {cell['p_smallest']:.2g})"
    return words


def _tables(run: Run, name: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """This run's rows of an analysis and of its summary, if both are there."""
    rows, summary = table_of(run, name), table_of(run, f"{name}_summary")
    return None if rows is None or summary is None else (rows, summary)
