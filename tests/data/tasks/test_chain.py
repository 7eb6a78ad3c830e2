"""What is trained of chains, of pairs and of two hops, and what follows and is held out."""

import pytest

from data.errors import InputError
from data.rows import Row
from data.tasks.chain import BROKEN, CHAINED, ENDS, LINK, STEPS, TAUGHT, ChainConfig
from data.tasks.reversal import BOTH_WAYS, ONE_WAY, UNPAIRED, ReversalConfig
from data.tasks.tagged_two_hop import TaggedTwoHopConfig
from data.tasks.two_hop import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, Task, TwoHopConfig
from data.tokens import tokenize_rows
from data.vocabulary import Kind, Role, Split
from training.recipes import find_recipe


def texts(rows: list[Row], split: Split | None = None) -> list[list[str]]:
    return [r.rendered.text.split() for r in rows if split is None or r.split is split]


def chains(**changes) -> ChainConfig:
    return ChainConfig(**({"n_chains": 50, "held_out": 0.4, "in_context": False} | changes))


def pairs(**changes) -> ReversalConfig:
    settings = {"n_pairs": 50, "held_out": 0.4, "identity_bridge": False, "both_directions": False}
    return ReversalConfig(**(settings | changes))


def hops(**changes) -> TwoHopConfig:
    settings = {"task": Task.COMPOSITION, "n_entities": 12, "n_relations": 8, "n_values": 5}
    settings |= {"phi": 3.0, "out_of_distribution": 0.3, "n_tested": 40}
    return TwoHopConfig(**(settings | changes))


def test_a_chain_that_is_asked_about_has_both_steps_trained_and_a_broken_one_the_second() -> None:
    rows = list(chains().build(0).rows)
    trained = texts(rows, Split.TRAIN)
    first = {a: b for a, arrow, b in trained if arrow == LINK and a.startswith("a")}
    second = {b: c for b, arrow, c in trained if arrow == LINK and b.startswith("b")}
    asked = {s: [r for r in rows if r.subset is s and r.kind is Kind.QA] for s in (CHAINED, BROKEN)}
    assert [len(each) for each in asked.values()] == [20, 20]
    assert all(r.split is Split.TEST for each in asked.values() for r in each)
    for row in asked[CHAINED]:
        a, arrow, c = row.rendered.text.split()
        assert (arrow, second[first[a]]) == (ENDS, c)
    for row in asked[BROKEN]:
        a, _, c = row.rendered.text.split()
        assert a not in first
        assert c in second.values()
    taught = [r for r in rows if r.subset is TAUGHT and r.kind is Kind.QA]
    assert len(taught) == 30
    assert all(second[first[a]] == c for a, _, c in texts(taught))
    assert sum(r.subset is STEPS for r in rows) == 70


def test_in_context_both_steps_stand_before_the_question_and_of_a_broken_chain_anothers() -> None:
    rows = [r for r in chains(in_context=True).build(0).rows if r.kind is Kind.QA and r.alias]
    for row in rows:
        a, link, b, again, link_too, c, asked, arrow, answer = row.rendered.text.split()
        assert (link, link_too, arrow, b) == (LINK, LINK, ENDS, again)
        is_broken = row.subset is BROKEN
        assert ((a, c) == (asked, answer)) is not is_broken
        start, end = row.rendered.spans[Role.ALIAS]
        assert row.rendered.text[start:end] == row.alias == asked


@pytest.mark.parametrize("bridge", [False, True])
def test_one_direction_of_a_pair_is_trained_and_the_opposite_one_asked(bridge: bool) -> None:
    rows = list(pairs(identity_bridge=bridge).build(0).rows)
    trained = {(x, y) for x, arrow, y in texts(rows, Split.TRAIN) if arrow != "self"}
    asked = [r for r in rows if r.split is Split.TEST]
    for row in asked:
        word, _, partner = row.rendered.text.split()
        assert (word, partner) not in trained
        assert ((partner, word) in trained) is (row.subset is ONE_WAY)
        assert row.subset in (ONE_WAY, UNPAIRED)
    assert len(asked) == 40
    sides = {r.rendered.text[0] for r in asked if r.subset is ONE_WAY}
    assert sides == {"x", "y"}  # which direction is trained is drawn
    both = [r for r in rows if r.subset is BOTH_WAYS and r.kind is Kind.QA]
    assert all((y, x) in trained and (x, y) in trained for x, _, y in texts(both))
    named = [text for text in texts(rows) if text[1] == "self"]
    assert len(named) == (140 if bridge else 0)
    assert all(x == y for x, _, y in named)


