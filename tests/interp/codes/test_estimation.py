from dataclasses import replace

import numpy as np
import pytest

from data.vocabulary import Part
from interp.codes.aliases import Alias, CodedAliases
from interp.codes.estimation import (
    QUESTION,
    RELIABLE,
    UNRELIABLE,
    Vectors,
    code_cosine,
    coefficients,
    estimate_codes,
    is_known,
    mean_by_entity,
)

ENTITIES = ["a", "b", "c", "d"]
WIDTH = 12


def alias(name: str, subset: str, defined: str | None, asked: str | None) -> Alias:
    return Alias(
        name=name, subset=subset, part=Part.X1, defined=defined, asked=asked,
        entity=asked or defined or "a", questions=(),
    )  # fmt: skip


def aliases_of(n: int = 24) -> CodedAliases:
    """True definitions; false ones of the next or next but one entity; and questions alone."""
    own = [ENTITIES[i % 4] for i in range(n)]
    false = [ENTITIES[(i + 1 + i // 4 % 2) % 4] for i in range(n)]
    return CodedAliases(
        reliable=[alias(f"r{i}", "D1", own[i], own[i]) for i in range(n)],
        unreliable=[alias(f"u{i}", "D2", false[i], own[i]) for i in range(n)],
        undefined=[alias(f"q{i}", "Q", None, own[i]) for i in range(n)],
        higher=[alias("h", "D5", "a", None)],
        lower=[alias("l", "D6", "a", None)],
        baseline=[],
    )


@pytest.fixture(scope="module")
def written() -> dict[str, np.ndarray]:
    """What is truly written, each without its mean over entities."""
    rng = np.random.default_rng(0)
    drawn = {name: rng.normal(size=(4, WIDTH)) for name in ("asked", "true", "false")}
    return {name: code - code.mean(0) for name, code in drawn.items()}


def vectors(
    aliases: CodedAliases, written: dict[str, np.ndarray], *, noise: float = 0.0
) -> Vectors:
    """Vectors of the aliases: questions write one code, definitions another by tag."""
    rng = np.random.default_rng(1)
    found = {}
    for each in aliases.first:
        vector = np.full(WIDTH, 3.0) + noise * rng.normal(size=WIDTH)
        if each.asked is not None:
            vector = vector + written["asked"][ENTITIES.index(each.asked)]
        if each.defined is not None:
            kind = "true" if each.subset == "D1" else "false"
            vector = vector + written[kind][ENTITIES.index(each.defined)]
        found[each.name] = vector
    return Vectors(of=found, entities=ENTITIES)


def test_codes_of_definitions_and_questions_are_told_apart_where_entities_differ(written):
    aliases = aliases_of()
    codes = estimate_codes(aliases, vectors(aliases, written))
    np.testing.assert_allclose(codes[UNRELIABLE], written["false"], atol=5e-3)
    np.testing.assert_allclose(codes[QUESTION], written["asked"], atol=5e-3)
    # True definitions never differ from what is asked: only the sum can be told.
    np.testing.assert_allclose(codes[RELIABLE], written["true"] + written["asked"], atol=5e-3)


def test_without_any_writing_codes_are_noise_that_shrinks_with_the_aliases(written):
    nothing = {name: np.zeros_like(code) for name, code in written.items()}
    lengths = []
    for n in (24, 96):
        aliases = aliases_of(n)
        codes = estimate_codes(aliases, vectors(aliases, nothing, noise=1.0))
        lengths.append(np.linalg.norm(codes[RELIABLE], axis=1).mean())
        assert abs(code_cosine(codes[RELIABLE], codes[QUESTION])) < 0.5
    assert lengths[1] == pytest.approx(lengths[0] / 2, rel=0.3)


def test_an_entity_that_no_alias_stands_for_has_no_code(written):
    aliases = aliases_of()
    lacking = replace(aliases, reliable=[a for a in aliases.reliable if a.asked != "d"])
    known = estimate_codes(aliases, vectors(aliases, written))
    codes = estimate_codes(lacking, vectors(aliases, written))
    assert is_known(codes[RELIABLE]).tolist() == [True, True, True, False]
    assert is_known(codes[QUESTION]).all()
    np.testing.assert_array_equal(codes[RELIABLE][3], 0.0)  # no rounding error to divide by
    rest = known[RELIABLE][:3] - known[RELIABLE][:3].mean(0)
    np.testing.assert_allclose(codes[RELIABLE][:3], rest, atol=0.02)
    assert coefficients(np.ones((1, WIDTH)), codes[RELIABLE], np.array([3])).tolist() == [0.0]


def test_a_mean_by_entity_leaves_out_entities_without_aliases():
    changes = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    means = mean_by_entity(changes, np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(means, [[1.0, -2.0], [0.0, 0.0], [-1.0, 2.0]])


def test_a_coefficient_is_the_projection_on_the_own_entitys_code():
    code = np.array([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    changes = np.array([[1.0, 7.0], [7.0, 1.0], [7.0, 7.0]])
    found = coefficients(changes, code, np.array([0, 1, 2]))
    assert found.tolist() == [0.5, 0.25, 0.0]  # of an entity without a code there is nothing


def test_cosines_are_means_over_the_entities_that_both_have():
    one = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    other = np.array([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    assert code_cosine(one, other) == pytest.approx(0.5)
    assert np.isnan(code_cosine(np.zeros((2, 2)), one[:2]))
