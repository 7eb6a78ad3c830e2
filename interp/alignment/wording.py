"""Gradient alignment and its tests in words: the sentences of the terminal and the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.design import Contrast
from interp.alignment.pairs import MATCHED, Pairing
from interp.alignment.summary import ALL, ZERO
from interp.alignment.surgery import SLOPE
from interp.figures.grid_tables import one_checkpoint
from interp.figures.words import gap_text
from training.designs import design_of
from training.metrics import HEADLINE_METRICS, find_metric

PAIRING_WORDS = {
    Pairing.OWN: "own questions",
    Pairing.SAME_ALIAS_OTHER_FACT: "same alias, other fact",
    Pairing.SAME_ENTITY_SAME_TAG: "other alias, same entity and tag",
    Pairing.SAME_TAG_OTHER_ENTITY: "other alias and entity, same tag",
    Pairing.SAME_ENTITY_OTHER_TAG: "other alias and tag, same entity",
    Pairing.OTHER_TAG: "other alias, entity and tag",
    Pairing.OTHER: "anything else",
}
CAUTION = (
    "A cosine says what a small step of gradient descent on a definition does to a question. It is "
    "not what training does: steps are not small, optimizers rescale gradients, and gradients "
    "change on the way. Elsewhere it has predicted poorly what leaving an example out changes."
)


def found(summary: pd.DataFrame) -> list[str]:
    """The sentences of one run and checkpoint, with what is to be kept in mind.

    Args:
        summary: Rows of an `alignment_summary` of one run and checkpoint.
    """
    return [*alignment_sentences(summary), CAUTION]


def alignment_sentences(summary: pd.DataFrame) -> list[str]:
    """Sentences that give each comparison of tags: the difference in cosine, and matched pairs.

    Args:
        summary: Rows of an `alignment_summary` of one run and checkpoint.
    """
    stage, step = one_checkpoint(summary)
    rows = summary.loc[(summary["measure"] == "grad_cosine") & (summary["component"] == ALL)]
    sentences = []
    for contrast in design_of(summary).leading:
        for key, cells in rows.groupby(["pairs", "loss_policy"], sort=False):
            found = _by_cell(cells)
            if (contrast.gap, Pairing.OWN, ZERO) in found:
                assert isinstance(key, tuple)
                where = f"Stage {stage}, step {step}, {_pairs_words(*key)}"
                sentences.append(_gap_sentence(found, contrast, where))
    return sentences


def _pairs_words(pairs: str, policy: str) -> str:
    return f"loss policy {policy}" + ("" if pairs == "own" else ", all pairs")


def _by_cell(cells: pd.DataFrame) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    names = zip(cells["subset"], cells["pairing"], cells["against"], strict=True)
    return dict(zip(names, cells.to_dict("records"), strict=True))  # pyright: ignore[reportReturnType]


def _gap_sentence(
    found: Mapping[tuple[str, str, str], Mapping[str, Any]], contrast: Contrast, where: str
) -> str:
    higher, lower = contrast.names
    gap = found[contrast.gap, Pairing.OWN, ZERO]
    own = [found[subset, Pairing.OWN, ZERO]["value"] for subset in (higher, lower)]
    nulls = [
        f"{PAIRING_WORDS[Pairing(name)]} {found[contrast.gap, name, ZERO]['value']:+.3f}"
        for name in MATCHED
        if (contrast.gap, name, ZERO) in found
    ]
    beside = f" The same difference of matched pairs: {'; '.join(nulls)}." if nulls else ""
    if contrast.higher.consistent and contrast.lower.consistent is False:
        one, other = (name.partition("_")[0] for name in contrast.names)
        beside += (
            f" {one}'s definitions are true and {other}'s false whatever the tag: only what the "
            "null twin does not show is the tag's."
        )
    what = "subsets" if contrast.higher.tag is None else "tags"
    return (
        f"Gradient cosine with own questions ({where}): {higher} {own[0]:+.3f}, {lower} "
        f"{own[1]:+.3f}, difference {estimate_text(gap)} ({_test_words(gap)}; by shuffled {what} "
        f"p ≤ .05 within {gap['found_within']:.0%} of seeds).{beside}"
    )


def branch_sentences(summary: pd.DataFrame) -> list[str]:
    """Sentences that give the rank correlation of alignment with the gap, beside its controls."""
    sentences = []
    main = _main(summary)
    for metric in HEADLINE_METRICS:
        rows = summary.loc[summary["metric"] == metric].set_index("predictor")
        cell: Mapping[str, Any] = rows.loc["cosine"].to_dict()
        controls = ", ".join(
            f"{words} {rows.loc[name, 'correlation']:+.2f}"
            for name, words in (
                ("log_step", "with the length of Stage 1 itself"),
                ("control_cosine", "with the alignment of pairs with another alias and entity"),
            )
        )
        sentences.append(
            f"Over branch points within a seed, {main.words} in cosine before Stage 2 has a rank "
            f"correlation of {estimate_text(cell)} with the branch's {main.name} in "
            f"{find_metric(metric).heading}; {cell['n_positive']} of {cell['n_seeds']} seeds are "
            f"positive (sign test p = {cell['sign_p']:.2g}). Controls: {controls}."
        )
    return sentences


def _main(summary: pd.DataFrame) -> Contrast:
    """What the experiment of a run's table is about."""
    return design_of(summary).main