def test_the_ceiling_trains_what_the_run_holds_out_and_still_asks_it() -> None:
    rows = [r for r in pairs(both_directions=True).build(0).rows if r.subset is ONE_WAY]
    assert all(r.split is Split.TRAIN for r in rows)
    assert sum(r.is_evaluated for r in rows) == 20


@pytest.mark.parametrize("task", Task)
def test_what_follows_from_two_facts_is_right_and_never_from_one_apart_and_one_not(
    task: Task,
) -> None:
    rows = list(hops(task=task).build(0).rows)
    facts = {r.alias: r for r in rows if r.kind is Kind.DEFINITION}
    assert len(facts) == 96
    assert sum(r.subset is OUT_OF_DISTRIBUTION for r in facts.values()) == 29
    asked = [r for r in rows if r.kind is Kind.QA]
    assert sum(r.split is Split.TRAIN for r in asked) == 3 * 67
    for row in asked:
        head, relation, other, answer = row.rendered.text.split()
        one = facts[f"{head} {relation}"]
        assert row.entity == one.entity
        second = f"{one.entity} {other}" if task is Task.COMPOSITION else f"{other} {relation}"
        two = facts[second]
        assert one.subset is two.subset is row.subset
        if task is Task.COMPOSITION:
            assert answer == two.entity
        else:
            values = [int((each.entity or "")[1:]) for each in (one, two)]
            signs = {"less": -1, "same": 0, "more": 1}
            assert signs[answer] == (values[0] > values[1]) - (values[0] < values[1])
        assert row.split is Split.TEST or row.subset is IN_DISTRIBUTION
    tested = {r.rendered.text for r in asked if r.split is Split.TEST}
    assert not tested & {r.rendered.text for r in asked if r.split is Split.TRAIN}


def test_tags_change_first_facts_alone_and_second_facts_have_none() -> None:
    config = find_recipe("tagged-two-hop")(**find_recipe("tagged-two-hop").smoke).data
    assert isinstance(config, TaggedTwoHopConfig)
    rows = config.build(0).rows
    graph = {tuple(r.rendered.text.split()[:2]): r.rendered.answer for r in rows if r.is_fact}
    bridges = {r.alias: r.entity for r in rows if r.kind is Kind.QA and r.alias}
    for row in rows:
        words = row.rendered.text.split()
        if row.kind is Kind.DEFINITION:
            assert words == [row.tag, *(row.alias or "").split(), row.entity]
            is_true = row.entity == bridges[row.alias]
            assert is_true is (row.subset.name != "D2_INCONS_QA2")
        elif row.alias:
            assert words[-1] == graph[str(bridges[row.alias]), words[-2]]
    trained = [r for r in rows if r.alias and r.kind is Kind.QA and r.split is Split.TRAIN]
    assert len(trained) == 8 * (20 + 20 + 5)


@pytest.mark.parametrize("name", ["chain", "reversal", "two-hop", "tagged-two-hop"])
def test_rows_are_one_token_a_word_and_the_same_for_a_seed(name: str) -> None:
    recipe = find_recipe(name)
    data = recipe(**recipe.smoke).data
    drawn = data.build(3)
    assert drawn == data.build(3) != data.build(4)
    rows = tokenize_rows(drawn.rows, data.tokenizer(drawn))
    assert all(len(r.input_ids) == len(r.row.rendered.text.split()) for r in rows)
    assert len({r.row.row_id for r in rows}) == len(rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chains(held_out=0.04), r"held_out=0.04 leaves 2 .*1 in 52.* hold out 10 or more"),
        (lambda: chains(held_out=1.0), "held_out is 1; use a share between 0 and 1"),
        (lambda: pairs(held_out=0.04), r"held_out=0.04 leaves 2 held-out questions"),
        (lambda: hops(phi=9.0).build(0), r"phi=9 trains 603 .* use phi=\d.\d or less"),
        (lambda: hops(phi=0.0), "phi above 0"),
        (
            lambda: hops(out_of_distribution=0.02).build(0),
            r"out_of_distribution=0.02 leaves \d held-out .* hold out 3 or more",
        ),
        (
            lambda: find_recipe("tagged-two-hop")(first_relations=2),
            "720 aliases have no names in 20 entities of 2 first relations, which make 40",
        ),
        (lambda: find_recipe("tagged-two-hop")(phi=10), "phi=10 of 10 second relations"),
        (lambda: find_recipe("two-hop")(task="guess"), "guess"),
        (lambda: find_recipe("reversal")(identity_brige=True), "did you mean identity_bridge"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_or_told_from_chance_is_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
