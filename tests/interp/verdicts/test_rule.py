import numpy as np
import pytest

from data.design import Margin
from data.tasks.iml import D5_CONS, D6_CONS
from interp.verdicts.claim import Claim, Side
from interp.verdicts.quantities import gap
from interp.verdicts.rule import Word, judge


def claim(*, side: Side = Side.ABOVE, threshold: float = 0.0, margin: float | None = None) -> Claim:
    return Claim(
        id="X1",
        statement="",
        paper="",
        measure=gap(D5_CONS, D6_CONS),
        side=side,
        threshold=threshold,
        margin=None if margin is None else Margin(value=margin, reason=""),
    )


# [1, 2, 3] has the mean 2 and the 95% interval 2 ± 4.303 / sqrt(3) = [-.484, 4.484].
@pytest.mark.parametrize(
    ("values", "side", "threshold", "word"),
    [
        ([1.0, 2.0, 3.0], Side.ABOVE, 0.0, Word.UNDECIDED),
        ([1.0, 2.0, 3.0], Side.ABOVE, -0.5, Word.HOLDS),
        ([1.0, 2.0, 3.0], Side.ABOVE, 4.5, Word.FAILS),
        ([2.0, 3.0, 4.0], Side.ABOVE, 0.0, Word.HOLDS),
        ([2.0, 3.0, 4.0], Side.BELOW, 0.0, Word.FAILS),
        ([-2.0, -3.0, -4.0], Side.BELOW, 0.0, Word.HOLDS),
        ([-2.0, -3.0, -4.0], Side.ABOVE, 0.0, Word.FAILS),
        ([0.0, 0.0, 0.0], Side.ABOVE, 0.0, Word.UNDECIDED),
        ([5.0], Side.ABOVE, 0.0, Word.UNDECIDED),
    ],
)
def test_a_directional_claim(values: list[float], side: Side, threshold: float, word: Word):
    assert judge(claim(side=side, threshold=threshold), values) is word


# The 90% interval of [1, 2, 3] is 2 ± 2.920 / sqrt(3) = [.314, 3.686].
@pytest.mark.parametrize(
    ("values", "margin", "word"),
    [
        ([1.0, 2.0, 3.0], 3.7, Word.HOLDS),
        ([1.0, 2.0, 3.0], 3.6, Word.UNDECIDED),
        ([2.0, 3.0, 4.0], 0.4, Word.FAILS),  # 95%: [.516, 5.484]
        ([2.0, 3.0, 4.0], 0.6, Word.UNDECIDED),
        ([-2.0, -3.0, -4.0], 0.4, Word.FAILS),
        ([0.0], 1.0, Word.UNDECIDED),
    ],
)
def test_a_claim_of_no_effect(values: list[float], margin: float, word: Word):
    assert judge(claim(margin=margin), values) is word


def test_without_an_effect_each_wrong_verdict_is_as_rare_as_the_interval_says():
    draws = np.random.default_rng(0).normal(size=(1200, 8))

    words = [judge(claim(), row) for row in draws]

    for word in (Word.HOLDS, Word.FAILS):
        assert words.count(word) / len(words) == pytest.approx(0.025, abs=0.01)


def test_an_effect_at_the_margin_is_called_none_at_most_one_time_in_twenty():
    draws = np.random.default_rng(1).normal(loc=0.5, scale=0.3, size=(1200, 8))

    words = [judge(claim(margin=0.5), row) for row in draws]

    assert 0.03 < words.count(Word.HOLDS) / len(words) < 0.06
    assert words.count(Word.FAILS) / len(words) < 0.035
