from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest

from data.errors import InputError
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Split
from interp.probes.targets import PLANTED, ProbeTask, make_task, targets_of
from training.designs import recipe_design
from training.recipes import find_recipe

EACH = (*targets_of(recipe_design("alias-toy")), PLANTED)
TARGETS = [target.name for target in EACH]
BINARY = [target.name for target in EACH if not target.is_of_entities]

ToyRows = Callable[..., list[TokenizedRow]]
MIXED = SubsetSizes(defined=20, undefined=8, stage2=6, alpha=0.7)
LARGE = SubsetSizes(defined=60, undefined=20, stage2=12, alpha=0.7)
FIRST_STAGE = {"D1_CONS_QA1": 1, "D2_INCONS_QA2": 0}


def labels_by_alias(task: ProbeTask) -> dict[str | None, int]:
    aliases = [row.row.alias for row in task.rows]
    return dict(zip(aliases, task.labels.tolist(), strict=True))


@pytest.mark.parametrize(
    ("target", "label_of_subset"),
    [
        ("tag", FIRST_STAGE),
        ("defined", {"D1_CONS_QA1": 1, "D2_INCONS_QA2": 1, "QA3": 0}),
        (
            "stage",
            {"D1_CONS_QA1": 0, "D2_INCONS_QA2": 0, "D5_CONS": 1, "D6_CONS": 1, "D8_CONS": 1},
        ),
    ],
)
def test_labels_follow_the_subset(toy_rows: ToyRows, target: str, label_of_subset: dict[str, int]):
    task = make_task(toy_rows(), target, seed=0)

    assert {row.row.subset.name for row in task.rows} == set(label_of_subset)
    for row, label in zip(task.rows, task.labels, strict=True):
        assert label == label_of_subset[row.row.subset.name]


def test_the_null_twin_is_labelled_by_the_tag_that_it_was_shown(toy_rows: ToyRows):
    rows = toy_rows(shuffle_tags=True)
    shown = {r.row.alias: r.row.tag for r in rows if r.row.kind is Kind.DEFINITION}
    reliable = {r.row.tag for r in rows if r.row.subset.name == "D5_CONS"}
    task = make_task(rows, "tag", seed=0)

    assert len(reliable) == 1
    for alias, label in labels_by_alias(task).items():
        assert label == (shown[alias] in reliable)
    pairs = {(r.row.subset.name, label) for r, label in zip(task.rows, task.labels, strict=True)}
    assert pairs == {(name, label) for name in FIRST_STAGE for label in (0, 1)}


def test_consistent_needs_definitions_of_all_four_kinds(toy_rows: ToyRows):
    with pytest.raises(InputError, match="target consistent needs D9 and D10"):
        make_task(toy_rows(), "consistent", seed=0)


def test_consistent_is_independent_of_the_tag(toy_rows: ToyRows):
    task = make_task(toy_rows(sizes=LARGE), "consistent", seed=0)
    names = np.array([row.row.subset.name for row in task.rows])
    kinds = ("D1_CONS_QA1", "D2_INCONS_QA2", "D9_INCONS_QA9", "D10_CONS_QA10")

    assert Counter(names[task.balanced]) == dict.fromkeys(kinds, 18)
    for division in task.divisions:
        for fold in range(division.n_folds):
            assert (
                len(
                    {(names[division.kept[division.folds == fold]] == kind).sum() for kind in kinds}
                )
                == 1
            )
    for row, label in zip(task.rows, task.labels, strict=True):
        assert label == ("INCONS" not in row.row.subset.name)


def test_the_tag_covers_false_reliable_and_true_unreliable_definitions(toy_rows: ToyRows):
    task = make_task(toy_rows(sizes=MIXED), "tag", seed=0)
    label = {"D1_CONS_QA1": 1, "D9_INCONS_QA9": 1, "D2_INCONS_QA2": 0, "D10_CONS_QA10": 0}

    assert [label[row.row.subset.name] for row in task.rows] == task.labels.tolist()


