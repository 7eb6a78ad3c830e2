"""What guessing scores: the level that exact match and log-probability are held against."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from statistics import fmean

from data.rows import Row
from data.tokens import TokenizedRow
from data.vocabulary import Family, Kind, Split
from training.runs.run import Run


def guessing(run: Run) -> dict[str, float]:
    """What a guess scores that knows the question, but not the alias, by headline metric.

    In a toy all values of an attribute are as likely, and the guess is uniform. Elsewhere it is the
    best one: for exact match the commonest answer to each question, for log-probability (nats) the
    distribution of its answers, among the held-out questions of the run's first seed. Empty if
    there are none.
    """
    n_values = run.design.n_answers or run.config.parameters.get("values")
    if isinstance(n_values, int):
        return {"exact_match": 1 / n_values, "answer_log_prob": -math.log(n_values)}
    return best_guess(held_out_answers(run.config.data.build(run.seeds[0]).rows))


def held_out_answers(rows: Sequence[Row]) -> list[tuple[Hashable, Hashable]]:
    """The questions about attributes of aliases that no stage trains, each with its answer."""
    return [
        (row.question, row.rendered.answer)
        for row in rows
        if row.kind is Kind.QA
        and row.family is Family.ATTRIBUTE
        and row.split is Split.TEST
        and row.alias is not None
    ]


def question_only(rows: Sequence[TokenizedRow]) -> float:
    """Mean log-probability of the best guess that knows the question, but not the alias.

    What is guessed is the answer's first token, as the lenses read. For each question the guess is
    the distribution of those tokens among the questions that were never trained, which no guess
    beats on average. NaN without such questions.
    """
    asked = [each for each in rows if each.row.is_evaluated and each.row.alias is not None]
    firsts = [(each.row.question, each.input_ids[each.answer_positions[0]]) for each in asked]
    return best_guess(firsts).get("answer_log_prob", math.nan)


def guess_of(run: Run) -> float:
    """What knowing the question alone gives, in nats; see `question_only`."""
    return fmean(question_only(run.tokenized_rows(seed)) for seed in run.seeds)


def best_guess(asked: Sequence[tuple[Hashable, Hashable]]) -> dict[str, float]:
    """What the best guess scores over questions and their answers; empty without any."""
    if not asked:
        return {}
    totals, commonest, log_prob = Counter(question for question, _ in asked), Counter(), 0.0
    for (question, _), n in Counter(asked).items():
        commonest[question] = max(commonest[question], n)
        log_prob += n * math.log(n / totals[question])
    return {
        "exact_match": commonest.total() / len(asked),
        "answer_log_prob": log_prob / len(asked),
    }


def guessing_words(run: Run) -> str:
    """What a report says that guessing means."""
    if run.design.n_answers:
        return f"Guessing means to answer one of {run.design.n_answers} answers at random."
    if "values" in run.config.parameters:
        return "Guessing means to answer one of the values of the attribute at random."
    return (
        "Guessing means to know the question, but not the alias: the commonest answer to each "
        "question, or in nats the distribution of its answers (held-out questions of one seed)."
    )
