"""Is a model at chance? An exact upper bound of the share of questions that it answers.

Questions of all seeds count together, and the bound is that of Clopper and Pearson: the largest
share under which so few answers, or fewer, have a probability of 5%. A t interval over seeds would
be of no width where no seed answers anything.
"""

from dataclasses import dataclass

from data.chance import RISK, TIMES, least_questions
from data.design import Subset
from data.vocabulary import HELD_OUT
from interp.verdicts.quantities import NotMeasured
from interp.verdicts.rule import Word
from training.runs.run import Run
from training.summary import end_of_stage


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How many questions were answered, with the exact bound of their share."""

    hits: int
    n: int
    upper: float
    """Exact one-sided 95% upper bound of the share."""
    lower: float
    """Exact one-sided 95% lower bound."""
    limit: float
    """Up to what a share counts as chance: twice what guessing answers."""

    @property
    def word(self) -> Word:
        """Whether a claim of chance holds."""
        if self.upper <= self.limit:
            return Word.HOLDS
        return Word.FAILS if self.lower > self.limit else Word.UNDECIDED

    @property
    def words(self) -> str:
        """What was found, for the terminal and the report."""
        return (
            f"{self.hits} of {self.n} questions, at most {self.upper:.4f} at 95% (exact), to be at "
            f"most {self.limit:.4f}"
        )


def bounds(hits: int, n: int) -> tuple[float, float]:
    """Exact one-sided 95% bounds of a share, lower and upper (Clopper and Pearson).

    >>> [round(bound, 4) for bound in bounds(0, 480)]
    [0.0, 0.0062]
    """
    from scipy.special import betaincinv

    lower = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, RISK))
    upper = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1 - RISK))
    return lower, upper


def answered(run: Run, subset: Subset) -> Answered:
    """How many held-out questions about a subset a run answers, over all of its seeds.

    Stage-2 seeds answer the same questions and count as one another's repeats: each hit counts as
    its mean over them.

    Raises:
        NotMeasured: the run has no such questions, does not say what a guess answers, or asks too
            few to tell its answers from chance.
    """
    n_answers = run.design.n_answers
    if not n_answers:
        raise NotMeasured("the design does not say how many answers a guess chooses from")
    rows = run.metrics
    rows = rows.loc[(rows["subset"] == subset.name) & (rows["metric"] == "exact_match")]
    rows = end_of_stage(rows, run.config.schedule.read_at(subset.part), HELD_OUT)
    if rows.empty:
        raise NotMeasured(f"no held-out questions about {subset.name}")
    shares: list[float] = rows.groupby("seed")["value"].mean().tolist()
    asked: list[int] = rows.groupby("seed")["n"].first().tolist()
    n = int(sum(asked))
    if n < (needed := least_questions(n_answers)):
        raise NotMeasured(
            f"{n} questions cannot tell from chance (1 in {n_answers}); ask {needed} or more, in "
            "more seeds"
        )
    hits = round(sum(share * each for share, each in zip(shares, asked, strict=True)))
    lower, upper = bounds(hits, n)
    return Answered(hits=hits, n=n, lower=lower, upper=upper, limit=TIMES / n_answers)
