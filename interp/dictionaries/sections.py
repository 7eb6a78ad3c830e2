"""The report's section about sparse autoencoders, where the run folder has their tables."""

import json

import pandas as pd

from interp.dictionaries.plots import plot_dictionaries, plot_feature_ablation, plot_features
from interp.dictionaries.rows import AUROC, EXAMPLE, LOG_PROB, PROMOTED, RATE
from interp.dictionaries.wording import (
    PLACE,
    by_place,
    found,
    kind_of,
    place_words,
    same_place,
    target_words,
)
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html, as_html, swatch_html, table_html, tokens_html
from interp.figures.settings_note import settings_words
from training.designs import design_of
from training.runs.run import Run

NOTES = (
    "Half of the aliases train an autoencoder, a quarter chooses features, a quarter is reported: "
    "neither the autoencoder nor the choice of features has seen it. Loss and KL recovered are as "
    "SAEBench has them, with vectors of 0 as none; variance explained is one quotient of sums. At "
    "equal numbers of features a vector: the first principal components, those components of which "
    "each vector has most, and the same autoencoder with random directions as features. AUROC: how "
    "often an alias of a class has more of the class's best feature than another has. Without "
    "a feature: what it contributes is taken out of the activation, all else stays; the control is "
    "features alike in how often they fire and how long their contribution is. Features of two "
    "seeds are not the same: the pages are of the first seed."
)


def dictionaries_section(run: Run) -> Html | None:
    """Quality by sparsity, what features carry, and the pages of some, place by place."""
    summary, rows = table_of(run, "dictionaries_summary"), table_of(run, "dictionaries")
    if summary is None or rows is None:
        return None
    twin = (
        None if run.finished_null is None else table_of(run.finished_null, "dictionaries_summary")
    )
    parts, settings = [], settings_words(summary)
    for at_step in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(at_step)
        of_step = rows.loc[(rows["stage"] == stage) & (rows["step"] == step)]
        for number, cells in enumerate(by_place(at_step)):
            theirs = None if twin is None else twin.loc[twin["stage"] == stage]
            theirs = same_place(theirs, cells)
            name = f"dictionaries-{stage}-{number}"
            figures = {f"{name}-quality": plot_dictionaries(cells)}
            if AUROC in set(cells["quantity"]):
                figures[f"{name}-features"] = plot_features(cells, theirs)
            if LOG_PROB in set(cells["quantity"]):
                figures[f"{name}-ablation"] = plot_feature_ablation(cells, theirs)
            parts.append(
                Part(
                    heading=f"Stage {stage}, step {step}: {place_words(cells)}",
                    sentences=found(cells, theirs),
                    figures=figures,
                    tables=feature_pages(of_step, cells),
                    settings=settings,
                )
            )
    return section_html("Sparse autoencoders", parts, notes=NOTES)


def feature_pages(rows: pd.DataFrame, cells: pd.DataFrame) -> list[Html]:
    """A table with a feature a row: texts where it fires most, what it promotes, and how often.

    Args:
        rows: Of the table `dictionaries`, of one checkpoint.
        cells: Which place and kind.
    """
    of_place = (rows[PLACE] == cells[PLACE].iloc[0].tolist()).all(axis=1)
    here = rows.loc[of_place & (rows["dictionary"] == kind_of(cells)) & (rows["feature"] >= 0)]
    if here.empty:
        return []
    seed = here["seed"].min()
    here, design = here.loc[here["seed"] == seed], design_of(cells)
    body = []
    for (target, feature), page in here.groupby(["target", "feature"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        texts, rates = page.loc[page["quantity"] == EXAMPLE], page.loc[page["quantity"] == RATE]
        examples = [
            Html(f"{_example(row['text'])} {row['value']:.2f}") for row in texts.to_dict("records")
        ]
        shares = [
            Html(f"{swatch_html(design.subset(row['subset']))} {row['value']:.0%}")
            for row in rates.to_dict("records")
        ]
        promoted = [_promoted(text) for text in page.loc[page["quantity"] == PROMOTED, "text"]]
        about = f"{feature}, for {target_words(str(target))}"
        body.append([about, *(Html("<br>".join(each)) for each in (examples, promoted, shares))])
    head = ["feature", "texts where it fires most, and how much", "logits raised; lowered",
            "share of tokens where it fires"]  # fmt: skip
    return [table_html(head, body, name=f"Features of seed {seed}")]


def _example(text: str) -> Html:
    told = json.loads(text)
    return tokens_html(told["words"], told["roles"], told["at"])


def _promoted(text: str) -> Html:
    told = json.loads(text)
    raised, lowered = (
        ", ".join(word.strip() for word in told[side]) for side in ("raised", "lowered")
    )
    return Html(f"{as_html(raised)};<br>{as_html(lowered)}")