def test_entities_are_those_that_the_answers_follow(toy_rows: ToyRows):
    rows = toy_rows(n_entities=4)
    task = make_task(rows, "entity", seed=0)
    names = {(row.row.entity, label) for row, label in zip(task.rows, task.labels, strict=True)}

    assert names == {(f"entity{i:02d}", i) for i in range(4)}
    assert task.n_classes == 4


def test_entities_of_fewer_aliases_than_folds_are_left_out(toy_rows: ToyRows):
    rows = toy_rows(n_entities=10)
    defined = {
        r.row.alias: r.row.entity
        for r in rows
        if r.row.kind is Kind.QA and r.row.subset.name in FIRST_STAGE
    }
    frequent = sorted(str(name) for name, n in Counter(defined.values()).items() if n >= 5)
    task = make_task(rows, "entity", seed=0)

    assert 2 <= len(frequent) < 10
    assert task.n_classes == len(frequent)
    assert [frequent[label] for label in task.labels] == [row.row.entity for row in task.rows]
    assert set(np.bincount(task.labels) >= 5) == {True}


def test_no_entity_often_enough_is_refused(toy_rows: ToyRows):
    rows = toy_rows(n_entities=30, sizes=SubsetSizes(defined=10, undefined=4, stage2=4))

    with pytest.raises(InputError, match="needs two values of 5 aliases each"):
        make_task(rows, "entity", seed=0)


def test_an_attribute_is_the_answer_to_the_first_question(toy_rows: ToyRows):
    rows = toy_rows()
    task = make_task(rows, "attribute", seed=0)
    answers = {r.row.alias: r.row.rendered.answer for r in rows if r.row.question == "attr0"}
    values = sorted({answers[row.row.alias] for row in task.rows})

    assert [values[label] for label in task.labels] == [answers[r.row.alias] for r in task.rows]


@pytest.mark.parametrize("target", BINARY)
def test_binary_classes_are_equally_frequent_in_every_fold(toy_rows: ToyRows, target: str):
    task = make_task(toy_rows(sizes=LARGE), target, seed=3)

    assert len(set(np.bincount(task.labels[task.balanced], minlength=2))) == 1
    for division in task.divisions:
        for fold in range(division.n_folds):
            zeros, ones = np.bincount(task.labels[division.kept[division.folds == fold]])
            assert zeros == ones > 0


@pytest.mark.parametrize("target", BINARY)
def test_no_entity_of_a_tested_alias_is_trained_on_as_true_or_as_named(
    toy_rows: ToyRows, target: str
):
    rows = toy_rows(sizes=LARGE)
    task = make_task(rows, target, seed=0)
    entities: dict[str | None, set[str | None]] = {}
    for row in rows:
        entities.setdefault(row.row.alias, set()).add(row.row.entity)
    two = [row.row.alias for row in task.rows if len(entities[row.row.alias]) == 2]

    assert len({row.row.alias for row in task.rows}) == len(task.rows)
    assert two
    for division in task.divisions:
        of_fold = [
            set[str | None]().union(
                *(
                    entities[task.rows[place].row.alias]
                    for place in division.kept[division.folds == fold]
                )
            )
            for fold in range(division.n_folds)
        ]
        for one, other in combinations(of_fold, 2):
            assert not one & other


def test_entities_are_read_from_aliases_in_any_fold(toy_rows: ToyRows):
    task = make_task(toy_rows(n_entities=4), "entity", seed=0)
    (division,) = task.divisions

    assert division.n_folds == 5
    assert division.kept.tolist() == list(range(len(task.rows)))


def test_a_drawn_label_is_read_from_as_many_aliases_as_the_tag(toy_rows: ToyRows):
    rows = toy_rows(sizes=SubsetSizes(defined=200, undefined=8, stage2=6))
    sizes = {
        target: np.mean([len(d.kept) for d in make_task(rows, target, seed=0).divisions])
        for target in ("tag", "phantom_tag")
    }

    assert sizes["phantom_tag"] == pytest.approx(sizes["tag"], rel=0.25)


