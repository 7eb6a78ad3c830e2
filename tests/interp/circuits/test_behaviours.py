from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.circuits.ablated import AblatedRows
from interp.circuits.behaviours import (
    Behaviour,
    BehaviourKind,
    behaviours_of,
    halves,
    is_trained,
    measured_behaviours,
    said_rows,
    thinned,
)
from interp.circuits.units import units_of
from interp.hooked.answers import batch_answers
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from tests.interp.circuits.toys import folded
from training.recipes import find_recipe

ToyRows = Callable[..., list[TokenizedRow]]
DESIGN = find_recipe("alias-toy")().design
ANSWER, RECITE = BehaviourKind


@pytest.fixture(scope="module")
def rows(toy_rows: ToyRows) -> list[TokenizedRow]:
    return folded(toy_rows())


def test_circuits_are_sought_for_the_compared_subsets_and_the_trained_answers() -> None:
    assert [each.name(DESIGN) for each in behaviours_of(DESIGN, DESIGN.main)] == [
        *("answer D1", "answer D5", "answer D6", "recite D5", "recite D6")
    ]
    first = DESIGN.contrast("stage1_gap")
    assert [each.name(DESIGN) for each in behaviours_of(DESIGN, first)] == [
        *("answer D1", "answer D2", "recite D1", "recite D2")
    ]


def test_a_behaviour_has_its_held_out_questions_or_its_trained_definitions(
    rows: list[TokenizedRow],
) -> None:
    asked = Behaviour(kind=ANSWER, subset="D5_CONS").rows(rows)
    stated = Behaviour(kind=RECITE, subset="D5_CONS").rows(rows)
    assert (len(asked), len(stated)) == (6 * 3, 6)
    assert all(row.row.question and row.row.subset.name == "D5_CONS" for row in asked)
    assert all(row.row.question is None for row in stated)


def test_circuits_are_matched_on_what_was_trained_and_never_on_what_is_compared(
    rows: list[TokenizedRow],
) -> None:
    there = measured_behaviours(DESIGN, rows)
    matched_on = [each.measured for each in there if is_trained(each, DESIGN, DESIGN.main)]
    assert matched_on == [
        *("D1_CONS_QA1", "D2_INCONS_QA2", "QA3", "recite D1_CONS_QA1", "recite D2_INCONS_QA2")
    ]
    assert {"D5_CONS", "D6_CONS", "QA7_UNSEEN", "recite D5_CONS"} <= {e.measured for e in there}


def test_halves_share_no_alias_and_are_the_same_for_the_same_seed(rows: list[TokenizedRow]) -> None:
    of_subset = Behaviour(kind=ANSWER, subset="D1_CONS_QA1").rows(rows)
    one, other = halves(of_subset, limit=None, seed=3)
    assert not {row.row.alias for row in one} & {row.row.alias for row in other}
    assert {row.row.row_id for row in (*one, *other)} == {row.row.row_id for row in of_subset}
    assert halves(of_subset, limit=None, seed=3) == (one, other)
    assert halves(of_subset, limit=None, seed=4) != (one, other)


def test_too_few_aliases_for_two_halves_are_refused(rows: list[TokenizedRow]) -> None:
    with pytest.raises(InputError, match=r"D5_CONS has 6 aliases, too few .* at least 10"):
        halves(Behaviour(kind=ANSWER, subset="D5_CONS").rows(rows), limit=None, seed=0)


def test_a_limit_keeps_as_many_aliases_and_questions_as_can_be(rows: list[TokenizedRow]) -> None:
    of_subset = Behaviour(kind=ANSWER, subset="D5_CONS").rows(rows)
    kept = thinned(of_subset, 9)
    assert len({row.row.alias for row in kept}) == 6
    assert len({row.row.question for row in kept}) == 3
    assert len(kept) == len({row.row.row_id for row in kept}) == 9


def test_what_is_said_is_what_greedy_decoding_gives(
    any_model: HookedModel, rows: list[TokenizedRow]
) -> None:
    asked = [row for row in rows if row.row.is_evaluated][:12]
    # An answer of two tokens, the second of which follows what was said, not what is right.
    longer = [
        replace(
            row,
            input_ids=(*row.input_ids, 7),
            answer_positions=(*row.answer_positions, len(row.input_ids)),
        )
        for row in asked[:3]
    ]
    said = said_rows(any_model, [*asked, *longer])
    assert batch_answers(any_model, said)[:, 0].tolist() == [1.0] * 15
    for before, after in zip([*asked, *longer], said, strict=True):
        first = before.answer_positions[0]
        assert before.input_ids[:first] == after.input_ids[:first]


def test_each_question_has_its_own_reference(neox: HookedModel, rows: list[TokenizedRow]) -> None:
    """Against the same rows by hand, one question at a time."""
    asked = [row for row in rows if row.row.subset.name in ("D5_CONS", "D6_CONS")]
    asked = [row for row in asked if row.row.is_evaluated]
    units, unrolled = units_of(neox, asked), UnrolledModel(neox)

    sets = torch.rand(4, len(units), generator=torch.Generator().manual_seed(0)) < 0.5
    found = AblatedRows(unrolled, asked, units, AblationKind.MEAN, by_question=True)
    for question in {row.row.question for row in asked}:
        places = [i for i, row in enumerate(asked) if row.row.question == question]
        alike = [asked[i] for i in places]
        expected = AblatedRows(unrolled, alike, units, AblationKind.MEAN).answers(sets)
        torch.testing.assert_close(found.answers(sets)[:, places], expected)
    assert found.slopes(torch.zeros(len(units))).shape == (len(asked), len(units))


def test_a_question_that_nobody_else_asks_has_no_reference(
    neox: HookedModel, rows: list[TokenizedRow]
) -> None:
    asked = [row for row in rows if row.row.subset.name == "D5_CONS" and row.row.is_evaluated]
    with pytest.raises(InputError, match="no rows of other aliases ask what row"):
        AblatedRows(
            UnrolledModel(neox),
            asked,
            units_of(neox, asked),
            AblationKind.ZERO,
            reference=asked[:1],
            by_question=True,
        )
