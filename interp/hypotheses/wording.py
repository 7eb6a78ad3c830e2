"""Verdicts on hypotheses in words, for the command and the report."""

from collections.abc import Sequence

from interp.hypotheses.matrix import not_distinguished
from interp.hypotheses.results import CheckedPrediction, Outcome, Result

EXPECTED_WORDS = {"more": "above {0:g}", "less": "below -{0:g}", "none": "within ±{0:g}"}
MOST_REASONS = 3


def found(results: Sequence[Result]) -> list[str]:
    """The verdicts first, then what the run cannot tell, then what makes verdicts exploratory."""
    sentences = [f"{_verdicts(results)}."]
    sentences += [
        f"{each.title} is {each.verdict}: {'; '.join(reasons)}."
        for each in results
        if each.verdict in (Outcome.SUPPORTED, Outcome.DEVIATED) and (reasons := _own_reasons(each))
    ]
    if together := _shared_reasons(results):
        sentences.append(f"{together}.")
    pairs = not_distinguished(results)
    if pairs and len(results) > 1:
        listed = "; ".join(
            f"{first.title} and {second.title} ({len(rows)} row{'s' * (len(rows) != 1)})"
            for first, second, rows in pairs
        )
        sentences.append(f"Not distinguished here, for want of two rows that decide: {listed}.")
    known = {reason for each in results for reason in each.known}
    if known:
        sentences.append(f"Exploratory, as the data were known: {'; '.join(sorted(known))}.")
    return sentences


def result_lines(result: Result) -> list[str]:
    """A hypothesis with its verdict, and below it each prediction with what was found."""
    frozen = f"frozen {result.frozen[:10]}" if result.frozen else "not frozen"
    lines = [f"{result.name}: {result.words} ({frozen})", f"    {result.statement}"]
    lines += [f"    {reason}" for reason in (*result.reasons, *result.known)]
    lines += [
        f"    {gate_line(gate.passed)} gate: {gate.name}: {gate.found}" for gate in result.gates
    ]
    lines += [f"    {prediction_line(each)}" for each in result.predictions]
    return lines


def gate_line(passed: bool | None) -> str:
    """The word for a gate."""
    return {True: "passed  ", False: "FAILED  ", None: "unknown "}[passed]


def prediction_line(each: CheckedPrediction) -> str:
    """One prediction: verdict, row, what was expected, what was found."""
    core = "" if each.is_core else " (if alone)"
    return f"{each.verdict:<11}{each.row + core:<33}{expected_words(each):<15}{seen_words(each)}"


def expected_words(each: CheckedPrediction) -> str:
    """What a prediction expects, as a number."""
    return EXPECTED_WORDS[each.expected].format(each.threshold)


def seen_words(each: CheckedPrediction) -> str:
    """Estimate with its interval and control, and what would decide it."""
    if each.estimate is None:
        return each.needs
    interval = "" if each.ci_low is None else f" [{each.ci_low:+.3f}, {each.ci_high:+.3f}]"
    control = "" if each.control is None else f", {each.control_words} {each.control:+.3f}"
    needs = f"; {each.needs}" if each.needs else ""
    return f"{each.estimate:+.3f}{interval} {each.quantity}, n {each.n_seeds}{control}{needs}"


def _verdicts(results: Sequence[Result]) -> str:
    """Which hypotheses got which verdict, the supported ones first."""
    parts = []
    for outcome in Outcome:
        named = [each.title for each in results if each.verdict is outcome]
        if named:
            parts.append(f"{outcome}: {', '.join(named)}")
    text = "; ".join(parts)
    return text[0].upper() + text[1:]


def _own_reasons(result: Result) -> list[str]:
    """Why the verdict is what it is, as far as it is about this hypothesis."""
    if result.verdict is Outcome.SUPPORTED and not result.reasons:
        what = "all that would be so if nothing else were at work is so, too"
        return [what] if result.is_alone else ["what it expects if it is alone is not all decided"]
    return list(result.reasons[:MOST_REASONS])


def _shared_reasons(results: Sequence[Result]) -> str:
    """Why the run itself cannot tell, which is the same for all hypotheses."""
    if not results:
        return ""
    gates = results[0].gates
    failed = [f"{gate.name}: {gate.found}" for gate in gates if gate.passed is False]
    unknown = [f"{gate.name}: {gate.found}" for gate in gates if gate.passed is None]
    if failed:
        return f"No hypothesis can be judged by this run, as a gate failed: {'; '.join(failed)}"
    return f"Not to be judged yet: {'; '.join(unknown)}" if unknown else ""
