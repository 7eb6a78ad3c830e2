import numpy as np
import pandas as pd
import pytest

from data.design import Margin
from data.errors import InputError
from interp.hypotheses.checking import Seen, check_prediction, look, seeds_needed, whole_verdict
from interp.hypotheses.freezing import Freeze
from interp.hypotheses.gates import Gate
from interp.hypotheses.hypothesis import Hypothesis, Prediction, alone, core, opposed
from interp.hypotheses.results import CheckedPrediction, Outcome
from interp.hypotheses.row import Expected, Row
from interp.verdicts.quantities import NotMeasured
from tests.interp.hand_made_runs import make_run
from training.statistics import t_interval

MORE, NONE, LESS = Expected.MORE, Expected.NONE, Expected.LESS


def row(values: list[float] | None = None, name: str = "row") -> Row:
    def measure(run: object) -> pd.Series:
        if values is None:
            raise NotMeasured("needs iml probe DIR")
        return pd.Series(dict(enumerate(values)))

    margin = Margin(value=0.25, reason="")
    return Row(id=name, statement="", unit="nats", margin=margin, measure=measure)


def checked(expected: Expected, values: list[float] | None, *, is_core: bool = True):
    prediction = Prediction(row=row(values), expected=expected, because="", is_core=is_core)
    return check_prediction(prediction, look(prediction.row, make_run([]), "file"), "")


FAR, NEAR, OPPOSITE = [0.9, 1.0, 1.1, 1.0], [0.0, 0.02, -0.02, 0.01], [-0.9, -1.0, -1.1, -1.0]
WIDE = [0.9, -0.4, 0.2, 0.5]


@pytest.mark.parametrize(
    ("expected", "values", "verdict"),
    [
        (MORE, FAR, Outcome.SUPPORTED),
        (MORE, NEAR, Outcome.REFUTED),
        (MORE, OPPOSITE, Outcome.REFUTED),
        (MORE, WIDE, Outcome.UNDECIDED),
        (NONE, NEAR, Outcome.SUPPORTED),
        (NONE, FAR, Outcome.REFUTED),
        (NONE, OPPOSITE, Outcome.REFUTED),
        (NONE, WIDE, Outcome.UNDECIDED),
        (LESS, OPPOSITE, Outcome.SUPPORTED),
        (LESS, NEAR, Outcome.REFUTED),
        (LESS, FAR, Outcome.REFUTED),
        (LESS, WIDE, Outcome.UNDECIDED),
        (MORE, [1.0], Outcome.UNDECIDED),
    ],
)
def test_each_verdict_on_a_prediction(
    expected: Expected, values: list[float], verdict: Outcome
) -> None:
    found = checked(expected, values)
    assert found.verdict is verdict
    assert found.estimate == pytest.approx(np.mean(values))
    assert (found.needs != "") == (verdict is Outcome.UNDECIDED)


def test_at_most_one_of_two_opposed_expectations_is_supported() -> None:
    rng = np.random.default_rng(0)
    for mean in np.linspace(-1, 1, 41):
        values = list(mean + 0.2 * rng.normal(size=6))
        verdicts = [checked(expected, values).verdict for expected in Expected]
        assert verdicts.count(Outcome.SUPPORTED) <= 1


@pytest.mark.parametrize("expected", [MORE, NONE])
def test_noise_on_the_threshold_is_seldom_taken_for_support(expected: Expected) -> None:
    """One time in 40 for a side, one in 20 for equivalence, whatever the number of seeds."""
    rng = np.random.default_rng(1)
    for n in (3, 8):
        drawn = 0.25 + 0.1 * rng.normal(size=(200, n))
        verdicts = [checked(expected, list(values)).verdict for values in drawn]
        share = np.mean([verdict is Outcome.SUPPORTED for verdict in verdicts])
        allowed = 0.025 if expected is MORE else 0.05
        assert share < allowed + 2.6 * np.sqrt(allowed * (1 - allowed) / 200)


def test_what_is_missing_is_undecided_and_says_what_it_needs() -> None:
    found = checked(MORE, None)
    assert (found.verdict, found.needs) == (Outcome.UNDECIDED, "needs iml probe DIR")
    assert found.estimate is None
    assert found.n_seeds == 0


