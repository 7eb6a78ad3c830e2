"""The report's section about codes, where the run folder has their tables."""

import pandas as pd
from pandas import isna

from interp.codes.edited import SHARE
from interp.codes.plots import CODE_WORDS, plot_code_edits, plot_codes
from interp.codes.rows import BY_NULL
from interp.codes.shape import COSINE
from interp.codes.wording import EDIT_WORDS, NULL_WORDS, PLACE, found, place_words
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, table_html
from interp.figures.settings_note import settings_words
from training.designs import design_of
from training.runs.run import Run

NOTES = (
    "A code is a vector for each entity: what definitions with a tag, or questions, write of it in "
    "the aliases of Stage 1, by regression on the defined and the asked entity at once. An edit "
    "changes the amount of the own entity's code in each alias's vector and keeps everything else "
    "of its change. Amounts are exchanged by rank. Share: 1 - remaining / original gap in nats "
    "(half of that where the gap is to turn round), a ratio of seed means with a bootstrap over "
    "seeds. It counts where neither subset lies at floor or ceiling after the edit and the same "
    "amounts of other vectors leave the gap. The turns keep how much a subset writes in both tags' "
    "codes and give it the other subset's composition. Replacing a whole change by a code would "
    "make any gap vanish and is not done."
)


def codes_section(run: Run) -> Html | None:
    """Which code each subset is written in and what its amounts explain, place by place."""
    summary = table_of(run, "codes_summary")
    if summary is None:
        return None
    twin = None if run.finished_null is None else table_of(run.finished_null, "codes_summary")
    parts, settings = [], settings_words(summary)
    for at_step in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(at_step)
        for number, (place, cells) in enumerate(at_step.groupby(PLACE, sort=False)):
            theirs = None if twin is None else _same_place(twin, place, stage, step)
            name = f"codes-{stage}-{number}"
            figures = {f"{name}-edits": plot_code_edits(cells, theirs)}
            if COSINE in set(cells["quantity"]):  # which all weights together have none of
                figures[f"{name}-cosines"] = plot_codes(cells, theirs)
            words = place_words(cells)
            parts.append(
                Part(
                    heading=f"Stage {stage}, step {step}: {words}",
                    sentences=found(cells, theirs),
                    figures=figures,
                    tables=_tables(cells),
                    settings=settings,
                )
            )
    return section_html("Codes", parts, notes=NOTES)


def _same_place(twin: pd.DataFrame, place: object, stage: int, step: int) -> pd.DataFrame | None:
    """The null twin's rows of a place and checkpoint; None where it was not looked at."""
    assert isinstance(place, tuple)
    is_there = (twin[PLACE] == list(place)).all(axis=1)
    found = twin.loc[is_there & (twin["stage"] == stage) & (twin["step"] == step)]
    return None if found.empty else found


def _tables(cells: pd.DataFrame) -> list[Html]:
    """The shares of the gap by code and edit, beside each null; none where there is no gap."""
    shares = cells.loc[cells["quantity"] == SHARE]
    if shares.empty:
        return []
    known = {(cell["code"], cell["edit"]): cell for cell in shares.to_dict("records")}
    body = [
        [
            words,
            EDIT_WORDS[edit],
            f"{cell['value']:.0%} [{cell['value_low']:.0%}, {cell['value_high']:.0%}]",
            *("" if isna(cell[name]) else f"{cell[name]:.0%}" for name in BY_NULL),
            "" if isna(cell["detectable"]) else f"{cell['detectable']:.0%}",
            f"{cell['p_corrected']:.2g}",
            "yes" if cell["counts"] else "no",
        ]
        for code, words in CODE_WORDS.items()
        for edit in EDIT_WORDS
        for cell in [known.get((code, edit))]
        if cell is not None
    ]
    head = ["code", "edit", "share explained", *(f"null: {NULL_WORDS[name]}" for name in BY_NULL),
            "detectable", "corrected p", "counts"]  # fmt: skip
    name = f"Share of the gap {design_of(cells).main.words} explained"
    return [table_html(head, body, name=name)]
