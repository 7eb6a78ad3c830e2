"""Changes put together by hand: each part is where it was put, and edits exchange just that."""

import numpy as np
import pytest

from interp.hypotheses.alias_changes import Aliases, ChangePair, Changes, amounts, apartness

N_ENTITIES, N_ALIASES, WIDTH = 3, 4, 12
ENTITIES = tuple("abc")


def changes(codes: np.ndarray, constant: np.ndarray | None = None, noise: float = 0.0) -> Changes:
    """Every alias of an entity has the entity's code, a constant, and noise of its own."""
    entities = tuple(entity for entity in ENTITIES for _ in range(N_ALIASES))
    rng = np.random.default_rng(int(1000 * noise))
    added = np.repeat(codes, N_ALIASES, axis=0) + noise * rng.normal(size=(12, WIDTH))
    if constant is not None:
        added = added + constant
    names = tuple(f"alias {i}" for i in range(len(entities)))
    aliases = Aliases(names=names, tokens=tuple(range(12)), entities=entities)
    return Changes(aliases=aliases, added=added, entities=ENTITIES)


def code(first: int, size: float = 1.0) -> np.ndarray:
    """Codes of three entities that sum to zero, in the plane of two axes."""
    angles = 2 * np.pi * np.arange(N_ENTITIES) / N_ENTITIES
    found = np.zeros((N_ENTITIES, WIDTH))
    found[:, first], found[:, first + 1] = size * np.cos(angles), size * np.sin(angles)
    return found


def after(side: Changes, edit: np.ndarray) -> np.ndarray:
    """The mean change of each entity, the constant included, after an edit."""
    return (side.added + edit).reshape(N_ENTITIES, N_ALIASES, WIDTH).mean(1)


def edits(pair: ChangePair) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return pair.edits(np.random.default_rng(0))


def test_codes_apart_are_turned_and_nothing_else_is_exchanged() -> None:
    pair = ChangePair(higher=changes(code(0)), lower=changes(code(2)))
    assert apartness(pair) == pytest.approx(1)
    assert pair.lengths == pytest.approx((1, 1))
    found = edits(pair)
    np.testing.assert_allclose(after(pair.lower, found["direction"][1]), code(0), atol=1e-12)
    np.testing.assert_allclose(after(pair.higher, found["direction"][0]), code(2), atol=1e-12)
    np.testing.assert_allclose(found["length"][1], 0, atol=1e-12)
    np.testing.assert_allclose(found["constant"][1], 0, atol=1e-12)
    other = after(pair.lower, found["direction_other"][1])
    assert all(np.abs(other - code(0)).sum(1) > 1)  # each has the code of another entity
    np.testing.assert_allclose(np.sort(other @ code(0).T, axis=1)[:, -1], 1)


def test_less_of_one_code_is_made_longer_and_nothing_is_turned() -> None:
    pair = ChangePair(higher=changes(code(0)), lower=changes(code(0, 0.4)))
    assert apartness(pair) == pytest.approx(0, abs=1e-12)
    assert pair.sizes == pytest.approx((1, 0.4))
    found = edits(pair)
    np.testing.assert_allclose(after(pair.lower, found["length"][1]), code(0), atol=1e-12)
    np.testing.assert_allclose(after(pair.higher, found["length"][0]), code(0, 0.4), atol=1e-12)
    np.testing.assert_allclose(found["direction"][1], 0, atol=1e-12)


def test_a_definition_in_two_places_is_worth_their_sum() -> None:
    pair = ChangePair(higher=changes(code(0)), lower=changes(code(0, 0.4) + code(2, 0.3)))
    assert pair.lengths == pytest.approx((1, 0.7))
    found = edits(pair)
    turned = after(pair.lower, found["direction"][1])
    np.testing.assert_allclose(turned, code(0, 0.7), atol=1e-12)
    longer = after(pair.lower, found["length"][1])
    np.testing.assert_allclose(longer, code(0, 0.4 / 0.7) + code(2, 0.3 / 0.7), atol=1e-12)
    assert apartness(pair) == pytest.approx(1 - 0.4 / 0.5)


def test_a_constant_is_exchanged_alone_and_all_parts_together_are_the_whole() -> None:
    constant = np.eye(WIDTH)[8]
    pair = ChangePair(higher=changes(code(0), constant), lower=changes(code(2)))
    found = edits(pair)
    np.testing.assert_allclose(pair.constant, constant, atol=1e-12)
    moved = after(pair.lower, found["constant"][1])
    np.testing.assert_allclose(moved, code(2) + constant, atol=1e-12)
    whole = after(pair.lower, found["all"][1])
    np.testing.assert_allclose(whole, code(0) + constant, atol=1e-12)


def test_noise_is_not_taken_for_another_code() -> None:
    """Of one code with noise, only what is not noise is turned; uncorrected it would be a third."""
    pairs = [
        ChangePair(higher=changes(code(0), noise=0.201 + i / 1000),
                   lower=changes(code(0), noise=0.301 + i / 1000))
        for i in range(30)
    ]  # fmt: skip
    assert abs(np.mean([apartness(pair) for pair in pairs])) < 0.05
    along = [
        (after(pair.lower, edits(pair)["direction"][1]) * code(0)).sum(1).mean() for pair in pairs
    ]
    assert np.mean(along) == pytest.approx(1, abs=0.2)


def test_each_alias_keeps_what_is_its_own() -> None:
    pair = ChangePair(higher=changes(code(0), noise=0.1), lower=changes(code(2), noise=0.11))
    for edit in edits(pair).values():
        for side, each in zip((pair.higher, pair.lower), edit, strict=True):
            own, before = (
                added.reshape(N_ENTITIES, N_ALIASES, WIDTH)
                for added in (side.added + each, side.added)
            )
            own, before = (rows - rows.mean(1, keepdims=True) for rows in (own, before))
            np.testing.assert_allclose(own, before, atol=1e-12)


def test_amounts_are_coefficients_on_the_own_entity() -> None:
    side = changes(code(0, 0.6) + code(2))
    codes = dict(zip(ENTITIES, code(0, 2.0), strict=True))
    np.testing.assert_allclose(amounts(side, codes), 0.3)
    assert np.isnan(amounts(side, {"a": codes["a"]})[-1])
