"""Too few held-out questions are refused, and the message says how many are needed."""

import pytest

from data.chance import RISK, TIMES, check_tells_chance, least_questions
from data.errors import InputError


@pytest.mark.parametrize("n_answers", [3, 20, 50, 200, 802])
def test_none_answered_of_the_fewest_questions_is_at_most_twice_a_guess_and_of_one_less_is_not(
    n_answers: int,
) -> None:
    n, limit = least_questions(n_answers), TIMES / n_answers
    assert 1 - RISK ** (1 / n) <= limit < 1 - RISK ** (1 / (n - 1))


def test_a_held_out_set_that_shows_nothing_is_refused_with_the_size_that_would() -> None:
    check_tells_chance("held_out=0.3", 38, 200)  # 8 seeds of 38 are 304, of which 299 are needed
    with pytest.raises(InputError, match=r"held_out=0.1 leaves 37 .* hold out 38 or more"):
        check_tells_chance("held_out=0.1", 37, 200)