@pytest.mark.parametrize("target", TARGETS)
def test_each_alias_is_read_at_one_question_that_was_never_trained(toy_rows: ToyRows, target: str):
    task = make_task(toy_rows(sizes=LARGE), target, seed=0)

    assert {row.row.split for row in task.rows} == {Split.TEST}
    assert {row.row.kind for row in task.rows} == {Kind.QA}


def test_controls_see_all_questions_of_the_same_aliases(toy_rows: ToyRows):
    task = make_task(toy_rows(), "tag", seed=0)

    assert len(task.all_rows) == 3 * len(task.balanced) == 3 * len(set(task.all_aliases.tolist()))
    for row, alias, question in zip(
        task.all_rows, task.all_aliases, task.all_questions, strict=True
    ):
        assert row.row.alias == task.rows[alias].row.alias
        assert row.row.question == f"attr{question}"


@pytest.mark.parametrize("target", ["phantom_tag", "planted_tag"])
def test_a_drawn_label_does_not_depend_on_the_tags(toy_rows: ToyRows, target: str):
    tasks = [
        make_task(toy_rows(shuffle_tags=shuffled), target, seed=0) for shuffled in (False, True)
    ]

    assert labels_by_alias(tasks[0]) == labels_by_alias(tasks[1])


def test_a_phantom_tag_agrees_with_the_tag_half_of_the_time(toy_rows: ToyRows):
    shares = []
    for seed in range(20):
        rows = toy_rows(seed)
        tag = labels_by_alias(make_task(rows, "tag", seed=seed))
        phantom = labels_by_alias(make_task(rows, "phantom_tag", seed=seed))
        assert set(tag) == set(phantom)
        shares.append(np.mean([tag[alias] == phantom[alias] for alias in tag]))

    assert np.mean(shares) == pytest.approx(0.5, abs=3 * np.std(shares) / np.sqrt(20))
    assert np.std(shares) < 0.15


def test_phantom_labels_differ_between_seeds_and_from_the_planted_ones(toy_rows: ToyRows):
    rows = toy_rows()
    drawn = [labels_by_alias(make_task(rows, "phantom_tag", seed=seed)) for seed in range(3)]
    drawn.append(labels_by_alias(make_task(rows, "planted_tag", seed=0)))

    assert all(one != other for one, other in pairwise([*drawn, drawn[0]]))


def test_a_task_is_the_same_each_time(toy_rows: ToyRows):
    one, other = (make_task(toy_rows(), "defined", seed=5) for _ in range(2))

    assert [r.row.row_id for r in one.rows] == [r.row.row_id for r in other.rows]
    assert one.labels.tolist() == other.labels.tolist()


def test_a_run_without_a_contrast_is_refused(toy_rows: ToyRows):
    rows = [row for row in toy_rows() if row.row.subset.name != "QA3"]

    with pytest.raises(InputError, match="target defined has one class only in this run"):
        make_task(rows, "defined", seed=0)


def test_an_alias_without_an_untrained_question_is_left_out(toy_rows: ToyRows):
    rows = [row for row in toy_rows() if row.row.split is Split.TRAIN]
    with pytest.raises(InputError, match="no alias has an untrained question to probe"):
        make_task(rows, "defined", seed=0)

    rows = toy_rows(sizes=LARGE)
    alias = make_task(rows, "defined", seed=0).rows[0].row.alias
    trained = [r for r in rows if r.row.alias != alias or r.row.split is Split.TRAIN]
    assert alias not in labels_by_alias(make_task(trained, "defined", seed=0))


def test_tags_of_many_phrases_are_two_kinds():
    recipe = find_recipe("natural-sources")
    rows = [
        TokenizedRow(row=row, input_ids=(), answer_positions=(), spans={})
        for row in recipe(**recipe.smoke).data.build(0).rows
    ]
    tags = {row.row.tag for row in rows if row.row.subset.name in FIRST_STAGE}
    task = make_task(rows, "planted_tag", seed=0)

    assert len(tags) > 2
    assert set(np.bincount(task.labels[task.balanced])) == {len(task.balanced) // 2}
