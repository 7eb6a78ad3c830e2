"""Transplants and weight differences in words: which weights bring the gap along?"""

from collections.abc import Mapping

import pandas as pd

from interp.figures.grid_tables import ALPHA
from interp.figures.words import gap_text
from interp.hooked.answers import ANSWER_METRICS
from interp.transplants.plots import part_words
from training.designs import design_of
from training.metrics import find_metric

SummaryByCell = Mapping[tuple[str, str, str, str], dict]
"""By part, subset, metric and contrast."""
SENTENCED = ("embeddings", "blocks")
"""Parts whose gaps are said in words."""


def found(cells: pd.DataFrame) -> list[str]:
    """The gaps with embeddings and blocks alone and without them, then answers and recital.

    Args:
        cells: Rows of a `transplants_summary` of one recipient and donor.
    """
    known = {
        (cell["part"], cell["subset"], cell["metric"], cell["contrast"]): cell
        for cell in cells.to_dict("records")
    }
    main, sentences = design_of(cells).main, []
    gap = main.gap
    for metric in ANSWER_METRICS:
        for part in SENTENCED:
            if (part, gap, metric, "recipient") not in known:
                continue
            cell, control = (known[part, gap, metric, each] for each in ("recipient", "control"))
            told = "is" if control["p_corrected"] <= ALPHA else "is not"
            lost = known.get((part, gap, metric, "lost"))
            without = "" if lost is None else (
                f" Without it, all else moved, the gap is {lost['without']:+.3f}: "
                f"{gap_text(estimate_of(lost, 'difference', 'ci'))} (corrected p = "
                f"{lost['p_corrected']:.2g})."
            )  # fmt: skip
            sentences.append(
                f"With the donor's {part} alone the gap {main.words} in "
                f"{find_metric(metric).heading} is "
                f"{gap_text(estimate_of(cell, 'value', 'value'))}; without a transplant it is "
                f"{cell['recipient']:+.3f}, with all {cell['donor_value']:+.3f}, with a random "
                f"change as large {cell['control']:+.3f}, from which it {told} told apart "
                f"(corrected p = {control['p_corrected']:.2g}; the least possible is "
                f"{control['p_smallest']:.2g} with {control['n_seeds']} seeds).{without}"
            )
    for part in SENTENCED:
        answers = [_moved_words(known, part, name) for name in main.names]
        if all(answers):
            sentences.append(f"{part[0].upper()}{part[1:]}: {'; '.join(map(str, answers))}.")
    return sentences


def _moved_words(known: SummaryByCell, part: str, subset: str) -> str | None:
    """Answers and recital of a subset with a part alone and without it; None of older tables."""
    answer = known.get((part, subset, "answer_log_prob", "lost"))
    recital = known.get((part, f"{subset} recited", "exact_match", "lost"))
    if answer is None or recital is None:
        return None
    change = answer["donor_value"] - answer["recipient"]
    share = (
        f" ({(answer['value'] - answer['recipient']) / change:.0%} of the way)" if change else ""
    )
    return (
        f"{subset}'s answers go from {answer['recipient']:.2f} to {answer['value']:.2f} nats with "
        f"them alone{share}, to {answer['without']:.2f} with all but them and to "
        f"{answer['donor_value']:.2f} with all; definitions are recited at {recital['value']:.2f} "
        f"with them alone, at {recital['without']:.2f} without, at {recital['donor_value']:.2f} "
        f"with all and at {recital['recipient']:.2f} with nothing"
    )


def estimate_of(cell: dict, mean: str, interval: str) -> dict[str, float | None]:
    """A mean and its interval as `gap_text` reads them; of one seed there is no interval."""
    bounds = {f"ci_{end}": cell[f"{interval}_{end}"] for end in ("low", "high")}
    known = {name: bound if bound == bound else None for name, bound in bounds.items()}
    return {"mean": cell[mean], **known}


def differences_found(cells: pd.DataFrame, twin: pd.DataFrame | None = None) -> list[str]:
    """Whether definitions of either tag change the same weights, over all weights and by module.

    Args:
        cells: Rows of a `weight_differences_summary` of one run and checkpoint.
        twin: The same of its null twin, if it was measured.
    """
    known = {cell["module"]: cell for cell in cells.to_dict("records")}
    whole = known["all"]
    records = sorted(known.values(), key=lambda cell: -abs(cell["difference"]))
    found = [cell for cell in records if cell["p_corrected"] <= ALPHA]
    best = (found or records)[0]
    verdict = f"differ in {len(found)} of {len(records)} modules, most" if found else (
        f"are not shown to differ in any of {len(records)} modules; they do most"
    )  # fmt: skip
    beside = "The null twin, where no tag is more reliable, was not measured."
    if twin is not None:
        theirs = {cell["module"]: cell for cell in twin.to_dict("records")}["all"]
        beside = (
            "In the null twin, where no tag is more reliable, the difference over all weights is "
            f"{gap_text(estimate_of(theirs, 'difference', 'ci'))}."
        )
    size = (
        "Training on the definitions of Stage 2 changes the weights by "
        f"{whole['relative_norm']:.3f} of their norm."
    )
    overlap = (
        "Over all weights, changes by halves of one tag's definitions have a cosine of "
        f"{whole['cosine_same_tag']:+.3f}, by a half of either tag's one of "
        f"{whole['cosine_other_tag']:+.3f}: difference "
        f"{gap_text(estimate_of(whole, 'difference', 'ci'))} (corrected p = "
        f"{whole['p_corrected']:.2g}; the least possible is {whole['p_smallest']:.2g} with "
        f"{whole['n_seeds']} seeds)."
    )
    modules = (
        f"The two cosines {verdict} in {part_words(best['module'])}, "
        f"{gap_text(estimate_of(best, 'difference', 'ci'))} (corrected p = "
        f"{best['p_corrected']:.2g})."
    )
    return [size, overlap, modules, beside]
