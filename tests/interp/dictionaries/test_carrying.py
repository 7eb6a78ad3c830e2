"""Which feature carries a class: by hand, planted, and where nothing is to be found."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from data.tokens import TokenizedRow
from interp.dictionaries.aliases import Share, deal_aliases, questions_about, training_rows
from interp.dictionaries.carrying import ALIAS, SIDE, Labels, auroc, carried, labels_of
from training.designs import design_of_rows


def test_auroc_by_hand_and_by_another_program():
    codes = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    classes = np.array([1, 1, 0, 0])
    # Of the first: 3 beats 2 and 0, 1 beats 0; of the second: a tie and a loss, twice.
    np.testing.assert_allclose(auroc(codes, classes, [1]), [[0.75, 0.25]])
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (30, 4)).astype(float)
    classes = rng.integers(0, 2, 30)
    n_pairs = (classes == 1).sum() * (classes == 0).sum()
    known = [
        mannwhitneyu(codes[classes == 1, f], codes[classes == 0, f]).statistic / n_pairs
        for f in range(4)
    ]
    np.testing.assert_allclose(auroc(codes, classes, [1])[0], known)


def made_up(rng: np.random.Generator, shift: float) -> tuple[np.ndarray, Labels]:
    """Codes of 400 vectors of which feature 7 is larger for class 1."""
    classes = rng.integers(0, 2, 400)
    codes = np.maximum(rng.normal(size=(400, 40)), 0)
    codes[:, 7] = np.maximum(rng.normal(size=400) + shift * classes, 0)
    return codes, Labels(target="tag", classes=classes, reports=np.arange(400) % 2 == 0)


def test_a_planted_feature_is_chosen_and_its_absence_is_chance():
    rng = np.random.default_rng(0)
    codes, labels = made_up(rng, shift=2.0)
    found = carried(codes, labels, rng)
    assert found is not None
    assert 7 in found.chosen
    assert found.auroc > 0.7  # the mean with the best feature of the other class
    assert found.control == pytest.approx(0.5, abs=0.05)

    # 60 times nothing: choosing the largest of 40 on one half shows nothing on the other.
    values = [carried(*made_up(rng, shift=0.0), rng) for _ in range(60)]
    differences = np.array([each.auroc - each.control for each in values if each is not None])
    error = differences.std(ddof=1) / len(differences) ** 0.5
    assert abs(differences.mean()) < 3.5 * error
    assert error < 0.01


def test_what_no_half_has_enough_of_is_left_out():
    rng = np.random.default_rng(0)
    codes, labels = made_up(rng, shift=1.0)
    rare = np.where(np.arange(400) < 4, 1, 0)
    few = Labels(target="tag", classes=rare, reports=labels.reports)
    assert carried(codes, few, rng) is None
    assert carried(np.zeros((400, 3)), labels, rng) is None


def test_aliases_are_dealt_once_within_each_subset(toy_rows):
    rows: list[TokenizedRow] = toy_rows()
    shares = deal_aliases(rows, 0)
    of_subset: dict[str, set[str]] = {}
    for row in rows:
        if row.row.alias is not None:
            of_subset.setdefault(row.row.subset.name, set()).add(row.row.alias)
    for name, aliases in of_subset.items():
        counts = [sum(shares[alias] is share for alias in aliases) for share in Share]
        quarter = len(aliases) // 4
        assert counts == [len(aliases) - 2 * quarter, quarter, quarter], name
    assert shares == deal_aliases(rows[::-1], 0)
    assert shares != deal_aliases(rows, 1)

    trained = {row.row.alias for row in training_rows(rows, shares)}
    for share in (Share.CHOICE, Share.REPORT):
        asked = questions_about(rows, shares, share)
        assert asked
        assert all(row.row.is_evaluated for row in asked)
        assert not trained & {row.row.alias for row in asked}
    assert any(row.row.alias is None for row in training_rows(rows, shares))


def test_labels_are_the_designs_and_halves_are_of_aliases(toy_rows):
    rows: list[TokenizedRow] = toy_rows()
    shares, design = deal_aliases(rows, 0), design_of_rows(rows)
    asked = [
        row
        for share in (Share.CHOICE, Share.REPORT)
        for row in questions_about(rows, shares, share, trained=True)
    ]
    found = {each.target: each for each in labels_of(asked, shares, design, design.main, seed=0)}
    # `consistent` cannot be told from the tag here, and is left out.
    assert set(found) == {SIDE, "tag", "defined", "stage", "entity", "phantom_tag", ALIAS}
    for name, labels in found.items():
        if name != ALIAS:
            of_alias = [shares[str(row.row.alias)] is Share.REPORT for row in asked]
            assert labels.reports.tolist() == of_alias
    for row, side in zip(asked, found[SIDE].classes.tolist(), strict=True):
        names = design.main.names
        assert side == (names.index(row.row.subset.name) if row.row.subset.name in names else -1)
    # Of an alias, questions are halved.
    of_alias = found[ALIAS]
    for number in set(of_alias.classes.tolist()):
        reports = of_alias.reports[of_alias.classes == number]
        assert reports.sum() == len(reports) // 2
