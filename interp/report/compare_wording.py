"""What the page about several runs says: how they differ, and what cannot be compared."""

from interp.figures.words import gap_text
from interp.report.compared_runs import Comparison
from interp.verdicts.differences import Difference
from training.metrics import HEADLINE_METRICS, find_metric


def result_sentences(comparison: Comparison) -> list[str]:
    """The main contrast of every run, and by how much those of the others differ."""
    main, metric = comparison.first.run.design.main, comparison.metrics[0]
    found = {each.name: each.gap(main, metric) for each in comparison.runs}
    own = [f"{n} {gap_text(each.to_json())}" for n, each in found.items() if each is not None]
    stage = int(comparison.first.run.config.schedule.read_at(main.part))
    levels = f"{'; '.join(own)} (means with 95% t intervals over Stage-1 seeds)"
    name = find_metric(metric).heading
    sentences = [f"{main.words} in {name} at the end of Stage {stage}: {levels}."]
    for other in comparison.others:
        less = comparison.minus_first(other, found[comparison.first.name], found[other.name])
        if less is not None:
            sentences.append(
                f"{other.name} minus {comparison.first.name}: {difference_text(less)} "
                f"({less.method}; {p_text(less)}), so that {main.words} {_verdict(less)}."
            )
    return sentences


def limits_of(comparison: Comparison) -> list[str]:
    """What cannot be compared, and what is not paired, with the reason."""
    first, words = comparison.first.name, []
    for other in comparison.others:
        if obstacle := comparison.obstacle(other):
            words.append(
                f"Nothing of {other.name} is subtracted from {first}, beside which it is only "
                f"shown: {obstacle}."
            )
        elif reason := comparison.unpaired(other):
            words.append(f"{other.name} and {first} are not paired by seed: {reason}.")
    left_out = [find_metric(m).words for m in HEADLINE_METRICS if m not in comparison.metrics]
    if left_out:
        words.append(
            f"The {' and '.join(left_out)} is left out: answers of different recipes have other "
            "tokens, so that it does not mean the same."
        )
    return words


def gap_sentences(comparison: Comparison) -> list[str]:
    """Which gaps of each other run differ from those of the first, and which do not."""
    sentences, metric = [], comparison.metrics[0]
    for other in comparison.others:
        apart, alike = [], []
        for contrast in comparison.contrasts:
            mine, theirs = comparison.first.gap(contrast, metric), other.gap(contrast, metric)
            less = comparison.minus_first(other, mine, theirs)
            if less is None:
                continue
            if is_apart(less):
                apart.append(f"{contrast.name} ({difference_text(less)})")
            else:
                alike.append(contrast.name)
        found = ", ".join(apart) or "in no gap"
        rest = f"; not shown to differ: {', '.join(alike)}" if alike else ""
        if apart or alike:
            heading = find_metric(metric).heading
            sentences.append(
                f"{other.name} differs from {comparison.first.name} in {heading}: {found}{rest}."
            )
    return sentences


def subset_sentences(comparison: Comparison) -> list[str]:
    """Of each other run, the subset that differs most from the first at the end of training."""
    sentences, metric = [], comparison.metrics[0]
    stage = comparison.stages[-1]
    mine = comparison.first.levels(stage, metric)
    for other in comparison.others:
        theirs = other.levels(stage, metric)
        found = {
            name: less
            for name in mine
            if (less := comparison.minus_first(other, mine[name], theirs.get(name))) is not None
        }
        if found:
            name, less = max(found.items(), key=lambda each: abs(each[1].mean))
            sentences.append(
                f"{other.name} differs from {comparison.first.name} most in {name}, at the end of "
                f"Stage {int(stage)} by {difference_text(less)} in {find_metric(metric).heading} "
                f"({less.method}; {p_text(less)}; the largest of {len(found)} differences)."
            )
    return sentences


def difference_text(less: Difference) -> str:
    """A difference with its interval, which too few seeds do not have."""
    bounds = {"ci_low": less.ci_low, "ci_high": less.ci_high}
    known = {name: bound if bound == bound else None for name, bound in bounds.items()}
    return gap_text({"mean": less.mean, **known})


def p_text(less: Difference) -> str:
    """The p of a difference, and the least that so many seeds can give."""
    if less.p_value != less.p_value:
        return "too few seeds for a p"
    return f"p = {less.p_value:.2g}, the least possible is {less.p_smallest:.2g}"


def is_apart(less: Difference) -> bool:
    """Whether the interval of a difference leaves out 0."""
    return less.ci_low > 0 or less.ci_high < 0


def _verdict(less: Difference) -> str:
    if not is_apart(less):
        return "is not shown to differ"
    return "is larger" if less.mean > 0 else "is smaller"
