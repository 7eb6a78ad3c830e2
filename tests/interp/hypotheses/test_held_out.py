"""A third tag and seeds among each other, in tables made by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from interp.hypotheses.conditions import condition_lines, conditions_of, differing
from interp.hypotheses.held_out import (
    AMOUNT,
    chance_over_seeds,
    more,
    off_halfway,
    off_the_line,
    over_seeds,
    third_tag,
    third_tag_table,
)
from interp.hypotheses.plots import plot_third_tag
from interp.verdicts.quantities import NotMeasured
from tests.interp.hand_made_runs import make_run
from tests.interp.hypotheses.tables_by_hand import D5, D6, D8, codes_in, nats_of
from training.runs.run import Run

MakeRun = Callable[..., Run]


@pytest.fixture
def made(tmp_path: Path) -> MakeRun:
    """Makes a run whose subsets have these nats and amounts, a value a seed."""

    def make(nats: dict[str, list[float]], amounts: dict[str, list[float]], **parameters) -> Run:
        courses = {name: [[value] * 4 for value in values] for name, values in nats.items()}
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        run = make_run(nats_of(courses), folder, **parameters)
        run = Run(folder=folder, info={"finished": "now", "seeds": list(range(len(nats[D5])))},
                  config=run.config, given_metrics=run.metrics)  # fmt: skip
        codes_in(run, "answer_log_prob", "", nats)
        codes_in(run, "coefficient", "question", amounts)
        return run

    return make


def test_a_third_tag_is_held_against_the_line_through_the_two_others(made: MakeRun) -> None:
    """Amounts .1 and .5: .2 is a quarter of the way, where -3.5 lies between -4 and -2."""
    nats = {D5: [-2.0, -1.9], D6: [-4.0, -3.9], D8: [-3.5, -3.4]}
    run = made(nats, {D5: [0.5, 0.6], D6: [0.1, 0.2], D8: [0.2, 0.3]})
    assert third_tag(run) == D8
    assert off_the_line(run).to_dict() == pytest.approx({0: 0.0, 1: 0.0})
    assert off_halfway(run).to_dict() == pytest.approx({0: -0.25, 1: -0.25})
    off = made(nats | {D8: [-2.0, -1.9]}, {D5: [0.5, 0.6], D6: [0.1, 0.2], D8: [0.2, 0.3]})
    assert off_the_line(off).to_dict() == pytest.approx({0: 0.75, 1: 0.75})


def test_without_a_line_or_a_third_tag_nothing_is_predicted(made: MakeRun) -> None:
    nats = {D5: [-2.0, -1.9], D6: [-4.0, -3.9], D8: [-3.5, -3.4]}
    alike = made(nats, {D5: [0.5, 0.1], D6: [0.1, 0.5], D8: [0.2, 0.3]})
    with pytest.raises(NotMeasured, match="needs D5 and D6 to differ in coefficient"):
        off_the_line(alike)
    two = {name: values for name, values in nats.items() if name != D8}
    with pytest.raises(NotMeasured, match="needs D8_CONS: iml codes DIR"):
        off_the_line(made(two, {D5: [0.5, 0.6], D6: [0.1, 0.2]}))
    bare = make_run(nats_of({D5: [[-1.0]], D6: [[-2.0]]}), alike.folder.parent)
    with pytest.raises(NotMeasured, match="needs iml codes DIR"):
        off_the_line(bare)


def of_seeds(made: MakeRun, gaps: np.ndarray, amounts: np.ndarray, **parameters) -> Run:
    """D6 stays where it is, and D5 has what it is to have more."""
    none = [0.0] * len(gaps)
    return made({D5: list(gaps), D6: none}, {D5: list(amounts), D6: none}, **parameters)


def test_pseudo_values_are_those_of_the_jackknife(made: MakeRun) -> None:
    rng = np.random.default_rng(0)
    amounts = rng.normal(size=12)
    gaps = 3 + amounts + 0.3 * rng.normal(size=12)
    values = over_seeds(more(AMOUNT))(of_seeds(made, gaps, amounts)).to_numpy()
    whole = np.corrcoef(gaps, amounts)[0, 1]
    without = [np.corrcoef(np.delete(gaps, i), np.delete(amounts, i))[0, 1] for i in range(12)]
    assert values.mean() == pytest.approx(whole)
    error = np.sqrt(11 / 12 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert values.std(ddof=1) / np.sqrt(12) == pytest.approx(error)  # Efron's
    with pytest.raises(NotMeasured, match="at least 6 seeds"):
        over_seeds(more(AMOUNT))(of_seeds(made, gaps[:5], amounts[:5]))
    with pytest.raises(NotMeasured, match="seeds that differ"):
        over_seeds(more(AMOUNT))(of_seeds(made, gaps, np.ones(12)))


def test_seeds_that_have_nothing_in_common_stay_below_chance(made: MakeRun) -> None:
    rng = np.random.default_rng(1)
    run = of_seeds(made, 3 + rng.normal(size=40), rng.normal(size=40))
    chance = float(chance_over_seeds(more(AMOUNT))(run).mean())
    assert chance == pytest.approx(1.96 / np.sqrt(39), abs=0.02)  # the normal's, of 40 pairs
    assert abs(over_seeds(more(AMOUNT))(run).mean()) < chance


def test_the_first_runs_line_predicts_the_gaps_of_the_others(made: MakeRun) -> None:
    """4 nats for .2 of the code: where .1 is written, 2 nats are expected."""
    rng = np.random.default_rng(2)

    def noise() -> np.ndarray:
        return 0.01 * rng.normal(size=8)

    first = of_seeds(made, 4 + noise(), 0.2 + noise() / 20)
    half = of_seeds(made, 2 + noise(), 0.1 + noise() / 20, alpha=0.8)
    as_before = of_seeds(made, 4 + noise(), 0.1 + noise() / 20, entities=100)
    found, other = conditions_of([first, half, as_before])
    assert (found.name, other.name) == ("alpha=0.8", "entities=100")
    code, alignment, same = found.predicted
    assert code.value == pytest.approx(2.0, abs=0.05)
    assert code.off_low < 0 < code.off_high
    assert code.ci_low < code.value < code.ci_high
    assert "iml align" in alignment.needs
    assert same.value == pytest.approx(4.0, abs=0.02)
    assert same.off_low > 1.9
    wrong = other.predicted[0]
    assert wrong.off_high < -1.9
    lines = condition_lines([found, other])
    assert lines[0].startswith("alpha=0.8: gap +2.0")
    assert "undecided: run iml align" in lines[2]
    assert lines[5].endswith("which is not 0")
    assert differing(first, first) == "seeds 0 to 7"


def test_the_figure_of_a_third_tag_has_its_means_and_the_line_of_the_two_others(
    made: MakeRun,
) -> None:
    nats = {D5: [-2.0, -1.9], D6: [-4.0, -3.9], D8: [-3.5, -3.4]}
    table = third_tag_table(made(nats, {D5: [0.5, 0.6], D6: [0.1, 0.2], D8: [0.2, 0.3]}))
    assert len(table) == 6
    line, *marks, halfway = plot_third_tag(table).data
    slope = (line.y[1] - line.y[0]) / (line.x[1] - line.x[0])
    assert slope == pytest.approx(5.0)
    means = {mark.name: (mark.x[0], mark.y[0]) for mark in marks if mark.showlegend}
    assert means["D8"] == pytest.approx((0.25, -3.45))
    assert (halfway.x[0], halfway.y[0]) == pytest.approx((0.25, -2.95))


def test_a_condition_without_a_gap_is_told_and_not_guessed(made: MakeRun) -> None:
    first = of_seeds(made, np.array([4.0, 4.1]), np.array([0.2, 0.21]))
    lacking = make_run(nats_of({D5: [[-1.0] * 4]}), first.folder.parent, alpha=0.8)
    (found,) = conditions_of([first, lacking])
    assert condition_lines([found]) == ["alpha=0.8: undecided: no D6_CONS"]
