"""How many questions tell a model that knows nothing of an answer from one that knows something?

A model is shown to be at chance where no more than `TIMES` what guessing would answer can be true
of it: where the exact upper bound (Clopper and Pearson) of the share that it answers lies there.
Even if it answers none of n questions, that bound is 1 - .05^(1/n), so that too few show nothing.
"""

import math

from data.errors import InputError

TIMES = 2.0
"""Up to how many times what guessing answers a share counts as chance."""
RISK = 0.05
"""Of a wrong yes, on one side."""
USUAL_SEEDS = 8
"""Seeds of a run, whose questions are counted together; what `iml run` trains unless told."""


def least_questions(n_answers: int) -> int:
    """The fewest questions of which none answered shows a share of at most twice a guess.

    >>> least_questions(50), least_questions(200)
    (74, 299)
    """
    if n_answers <= TIMES:
        return 1
    return math.ceil(math.log(RISK) / math.log1p(-TIMES / n_answers))


def check_tells_chance(what: str, n_questions: int, n_answers: int) -> None:
    """Refuses held-out questions of which the usual number of seeds holds too few.

    Args:
        what: The parameter that says how many are held out.
        n_questions: Questions of a seed.
        n_answers: Answers that are equally likely to one who guesses.

    Raises:
        InputError: even if none is answered, that could be chance or far from it; says how many
            questions are needed.
    """
    needed = math.ceil(least_questions(n_answers) / USUAL_SEEDS)
    if n_questions < needed:
        raise InputError(
            f"{what} leaves {n_questions} held-out questions a seed, too few to tell from chance "
            f"(1 in {n_answers}) in {USUAL_SEEDS} seeds; hold out {needed} or more"
        )


def check_held_out_share(held_out: float, n_questions: int, n_answers: int) -> None:
    """Refuses a share `held_out` that is none, or that holds too few questions out.

    Args:
        held_out: The share of what could be asked.
        n_questions: Questions of a seed that it makes.
        n_answers: Answers that are equally likely to one who guesses.

    Raises:
        InputError: see `check_tells_chance`; or the share leaves nothing to train or to ask.
    """
    if not 0 < held_out < 1:
        raise InputError(f"held_out is {held_out:g}; use a share between 0 and 1")
    check_tells_chance(f"held_out={held_out:g}", n_questions, n_answers)
