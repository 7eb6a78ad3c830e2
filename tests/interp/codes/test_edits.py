import numpy as np
import pytest

from interp.codes.edits import Changes, by_rank, edits_of
from interp.codes.estimation import QUESTION, RELIABLE, UNRELIABLE, coefficients

N = 6
NUMBERS = np.array([0, 1, 2, 0, 1, 2])
IS_HIGHER = np.array([True] * 3 + [False] * 3)


@pytest.fixture(scope="module")
def codes() -> dict[str, np.ndarray]:
    """Two codes at right angles, of lengths 2 and 1; questions have the first."""
    first = np.concatenate([2 * np.eye(3), np.zeros((3, 3))], axis=1)
    second = np.concatenate([np.zeros((3, 3)), np.eye(3)], axis=1)
    return {RELIABLE: first, UNRELIABLE: second, QUESTION: first}


def changes(codes: dict[str, np.ndarray], first: list[float], second: list[float]) -> Changes:
    """Changes with these amounts of the two codes, and a rest that is in neither."""
    own = np.array(first)[:, None] * codes[RELIABLE][NUMBERS]
    own += np.array(second)[:, None] * codes[UNRELIABLE][NUMBERS]
    rest = np.roll(codes[UNRELIABLE], 1, axis=0)[NUMBERS] * 0.1
    return Changes(
        vectors=own + rest, numbers=NUMBERS, swapped=(NUMBERS + 1) % 3, is_higher=IS_HIGHER
    )


def amounts(codes: dict[str, np.ndarray], found: Changes, edit: str) -> np.ndarray:
    """Amounts of both codes after an edit along the first."""
    code = codes[RELIABLE]
    after = found.vectors + edits_of(RELIABLE, codes, found)[edit].additions(code, found)
    return np.array([coefficients(after, codes[c], NUMBERS) for c in (RELIABLE, UNRELIABLE)])


def test_amounts_are_taken_out_added_and_exchanged_by_rank(codes):
    found = changes(codes, [0.9, 0.8, 1.0, 0.1, 0.3, 0.2], [0.0] * 6)
    assert amounts(codes, found, "take")[0] == pytest.approx(np.zeros(6))
    added = np.array([1.8, 1.7, 1.9, 1.0, 1.2, 1.1])
    assert amounts(codes, found, "add")[0] == pytest.approx(added)
    exchanged = np.array([0.2, 0.1, 0.3, 0.8, 1.0, 0.9])
    assert amounts(codes, found, "exchange")[0] == pytest.approx(exchanged)
    equal = np.array([0.55, 0.45, 0.65, 0.45, 0.65, 0.55])
    assert amounts(codes, found, "equal")[0] == pytest.approx(equal)


def test_everything_else_of_a_change_is_kept(codes):
    found = changes(codes, [0.9, 0.8, 1.0, 0.1, 0.3, 0.2], [0.5] * 6)
    for edit in ("take", "add", "equal", "exchange"):
        added = edits_of(RELIABLE, codes, found)[edit].additions(codes[RELIABLE], found)
        own = codes[RELIABLE][NUMBERS]
        along = (added * own).sum(1, keepdims=True) / (own**2).sum(1, keepdims=True) * own
        np.testing.assert_allclose(added, along, atol=1e-12)


def test_a_swap_gives_another_entitys_code_in_the_same_amount(codes):
    found = changes(codes, [0.9, 0.8, 1.0, 0.1, 0.3, 0.2], [0.0] * 6)
    added = edits_of(RELIABLE, codes, found)["swap"].additions(codes[RELIABLE], found)
    after = found.vectors + added
    assert coefficients(after, codes[RELIABLE], NUMBERS) == pytest.approx(np.zeros(6))
    given = coefficients(after, codes[RELIABLE], found.swapped)
    assert given == pytest.approx([0.9, 0.8, 1.0, 0.1, 0.3, 0.2])


def test_a_turn_exchanges_where_a_subset_writes_and_keeps_how_much(codes):
    # Lengths: 2 in the first code against 1 in the second: as much, in another place.
    found = changes(codes, [1.0] * 3 + [0.0] * 3, [0.0] * 3 + [2.0] * 3)
    first, second = amounts(codes, found, "turn")
    assert first == pytest.approx([0.0] * 3 + [1.0] * 3)
    assert second == pytest.approx([2.0] * 3 + [0.0] * 3)


def test_a_turn_leaves_what_differs_in_strength_alone(codes):
    found = changes(codes, [1.0] * 3 + [0.4] * 3, [0.0] * 6)
    edit = edits_of(RELIABLE, codes, found)["turn"]
    np.testing.assert_allclose(edit.additions(codes[RELIABLE], found), 0.0, atol=1e-12)


def test_the_unreliable_tags_code_has_no_turn_out_of_itself(codes):
    found = changes(codes, [1.0] * 6, [0.0] * 6)
    assert "turn" not in edits_of(UNRELIABLE, codes, found)
    assert "turn" in edits_of(QUESTION, codes, found)


def test_other_values_come_by_rank_also_where_counts_differ():
    own, other = np.array([5.0, 1.0]), np.array([0.0, 1.0, 2.0, 3.0])
    assert by_rank(own, other).tolist() == [2.5, 0.5]
