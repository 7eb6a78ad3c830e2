"""A ladder's table in words, for the terminal and the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interp.figures.words import gap_text, mean_text
from interp.sweeps.folders import FinishedSweep
from interp.sweeps.ladder import Found, ladder_contrasts, ladder_table
from interp.sweeps.rungs import FOR_LADDER

RULE = (
    "A rung is inadmissible when, after Stage 1, its model answers less than "
    f"{FOR_LADDER:g} of the held-out questions about what is defined and asked about; nothing is "
    "said of it then. An effect is shown when the 95% t interval over Stage-1 seeds lies above 0, "
    "and is none when the 90% interval lies within the margin of the recipe's null twin (the main "
    "contrast alone has one). A change makes an effect less or more when the 95% interval of the "
    "rung minus the one that it follows, or stands beside, lies below or above 0. Nothing is "
    "corrected for the number of rungs."
)


def ladder_rows(sweep: FinishedSweep, table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of a table with one row for each run, all in words."""
    contrasts = ladder_contrasts(sweep.design)
    head = ["rung", "what changes", "compared with", "held-out level"]
    for each in contrasts:
        head += [each.label, "found", "null twin", "by the change"]
    rows = []
    for _, of_run in table.groupby("rung", sort=False):
        by_contrast = {each["contrast"]: each for each in of_run.to_dict("records")}
        first = by_contrast[contrasts[0].name]
        row = [first["rung"], first["change"], first["after"], _interval(first, "level")]
        for each in contrasts:
            found = by_contrast[each.name]
            row += [gap_text(_known(found)), str(found["found"])]
            row += [_interval(found, "twin"), str(found["effect_of_change"])]
        rows.append([*row, str(first["n_seeds"])])
    return [*head, "n seeds"], rows


def ladder_sentences(sweep: FinishedSweep, table: pd.DataFrame) -> list[str]:
    """What was found of each contrast, and which rungs tell nothing."""
    sentences = []
    rungs = table.loc[table["knob"] == ""]
    for contrast in ladder_contrasts(sweep.design):
        of_one = rungs.loc[rungs["contrast"] == contrast.name]
        parts = [
            f"{found} at {', '.join(of_one.loc[of_one['found'] == found, 'rung'])}"
            for found in Found
            if (of_one["found"] == found).to_numpy().any()
        ]
        sentences.append(f"{contrast.label} ({contrast.words}): {'; '.join(parts)}.")
    main = table.loc[table["contrast"] == sweep.design.main.name]
    turned = main.loc[(main["knob"] != "") & (main["effect_of_change"] == "more"), "rung"]
    if (main["knob"] != "").to_numpy().any():
        words = ", ".join(turned) or "no knob"
        sentences.append(f"More of the {sweep.design.main.label} beside a rung: {words}.")
    return sentences


def ladder_text(sweep: FinishedSweep) -> str:
    """The table, and what was found, for the terminal."""
    table = ladder_table(sweep)
    head, rows = ladder_rows(sweep, table)
    cells = pd.DataFrame([dict(enumerate(row)) for row in rows]).to_string(index=False, header=head)
    return "\n".join([cells, "", RULE, *ladder_sentences(sweep, table)])


def _interval(found: Mapping[str, Any], name: str) -> str:
    """A level or a twin's gap with its interval; a dash where there is none."""
    if pd.isna(found[name]):
        return "–"
    ends = {f"ci{end}": found[f"{name}{end}"] for end in ("_low", "_high")}
    text = mean_text if name == "level" else gap_text
    return text(_known({"mean": found[name], **ends}))


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    """With None in place of the ends of an interval that one seed has not."""
    ends = {n: None if pd.isna(found[n]) else found[n] for n in ("ci_low", "ci_high")}
    return {"mean": found["mean"], **ends}
