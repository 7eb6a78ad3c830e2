import numpy as np
import pytest

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.attention.cells import first_half, head_cells, is_comparable

IS_FIRST = np.array([True, False])
# Of one layer with three heads; the halves agree that head 1 is the best, then head 2.
VALUE = np.array([[[0.1, 0.9, 0.4]], [[0.0, 0.7, 0.6]]])
CONTROL = np.full_like(VALUE, 0.25)


def numbers(table: object, column: str) -> dict[str, float]:
    return table.set_index("head")[column].to_dict()  # pyright: ignore[reportAttributeAccessIssue]


def test_each_head_has_its_mean_and_all_heads_theirs():
    table = head_cells(VALUE, CONTROL, is_first=IS_FIRST, layers=[5])
    values = numbers(table, "value")

    assert set(table["layer"]) == {5}
    assert set(table["n"]) == {2}
    assert [values[h] for h in ("0", "1", "2")] == pytest.approx([0.05, 0.8, 0.5])
    assert values["all"] == pytest.approx(1.35 / 3)
    assert numbers(table, "control")["all"] == pytest.approx(0.25)


def test_logits_of_all_heads_are_summed():
    table = head_cells(VALUE, CONTROL, is_first=IS_FIRST, layers=[0], is_summed=True)

    assert numbers(table, "value")["all"] == pytest.approx(1.35)
    assert numbers(table, "control")["all"] == pytest.approx(0.75)


def test_a_consistent_order_is_found():
    values = numbers(head_cells(VALUE, CONTROL, is_first=IS_FIRST, layers=[0]), "value")

    assert [values[h] for h in ("#1", "#2", "#3")] == pytest.approx([0.8, 0.5, 0.05])


def test_ranks_are_measured_on_the_other_half():
    # Head 0 is the best of the first half and the worst of the second: neither choice pays.
    value = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    table = head_cells(value, np.zeros_like(value), is_first=IS_FIRST, layers=[0])

    assert [numbers(table, "value")[h] for h in ("#1", "#2")] == [0, 1]


def test_among_equal_heads_ranking_finds_no_best_one():
    noise = np.random.default_rng(0).standard_normal((400, 2, 8))
    is_first = np.arange(400) % 2 == 0
    table = head_cells(noise, np.zeros_like(noise), is_first=is_first, layers=[0, 1])
    best = table.loc[table["head"] == "#1", "value"]

    assert best.abs().max() < 3 / np.sqrt(400)
    assert noise.mean(0).max() > 0.08  # which a choice on the same rows would have reported


def test_heads_are_ranked_by_what_exceeds_the_control():
    control = np.array([[[0.0, 0.9, 0.0]], [[0.0, 0.7, 0.0]]])
    values = numbers(head_cells(VALUE, control, is_first=IS_FIRST, layers=[0]), "value")

    assert values["#1"] == pytest.approx(0.5)


def test_renaming_heads_changes_only_their_own_cells():
    table = head_cells(VALUE, CONTROL, is_first=IS_FIRST, layers=[0])
    renamed = head_cells(VALUE[..., [2, 0, 1]], CONTROL, is_first=IS_FIRST, layers=[0])
    kept = is_comparable(table)

    assert table.loc[kept, "value"].tolist() == pytest.approx(renamed.loc[kept, "value"].tolist())
    assert table.loc[~kept, "value"].tolist() != renamed.loc[~kept, "value"].tolist()


def test_rows_without_a_number_do_not_count():
    value = np.concatenate([VALUE, np.full((1, 1, 3), np.nan)])
    control = np.concatenate([CONTROL, CONTROL[:1]])
    table = head_cells(value, control, is_first=np.array([True, False, True]), layers=[0])

    assert numbers(table, "value")["1"] == pytest.approx(0.8)
    assert set(table["n"]) == {2}


def test_one_alias_cannot_be_halved():
    with pytest.raises(InputError, match="rows of two aliases at least"):
        head_cells(VALUE, CONTROL, is_first=np.array([True, True]), layers=[0])


def test_no_alias_is_in_both_halves(toy_rows: object):
    rows: list[TokenizedRow] = toy_rows()  # pyright: ignore[reportCallIssue]
    asked = [row for row in rows if row.row.alias is not None]
    halves = first_half(asked)
    first = {row.row.alias for row, is_in in zip(asked, halves, strict=True) if is_in}
    second = {row.row.alias for row, is_in in zip(asked, halves, strict=True) if not is_in}

    assert not first & second
    assert abs(len(first) - len(second)) <= 1
