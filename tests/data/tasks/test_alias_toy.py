import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.draws import SHARED_TAGS
from data.errors import InputError
from data.rows import Row, SeedData
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.iml import SUBSETS
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import Kind, Part, Role, Split, TagKind, WordOrder

MakeConfig = Callable[..., IMLConfig]
WITH_D9_D10 = SubsetSizes(defined=40, undefined=5, stage2=4, alpha=0.5)
SEEDS = range(5)


def by_alias(drawn: SeedData, kind: Kind) -> dict[str, list[Row]]:
    rows = defaultdict(list)
    for row in drawn.rows:
        if row.kind is kind and row.alias is not None:
            rows[row.alias].append(row)
    return rows


def facts_of(drawn: SeedData) -> dict[tuple[str | None, str | None], str]:
    """What QA4 says of each entity, read from its text."""
    return {
        (row.entity, row.question): row.rendered.text.split()[-1]
        for row in drawn.rows
        if row.subset.name == "QA4_NOT_REPLACED"
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_definitions_agree_with_the_questions_exactly_where_table_1_says(
    seed: int, iml_config: MakeConfig
) -> None:
    drawn = iml_config(sizes=WITH_D9_D10).build(seed)
    facts = facts_of(drawn)
    questions = by_alias(drawn, Kind.QA)
    seen = Counter()
    for alias, (definition,) in by_alias(drawn, Kind.DEFINITION).items():
        stands_for = {row.entity for row in questions[alias]}
        assert (stands_for == {definition.entity}) is definition.subset.consistent
        assert definition.rendered.text.split()[-1] == definition.entity
        for row in questions[alias]:
            assert row.rendered.answer == facts[row.entity, row.question]
        seen[definition.subset.name] += 1
    assert seen == {
        "D1_CONS_QA1": 20,
        "D2_INCONS_QA2": 20,
        "D9_INCONS_QA9": 20,
        "D10_CONS_QA10": 20,
        "D5_CONS": 4,
        "D6_CONS": 4,
        "D8_CONS": 4,
    }


def test_tag_of_a_definition_is_the_one_of_its_kind(iml_config: MakeConfig) -> None:
    drawn = iml_config(sizes=WITH_D9_D10).build(0)
    words: dict[TagKind | None, set[str]] = defaultdict(set)
    for row in drawn.rows:
        if row.kind is Kind.DEFINITION:
            assert row.tag is not None
            assert row.rendered.text.split()[0] == row.tag
            words[row.subset.tag].add(row.tag)
    assert {kind: len(tags) for kind, tags in words.items()} == dict.fromkeys(SHARED_TAGS, 1)
    assert len(set.union(*words.values())) == 3


def test_novel_tag_is_never_seen_in_stage_1(iml_config: MakeConfig) -> None:
    drawn = iml_config().build(0)
    novel = {row.tag for row in drawn.rows if row.subset.name == "D8_CONS"}
    stage1 = {word for row in drawn.training_rows(Part.X1) for word in row.rendered.text.split()}
    assert not novel & stage1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("tokens", [1, 2])
def test_no_alias_is_in_two_subsets(seed: int, tokens: int, iml_config: MakeConfig) -> None:
    names = AliasNames(tokens=tokens, syllables=12)
    drawn = iml_config(names=names, sizes=WITH_D9_D10).build(seed)
    subsets = defaultdict(set)
    for row in drawn.rows:
        if row.alias is not None:
            subsets[row.alias].add(row.subset.name)
    assert len(subsets) == 4 * 20 + 5 + 4 * 4
    assert {len(names) for names in subsets.values()} == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_test_question_is_trained(seed: int, iml_config: MakeConfig) -> None:
    drawn = iml_config().build(seed)
    texts = {split: {r.rendered.text for r in drawn.rows if r.split is split} for split in Split}
    assert not texts[Split.TRAIN] & texts[Split.TEST]
    for alias, rows in by_alias(drawn, Kind.QA).items():
        n_tested = sum(row.split is Split.TEST for row in rows)
        has_questions = rows[0].subset.has_questions
        assert n_tested == (1 if has_questions else 3), alias


def test_stage_2_trains_definitions_only_and_stage_1_everything_else(
    iml_config: MakeConfig,
) -> None:
    drawn = iml_config().build(0)
    counts = {
        part: Counter((row.subset.name, row.kind) for row in drawn.training_rows(part))
        for part in Part
    }
    assert counts[Part.X1] == {
        ("QA4_NOT_REPLACED", "qa"): 18,
        ("D1_CONS_QA1", "definition"): 12,
        ("D1_CONS_QA1", "qa"): 24,
        ("D2_INCONS_QA2", "definition"): 12,
        ("D2_INCONS_QA2", "qa"): 24,
        ("QA3", "qa"): 10,
    }
    assert counts[Part.X2] == {
        ("D5_CONS", "definition"): 4,
        ("D6_CONS", "definition"): 4,
        ("D8_CONS", "definition"): 4,
    }
    assert {row.repeats for row in drawn.rows if row.subset.name == "QA4_NOT_REPLACED"} == {2}


def test_evaluation_asks_every_subset(iml_config: MakeConfig) -> None:
    drawn = iml_config(sizes=WITH_D9_D10).build(0)
    assert {row.subset.name for row in drawn.evaluation_rows()} == {*SUBSETS} - {
        "UNIQUE_TAGS_CONS_QA"
    }
    assert {row.kind for row in drawn.evaluation_rows()} == {Kind.QA}


def test_row_ids_are_unique(iml_config: MakeConfig) -> None:
    ids = [row.row_id for row in iml_config(sizes=WITH_D9_D10).build(0).rows]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("order", WordOrder)
def test_words_are_all_that_the_texts_are_made_of(order: str, iml_config: MakeConfig) -> None:
    drawn = iml_config(word_order=WordOrder(order)).build(3)
    used = {word for row in drawn.rows for word in row.rendered.text.split()}
    assert used <= set(drawn.words)
    assert len(set(drawn.words)) == len(drawn.words)


def test_sentences_and_long_answers_change_how_facts_are_written_alone(
    iml_config: MakeConfig,
) -> None:
    plain, said = (
        iml_config(**change).build(3) for change in ({}, {"sentences": True, "answer_tokens": 3})
    )
    used = {word for row in said.rows for word in row.rendered.text.split()}
    assert used == set(said.words)
    assert len(set(said.words)) == len(said.words)
    for before, now in zip(plain.rows, said.rows, strict=True):
        assert (before.row_id, before.alias, before.entity) == (now.row_id, now.alias, now.entity)
        assert (before.tag, before.split) == (now.tag, now.split)
    answers = {row.rendered.answer for row in said.rows if row.kind is Kind.QA}
    assert {len(answer.split()) for answer in answers} == {3}


@pytest.mark.parametrize("order", WordOrder)
def test_question_about_an_entity_by_name_spans_the_entity(order, iml_config: MakeConfig) -> None:
    drawn = iml_config(word_order=WordOrder(order)).build(0)
    row = next(row for row in drawn.rows if row.subset.name == "QA4_NOT_REPLACED")
    assert row.rendered.text[slice(*row.rendered.spans[Role.ENTITY])] == row.entity
    assert Role.ALIAS not in row.rendered.spans


def without_tags(row: Row) -> Row:
    """A row with its tag's word cut out of text and columns."""
    if row.tag is None:
        return row
    rendered = replace(row.rendered, text=row.rendered.text.replace(row.tag, "-"))
    return replace(row, tag=None, rendered=rendered)


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_tags_change_only_tags_of_stage_1(seed: int, iml_config: MakeConfig) -> None:
    drawn, null = (iml_config(sizes=WITH_D9_D10, shuffle_tags=s).build(seed) for s in (False, True))
    assert null.words == drawn.words
    changed = Counter()
    for row, other in zip(drawn.rows, null.rows, strict=True):
        if row == other:
            continue
        assert row.subset.part is Part.X1
        assert row.tag is not None
        assert other.tag not in (None, row.tag)
        assert without_tags(row) == without_tags(other)
        changed[row.kind] += 1
    assert changed[Kind.DEFINITION] > 0
    assert changed[Kind.QA] == 3 * changed[Kind.DEFINITION]


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_tags_keep_how_often_each_occurs(seed: int, iml_config: MakeConfig) -> None:
    counts = [
        Counter(r.tag for r in iml_config(shuffle_tags=s).build(seed).rows if r.tag is not None)
        for s in (False, True)
    ]
    assert counts[0] == counts[1]


def test_shuffled_tags_say_nothing_of_consistency(iml_config: MakeConfig) -> None:
    sizes = SubsetSizes(defined=400, undefined=1, stage2=1)
    drawn = iml_config(sizes=sizes, shuffle_tags=True).build(0)
    tags = [
        row.tag for row in drawn.rows if row.subset.name == "D1_CONS_QA1" and row.question is None
    ]
    # 200 expected; hypergeometric standard deviation 10.
    assert all(abs(count - 200) < 50 for count in Counter(tags).values())
    assert len(set(tags)) == 2


def test_held_out_question_does_not_depend_on_tags_or_word_order(iml_config: MakeConfig) -> None:
    configs = [iml_config(), iml_config(shuffle_tags=True), iml_config(word_order=WordOrder.EAT)]
    splits = [{row.row_id: row.split for row in c.build(0).rows} for c in configs]
    assert splits[0] == splits[1] == splits[2]


def test_seeds_draw_different_data(iml_config: MakeConfig) -> None:
    assert iml_config().build(0) == iml_config().build(0)
    assert iml_config().build(0).words != iml_config().build(1).words


PRINT_DIGEST = """
import hashlib
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import WordOrder
config = IMLConfig(
    sizes=SubsetSizes(defined=40, undefined=5, stage2=4, alpha=0.5),
    names=AliasNames(tokens=2, syllables=12), word_order=WordOrder.TAE, shuffle_tags=True,
    n_entities=6, n_attributes=3, n_values=4, held_out_questions=1, fact_repeats=2,
)
print(hashlib.sha256(repr(config.build(7)).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_data_is_the_same_in_every_process(
    hash_seed: str, iml_config: MakeConfig, tmp_path: Path
) -> None:
    config = iml_config(
        sizes=WITH_D9_D10, names=AliasNames(tokens=2, syllables=12), shuffle_tags=True
    )
    here = hashlib.sha256(repr(config.build(7)).encode()).hexdigest()
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == here


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"held_out_questions": 0}, "use 1 to 2"),
        ({"held_out_questions": 3}, "use 1 to 2"),
        ({"fact_repeats": 0}, "fact_repeats is 0"),
        ({"fact_repeats": -1}, "fact_repeats is -1"),
        ({"sentences": True, "word_order": WordOrder.ATE}, "use word_order=tae"),
        ({"answer_tokens": 0}, "answer_tokens is 0; use 1 to 16"),
        ({"n_entities": 1}, "allow no false definition"),
        ({"sizes": SubsetSizes(defined=1, undefined=1, stage2=1)}, "no false definitions exist"),
    ],
)
def test_impossible_data_is_refused(change: dict, message: str, iml_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=message):
        iml_config(**change).build(0)
