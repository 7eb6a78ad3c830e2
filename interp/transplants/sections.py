"""The report's sections about transplants and weight differences, where their tables are there."""

import pandas as pd

from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from interp.figures.words import gap_text, unbroken
from interp.hooked.answers import ANSWER_METRICS
from interp.transplants.plots import (
    direction_words,
    ordered_parts,
    part_words,
    plot_transplants,
    plot_weight_differences,
)
from interp.transplants.wording import estimate_of, found
from training.designs import design_of
from training.metrics import find_metric
from training.runs.run import Run

DONOR = ["stage", "step", "from_stage", "from_step", "donor"]


def transplants_section(run: Run) -> Html | None:
    """What every part of a donor brings along, for each donor and recipient that were tried."""
    summary, rows = table_of(run, "transplants_summary"), table_of(run, "transplants")
    if summary is None or run.design.main.gap not in set(summary["subset"]):
        return None
    parts, settings = [], settings_words(summary)
    summary = summary.assign(is_other=summary["donor"] != "same")  # the run itself comes first
    for _, cells in summary.groupby(["is_other", *DONOR], sort=True):
        name = "-".join(map(str, cells[DONOR].iloc[0]))
        figures = {
            f"transplants-{name}-{metric}": plot_transplants(cells, rows, metric=metric)
            for metric in ANSWER_METRICS
        }
        parts.append(
            Part(
                heading=direction_words(cells),
                sentences=found(cells),
                figures=figures,
                tables=[_gap_table(cells), *_parts_table(cells)],
                settings=settings,
            )
        )
    compared = " and ".join(run.design.main.short_names)
    notes = (
        "none: the recipient as it is; all: the donor. A part suffices as far as it brings along, "
        "alone, what the donor has, and is needed as far as all but it do not; most parts do "
        "neither, as what they bring counts only together. Alias rows: embedding rows of "
        f"the aliases of {compared}. Tied embeddings are the unembedding, too. A "
        "head is its rows of query, key and value and its columns of the output projection; where "
        "heads share keys and values, query and output only. Random change: in each weight matrix "
        "the part's difference from the recipient is replaced by noise of the same Frobenius norm. "
        "p by sign flips over seeds, corrected over all parts by the largest |t|."
    )
    return section_html("Transplants", parts, notes=notes)


def weight_differences_section(run: Run) -> Html | None:
    """How much Stage 2 changed each module, and whether the tags' definitions change the same."""
    table, summary = (
        table_of(run, "weight_differences"),
        table_of(run, "weight_differences_summary"),
    )
    if table is None or summary is None:
        return None
    cells = last_checkpoints(summary)[-1]
    stage, step = one_checkpoint(cells)
    rows = table.loc[(table["stage"] == stage) & (table["step"] == step)]
    twin = _null_differences(run)
    order = {module: place for place, module in enumerate(rows["module"])}
    body = [
        [
            part_words(cell["module"]),
            *(_number(cell[name]) for name in ("relative_norm", "stable_rank", "entropy_rank")),
            *(_number(cell[name]) for name in ("cosine_same_tag", "cosine_other_tag")),
            unbroken(gap_text(estimate_of(cell, "difference", "ci"))),
            f"{cell['p_corrected']:.2g}",
            *([] if twin is None else [twin[cell["module"]]]),
        ]
        for cell in sorted(cells.to_dict("records"), key=lambda cell: order[cell["module"]])
    ]
    head = ["module", "relative norm", "stable rank", "entropy rank", "cosine, same tag",
            "cosine, other tag", "same − other", "corrected p"]  # fmt: skip
    head += [] if twin is None else ["same − other, null twin"]
    notes = (
        "Stage 2 minus Stage 1. For the cosines, Stage 2 was trained on halves of one tag's "
        "definitions alone, from the same checkpoint: two halves of one tag are the control for a "
        "half of each. The tags also differ in the embedding of their own token, but so they do in "
        "a null twin, where neither is more reliable. Ranks are those of single matrices."
    )
    part = Part(
        heading=f"Stage {stage}, step {step}",
        figures={"weight-differences": plot_weight_differences(rows)},
        tables=[table_html(head, body, name="Weight differences by module")],
        settings=settings_words(table),
    )
    return section_html("Weight differences", [part], notes=notes)


def _null_differences(run: Run) -> dict[str, str] | None:
    """By module the null twin's cosine of the same tag minus that of the other, if it was tried."""
    summary = None if run.null is None else table_of(run.null, "weight_differences_summary")
    if summary is None:
        return None
    cells = last_checkpoints(summary)[-1].to_dict("records")
    texts = [unbroken(gap_text(estimate_of(cell, "difference", "ci"))) for cell in cells]
    return {cell["module"]: text for cell, text in zip(cells, texts, strict=True)}


def _gap_table(cells: pd.DataFrame) -> Html:
    """The gap with each part, held against the recipient and against the random change."""
    main = design_of(cells).main
    gaps = cells.loc[cells["subset"] == main.gap]
    by_cell = {
        (cell["part"], cell["metric"], cell["contrast"]): cell for cell in gaps.to_dict("records")
    }
    contrasts = [each for each in ("recipient", "control", "lost") if each in set(gaps["contrast"])]
    unknown = dict.fromkeys(("difference", "ci_low", "ci_high", "p_corrected"), float("nan"))
    body = [
        [
            part_words(part),
            find_metric(metric).heading,
            unbroken(gap_text(estimate_of(by_cell[part, metric, "recipient"], "value", "value"))),
            *(
                text
                for contrast in contrasts
                for cell in [by_cell.get((part, metric, contrast), unknown)]
                for text in (
                    unbroken(gap_text(estimate_of(cell, "difference", "ci"))),
                    f"{cell['p_corrected']:.2g}",
                )
            ),
        ]
        for part in ordered_parts(gaps["part"])
        for metric in ANSWER_METRICS
    ]
    head = ["part", "metric", f"gap {main.words}", "minus the recipient's", "corrected p",
            "minus the random change's", "corrected p"]  # fmt: skip
    if "lost" in contrasts:
        head += ["all but the part, minus all", "corrected p"]
    return table_html(head, body, name=f"The gap {main.words} with each part")


def _parts_table(cells: pd.DataFrame) -> list[Html]:
    """Of the large parts: D5 and D6, asked and recited, with the part alone and without it."""
    if "without" not in cells:
        return []
    subsets = [name + end for end in ("", " recited") for name in design_of(cells).main.names]
    columns = [(subset, metric) for subset in subsets for metric in ANSWER_METRICS]
    first = cells.loc[cells["contrast"] == "recipient"]
    known = {(c["part"], c["subset"], c["metric"]): c for c in first.to_dict("records")}
    body = [
        [
            part_words(part),
            which,
            *(_level(known.get((part, *column)), level) for column in columns),
        ]
        for part in ordered_parts(first["part"])
        if "." not in part and "@" not in part
        for which, level in (("alone", "value"), ("all but it", "without"))
    ]
    head = ["part", "moved", *(f"{s}, {find_metric(metric).heading}" for s, metric in columns)]
    return [table_html(head, body, name="Answers with each large part and without it")]


def _level(cell: dict | None, level: str) -> str:
    return "–" if cell is None else _number(cell[level])


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"
