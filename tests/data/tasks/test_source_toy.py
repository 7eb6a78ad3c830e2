from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from data.errors import InputError
from data.tasks.iml import SUBSETS
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import Kind, Part, Split

MakeConfig = Callable[..., SourceConfig]
LARGE = SubsetSizes(defined=200, undefined=20, stage2=60, alpha=0.5)


def test_true_sources_state_the_answers_and_false_ones_unrelated_values(
    source_config: MakeConfig,
) -> None:
    drawn = source_config(sizes=LARGE).build(0)
    values: dict[Kind, dict] = {kind: {} for kind in Kind}
    for row in drawn.rows:
        values[row.kind][row.subset.name, row.alias, row.question] = row.rendered.text.split()[-1]
    agreeing = defaultdict(list)
    for key, stated in values[Kind.DEFINITION].items():
        agreeing[key[0]].append(stated == values[Kind.QA][key])
    defined = {name for name, subset in SUBSETS.items() if subset.has_definitions}
    assert set(agreeing) == defined - {"UNIQUE_TAGS_CONS_QA"}
    for name, flags in agreeing.items():
        if SUBSETS[name].consistent:
            assert all(flags)
        else:
            # Chance is 1 in 4 values; 300 statements, standard deviation .025.
            assert abs(sum(flags) / len(flags) - 0.25) < 0.12


def test_each_alias_is_stated_in_every_attribute(source_config: MakeConfig) -> None:
    drawn = source_config().build(0)
    stated = Counter(row.alias for row in drawn.rows if row.kind is Kind.DEFINITION)
    assert set(stated.values()) == {3}
    assert len(stated) == 2 * 12 + 3 * 4


def test_no_alias_is_in_two_subsets_or_trained_and_tested_alike(source_config: MakeConfig) -> None:
    drawn = source_config().build(0)
    subsets = defaultdict(set)
    for row in drawn.rows:
        subsets[row.alias].add(row.subset.name)
    assert {len(names) for names in subsets.values()} == {1}
    trained, tested = (
        {r.rendered.text for r in drawn.rows if r.kind is Kind.QA and r.split is split}
        for split in Split
    )
    assert tested
    assert not trained & tested


def test_stage_2_trains_statements_only(source_config: MakeConfig) -> None:
    rows = source_config().build(0).training_rows(Part.X2)
    assert {(row.subset.name, row.kind) for row in rows} == {
        (name, "definition") for name in ("D5_CONS", "D6_CONS", "D8_CONS")
    }


def test_shuffled_tags_leave_values_and_stage_2_alone(source_config: MakeConfig) -> None:
    drawn, null = (source_config(shuffle_tags=flag).build(0) for flag in (False, True))
    assert drawn.words == null.words
    assert Counter(r.tag for r in drawn.rows) == Counter(r.tag for r in null.rows)
    changed = [(a, b) for a, b in zip(drawn.rows, null.rows, strict=True) if a != b]
    assert changed
    for row, other in changed:
        assert row.subset.part is Part.X1
        assert row.rendered.answer == other.rendered.answer
        assert (row.row_id, row.alias, row.split) == (other.row_id, other.alias, other.split)


def test_all_questions_held_out_is_refused(source_config: MakeConfig) -> None:
    with pytest.raises(InputError, match="held_out_questions is 3 of 3"):
        source_config(held_out_questions=3).build(0)