def update_sentences(summary: pd.DataFrame) -> list[str]:
    """Sentences that say of each optimizer how well gradients predict its step."""
    sentences = []
    main = _main(summary)
    for optimizer, rows in summary.groupby("optimizer", sort=False):
        cells = zip(rows["subset"], rows["pairing"], rows["quantity"], strict=True)
        found: dict[Any, Mapping[str, Any]] = dict(
            zip(cells, rows.to_dict("records"), strict=True)  # pyright: ignore[reportArgumentType]
        )
        own, matched = (
            found["all", group, "correlation_predicted"] for group in ("own", "matched")
        )
        gap = found[main.gap, Pairing.OWN, "update_cosine"]
        null = found.get((main.gap, Pairing.SAME_ENTITY_OTHER_TAG, "update_cosine"))
        beside = (
            f"; of pairs with another alias and tag but the same entity {null['value']:+.3f}"
            if null
            else ""
        )
        sentences.append(
            f"One step of {optimizer}: the Gram predicts the change in a question's loss with "
            f"correlation {estimate_text(own)} over own pairs and {matched['value']:+.2f} over "
            f"matched pairs. {main.words} in the cosine of the update itself: {estimate_text(gap)}"
            f"{beside}."
        )
    return sentences


def surgery_sentences(summary: pd.DataFrame) -> list[str]:
    """Sentences that give the slopes of alignment and gap over doses, and of the control."""
    rows = summary.loc[summary["against"] == SLOPE].set_index("quantity")
    design = design_of(summary)
    names = {"alignment": f"{design.main.words} in cosine before Stage 2"} | {
        f"{contrast.name}_{metric}": f"{contrast.name} in {find_metric(metric).heading}"
        for contrast in design.leading
        for metric in HEADLINE_METRICS
    }
    sentences = [
        f"For each unit of dose, {words} changes by {rows.loc[name, 'value']:+.3f} along the "
        f"questions' gradient and by {rows.loc[name, 'null']:+.3f} along a random direction; "
        f"difference {estimate_text(rows.loc[name].to_dict())} "
        f"({_test_words(rows.loc[name].to_dict())})."
        for name, words in names.items()
        if name in rows.index
    ]
    return [*sentences, _surgery_verdict(rows.loc["alignment"].to_dict())]


def _surgery_verdict(cell: Mapping[str, Any]) -> str:
    """Whether the treatment was one: a dose that leaves alignment as it is tests nothing."""
    if cell["ci_high"] < 0:
        return "The surgery lowers the alignment before Stage 2, so that the gaps test its effect."
    return (
        "The surgery is not shown to lower the alignment of definitions with their own questions: "
        "it turns means over batches, in which an alias's definition and questions seldom meet. "
        "That the gaps stay or change is then no evidence about this alignment."
    )


def left_out_sentences(summary: pd.DataFrame) -> list[str]:
    """Sentences that say how well the Gram predicts what leaving a definition out does."""
    rows = summary.loc[summary["predictor"] == "predicted"]
    cells = zip(rows["pairing"], rows["kind"], strict=True)
    found: dict[Any, Mapping[str, Any]] = dict(zip(cells, rows.to_dict("records"), strict=True))  # pyright: ignore[reportArgumentType]
    words = {"own": "own questions", "matched": "questions about other aliases"}
    return [
        f"Leaving one definition out changes the answers' log-probability of {words[group]} by "
        f"{found[group, 'pearson']['measured']:+.3f} nats on average; its correlation over pairs "
        f"with what the Gram predicts is {estimate_text(found[group, 'pearson'])} (by ranks "
        f"{found[group, 'rank']['correlation']:+.2f}{_within_words(found, group)}; "
        f"{_test_words(found[group, 'pearson'])})."
        for group in words
        if (group, "pearson") in found
    ]


def _within_words(found: Mapping[Any, Mapping[str, Any]], group: str) -> str:
    cell = found.get(("within_tag", "pearson"))
    if group != "own" or cell is None:
        return ""
    return f", within the definitions of one tag {cell['correlation']:+.2f}"


def estimate_text(cell: Mapping[str, Any]) -> str:
    """A difference and its interval over seeds; of one seed there is none."""
    bounds = {
        name: cell[name] if cell[name] == cell[name] else None for name in ("ci_low", "ci_high")
    }
    return gap_text({"mean": cell["difference"], **bounds})


def _test_words(cell: Mapping[str, Any]) -> str:
    return (
        f"n = {cell['n_seeds']} seeds, p = {cell['p_value']:.2g} by sign flips, corrected "
        f"{cell['p_corrected']:.2g}, least possible {cell['p_smallest']:.2g}"
    )