@pytest.mark.parametrize("expected", [MORE, NONE])
def test_so_many_seeds_would_decide_and_one_fewer_would_not(expected: Expected) -> None:
    values = np.array([0.1, 0.5, 0.3, 0.5])  # mean .35, sd .1915
    n = seeds_needed(values, expected, 0.25)
    assert n is not None
    scale = values.std(ddof=1) / np.sqrt([n, n - 1])

    def low(n: int, scale: float) -> float:  # of n values with this standard error
        spread = (
            np.resize([1.0, -1.0], n)
            if n % 2 == 0
            else np.array([*np.resize([1.0, -1.0], n - 1), 0.0])
        )
        return t_interval(0.35 + spread / spread.std(ddof=1) * scale * np.sqrt(n))[0]

    assert low(n, scale[0]) > 0.25
    assert low(n - 1, scale[1]) <= 0.25
    assert seeds_needed(np.array([0.2, 0.3]), expected, 0.25) is None  # on the margin


def test_p_is_held_against_what_is_expected() -> None:
    assert checked(MORE, FAR).p_value == 2 / 2**4
    assert checked(NONE, NEAR).p_value == 1 / 2**4
    assert checked(NONE, FAR).p_value == 1.0


PASSED = Gate(name="gap", passed=True, found="")


def whole(
    *predictions: CheckedPrediction, gates: tuple[Gate, ...] = (PASSED,), deviation: str = ""
) -> Outcome:
    frozen = Freeze(time=None, deviation=deviation)
    return whole_verdict(frozen, gates, predictions)[0]


def test_the_whole_is_supported_where_all_core_predictions_are() -> None:
    yes, no, open_ = checked(MORE, FAR), checked(MORE, NEAR), checked(MORE, WIDE)
    if_alone = checked(MORE, NEAR, is_core=False)
    assert whole(yes, yes) is Outcome.SUPPORTED
    assert whole(yes, if_alone) is Outcome.SUPPORTED
    assert whole(yes, no, open_) is Outcome.REFUTED
    assert whole(yes, open_) is Outcome.UNDECIDED
    reasons = whole_verdict(Freeze(time=None), (PASSED,), [yes, if_alone])[1]
    assert reasons == ["not alone: row 0.003, expected above 0.25"]


def test_gates_come_first_and_a_changed_text_before_them() -> None:
    yes = checked(MORE, FAR)
    failed = Gate(name="gap", passed=False, found="0.010 [-0.010, 0.030]")
    unknown = Gate(name="twin", passed=None, found="needs the null twin")
    assert whole(yes, gates=(PASSED, failed)) is Outcome.INADMISSIBLE
    assert whole(yes, gates=(PASSED, unknown)) is Outcome.UNDECIDED
    assert whole(yes, gates=(unknown, failed)) is Outcome.INADMISSIBLE
    assert whole(yes, gates=(failed,), deviation="changed") is Outcome.DEVIATED


def test_a_row_that_raises_is_one_line() -> None:
    def measure(run: object) -> pd.Series:
        return pd.Series({0: [1.0][3]})

    broken = Row(
        id="mine", statement="", unit="", margin=Margin(value=1.0, reason=""), measure=measure
    )
    with pytest.raises(InputError, match=r"own.py has a row 'mine' that raises .*; mend the row"):
        look(broken, make_run([]), "own.py")


def test_a_row_without_values_is_no_guess() -> None:
    assert look(row([float("nan")]), make_run([]), "file") == Seen(
        values={}, needs="no seed has it"
    )
    with pytest.raises(InputError, match="infinite"):
        look(row([float("inf")]), make_run([]), "file")


def test_a_hypothesis_that_nothing_can_refute_is_refused() -> None:
    with pytest.raises(InputError, match="no core prediction"):
        Hypothesis(title="a", statement="", predictions=[alone(row(), MORE, "")])
    with pytest.raises(InputError, match="a row twice"):
        Hypothesis(
            title="a", statement="", predictions=[core(row(), MORE, ""), core(row(), NONE, "")]
        )


def test_opposed_rows_are_those_of_which_two_hypotheses_expect_different_things() -> None:
    def of(**expected: Expected) -> Hypothesis:
        predictions = [core(row(name=name), each, "") for name, each in expected.items()]
        return Hypothesis(title="", statement="", predictions=predictions)

    assert opposed(of(a=MORE, b=NONE, c=MORE), of(a=NONE, b=NONE, d=MORE)) == ["a"]
