"""Who belongs to which pair, what is trained, and which weights belong together."""

from collections import Counter
from dataclasses import replace

import pytest

from data.errors import InputError
from data.tasks.one_layer_retrieval import (
    BOTH,
    DESIGN,
    FACT,
    IMPLICATION,
    IMPLIED,
    UNTOLD,
    RetrievalConfig,
    weight_blocks,
)
from data.vocabulary import Split

CONFIG = RetrievalConfig(pairs=3, both=2, implied=1, untold=1)


def test_facts_are_trained_of_both_and_implied_implications_of_both_alone() -> None:
    rows = CONFIG.build(5).rows
    found = Counter((row.subset.name, row.question, row.split) for row in rows)
    assert found == {
        (BOTH.name, FACT, Split.TRAIN): 6,
        (BOTH.name, IMPLICATION, Split.TRAIN): 6,
        (IMPLIED.name, FACT, Split.TRAIN): 3,
        (IMPLIED.name, IMPLICATION, Split.TEST): 3,
        (UNTOLD.name, IMPLICATION, Split.TEST): 3,
    }
    assert CONFIG.n_trained == 15


def test_an_implication_follows_from_the_fact_and_is_named_by_no_other() -> None:
    rows = CONFIG.build(5).rows
    said = {(row.alias, row.question): row.rendered.answer for row in rows}
    pairs = {
        (said[alias, FACT], answer)
        for (alias, question), answer in said.items()
        if question == IMPLICATION and (alias, FACT) in said
    }
    assert len(pairs) == 3
    assert len({fact for fact, _ in pairs}) == len({answer for _, answer in pairs}) == 3


def test_rows_are_the_same_for_a_seed_and_other_words_for_another() -> None:
    assert CONFIG.build(5) == CONFIG.build(5)
    assert not set(CONFIG.build(5).words[2:]) & set(CONFIG.build(6).words[2:])


def test_a_row_is_three_tokens_and_the_vocabulary_has_no_more_words() -> None:
    drawn = CONFIG.build(5)
    assert {len(row.rendered.text.split()) for row in drawn.rows} == {3}
    assert len(drawn.words) == 12 + 2 + 2 * 3


def test_blocks_lead_from_each_subject_to_its_own_fact_and_implication() -> None:
    rows = CONFIG.build(5).rows
    blocks = {(each.source, each.target): each.own for each in weight_blocks(rows)}
    assert len(blocks) == 6
    said = {(row.alias, row.question): row.rendered.answer for row in rows}
    told = blocks["subjects IMPLIED", "facts"]
    assert told == {alias: said[alias, FACT] for alias in told}
    untold = blocks["subjects UNTOLD", "facts"]
    assert set(untold.values()) == set(told.values())
    assert set(blocks["subjects UNTOLD", "implications"]) == set(untold)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"pairs": 1}, "use 2 or more"), ({"implied": 0}, "implied is 0; use 1 or more"),
     ({"pairs": 10**7}, "use fewer pairs or subjects, of at most 5,000")],
)  # fmt: skip
def test_what_shows_nothing_or_has_no_names_is_refused(change: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(CONFIG, **change)


def test_the_design_knows_its_control() -> None:
    twin = DESIGN.null_twin
    assert twin is not None
    assert (twin.parameter, twin.value) == ("value_matrix", "merged")
    assert {subset.tag for subset in DESIGN.subsets} == {None}
