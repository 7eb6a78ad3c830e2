import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data.errors import InputError
from data.pairs import PairKind, PromptPair, check_pair, make_pairs, pairs_table
from data.rows import Row
from data.statements import Definition, QAPair
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.iml import SUBSETS
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Role, Split, WordOrder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MakeRows = Callable[..., list[TokenizedRow]]
MakeConfig = Callable[..., Any]
PYTHIA = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json"
TWO_TOKENS = AliasNames(tokens=2, syllables=12)
NAMES = [pytest.param(AliasNames(), id="one-token"), pytest.param(TWO_TOKENS, id="two-token")]
SUBSET_OF = {
    PairKind.ALIAS: "D5_CONS",
    PairKind.ALIAS_ACROSS: "D5_CONS",
    PairKind.TAG: "D5_CONS",
    PairKind.ENTITY: "QA4_NOT_REPLACED",
    PairKind.QUESTION: "D5_CONS",
}
SWAPPED_ROLE = {
    PairKind.ALIAS: Role.ALIAS,
    PairKind.ALIAS_ACROSS: Role.ALIAS,
    PairKind.TAG: Role.TAG,
    PairKind.ENTITY: Role.ENTITY,
    PairKind.QUESTION: Role.QUESTION,
}

TAG_IN_ANSWER = ("aet", "eat")
KINDS_AND_ORDERS = [
    (kind, order)
    for kind in PairKind
    for order in ("tae", "ate", "eat", "eta")
    if kind is not PairKind.TAG or order not in TAG_IN_ANSWER
]


@pytest.fixture
def toy(iml_config: MakeConfig) -> MakeRows:
    def make(seed: int = 0, **changes: Any) -> list[TokenizedRow]:
        drawn = iml_config(**changes).build(seed)
        return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))

    return make


@pytest.fixture
def source_toy(source_config: MakeConfig) -> MakeRows:
    def make(**changes: Any) -> list[TokenizedRow]:
        drawn = source_config(**changes).build(0)
        return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))

    return make


def pairs_of(
    rows: Sequence[TokenizedRow], kind: PairKind, *, limit: int | None = None, seed: int = 0
) -> list[PromptPair]:
    return make_pairs(rows, kind, subset=SUBSET_OF[kind], limit=limit, seed=seed)


def question(alias: str, attribute: str, answer: str, subset: str = "D5_CONS") -> Row:
    return Row(
        row_id=f"{subset}/qa/{alias}/{attribute}",
        subset=SUBSETS[subset],
        split=Split.TEST,
        kind=Kind.QA,
        rendered=QAPair(subject=alias, role=Role.ALIAS, question=attribute, answer=answer).render(),
        alias=alias,
        entity=None,
        tag=None,
        question=attribute,
    )


def definition(subset: str, tag: str, alias: str, entity: str, order: str = "tae") -> Row:
    rendered = Definition(tag=tag, alias=alias, entity=entity, order=WordOrder(order)).render()
    return Row(
        row_id=f"{subset}/definition/{alias}",
        subset=SUBSETS[subset],
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=rendered,
        alias=alias,
        entity=entity,
        tag=tag,
        question=None,
    )


def tokenized(*rows: Row) -> list[TokenizedRow]:
    return tokenize_rows(rows, tokenizer_of(rows))


def tokenizer_of(rows: Sequence[Row]) -> "PreTrainedTokenizerFast":
    return word_tokenizer(sorted({word for row in rows for word in row.rendered.text.split()}))


def differing_words(pair: PromptPair) -> set[int]:
    clean, corrupted = (side.row.rendered.prompt.split() for side in (pair.clean, pair.corrupted))
    words = enumerate(zip(clean, corrupted, strict=True))
    return {i for i, (one, other) in words if one != other}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(("kind", "order"), KINDS_AND_ORDERS)
def test_prompts_differ_in_the_swapped_role_alone(
    kind: PairKind, order: str, names: AliasNames, toy: MakeRows
) -> None:
    pairs = pairs_of(toy(word_order=WordOrder(order), names=names), kind)
    for pair in pairs:
        first, last = pair.clean.spans[SWAPPED_ROLE[kind]]
        differing = differing_words(pair)
        assert differing
        assert differing <= set(range(first, last + 1))
        answers = [side.row.rendered.answer for side in (pair.clean, pair.corrupted)]
        assert answers[0].split()[0] != answers[1].split()[0]
        assert pair.corrupted_is_answerable is (kind is not PairKind.TAG)
        assert (pair.kind, pair.subset) == (kind, SUBSET_OF[kind])
        check_pair(pair)


@pytest.mark.parametrize("kind", [kind for kind in PairKind if kind is not PairKind.TAG])
def test_both_rows_of_a_pair_are_rows_of_the_data(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    for pair in pairs_of(rows, kind):
        assert pair.clean in rows
        assert pair.corrupted in rows
        assert pair.clean.row.is_evaluated
        assert pair.corrupted.row.is_evaluated


@pytest.mark.parametrize(
    ("subset", "other"),
    [
        ("D5_CONS", "D6_CONS"),
        ("D6_CONS", "D5_CONS"),
        ("D1_CONS_QA1", "D2_INCONS_QA2"),
        ("D2_INCONS_QA2", "D1_CONS_QA1"),
    ],
)
def test_across_takes_the_corrupted_alias_from_the_twin_subset(
    subset: str, other: str, toy: MakeRows
) -> None:
    pairs = make_pairs(toy(), PairKind.ALIAS_ACROSS, subset=subset, limit=None, seed=0)
    assert {(p.clean.row.subset.name, p.corrupted.row.subset.name) for p in pairs} == {
        (subset, other)
    }


@pytest.mark.parametrize("subset", ["D1_CONS_QA1", "QA3", "D6_CONS", "QA7_UNSEEN", "D8_CONS"])
def test_alias_pairs_stay_in_their_subset(subset: str, toy: MakeRows) -> None:
    pairs = make_pairs(toy(), PairKind.ALIAS, subset=subset, limit=None, seed=0)
    assert (
        {p.clean.row.subset.name for p in pairs}
        == {p.corrupted.row.subset.name for p in pairs}
        == {subset}
    )


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["tae", "tea", "ate", "eta"])
@pytest.mark.parametrize("subset", ["D1_CONS_QA1", "D2_INCONS_QA2", "D6_CONS"])
def test_definition_with_the_other_tag_is_what_the_tokenizer_makes_of_its_text(
    subset: str, order: str, names: AliasNames, iml_config: MakeConfig
) -> None:
    drawn = iml_config(word_order=WordOrder(order), names=names).build(0)
    tokenizer = word_tokenizer(drawn.words)
    rows = tokenize_rows(drawn.rows, tokenizer)
    pairs = make_pairs(rows, PairKind.TAG, subset=subset, limit=None, seed=0)
    corrupted = [pair.corrupted for pair in pairs]
    assert tokenize_rows([side.row for side in corrupted], tokenizer) == corrupted
    for pair in pairs:
        row = pair.corrupted.row
        assert row.tag is not None
        assert row.alias is not None
        assert row.entity is not None
        rendered = Definition(
            tag=row.tag, alias=row.alias, entity=row.entity, order=WordOrder(order)
        ).render()
        assert rendered == row.rendered


@pytest.mark.parametrize("shuffle_tags", [False, True])
def test_tag_is_swapped_for_the_other_one_also_in_a_null_twin(
    shuffle_tags: bool, toy: MakeRows
) -> None:
    rows = toy(shuffle_tags=shuffle_tags)
    (reliable,) = {r.row.tag for r in rows if r.row.subset.name == "D5_CONS"}
    (unreliable,) = {r.row.tag for r in rows if r.row.subset.name == "D6_CONS"}
    pairs = make_pairs(rows, PairKind.TAG, subset="D1_CONS_QA1", limit=None, seed=0)
    swaps = Counter((p.clean.row.tag, p.corrupted.row.tag) for p in pairs)
    both = {(reliable, unreliable), (unreliable, reliable)}
    assert set(swaps) == (both if shuffle_tags else {(reliable, unreliable)})
    assert swaps.total() == 12


def test_retagged_definition_has_an_identity_of_its_own(toy: MakeRows) -> None:
    (pair,) = pairs_of(toy(), PairKind.TAG, limit=1)
    assert pair.corrupted.row.row_id == f"{pair.clean.row.row_id}/tag=other"
    assert pair.pair_id == f"{pair.clean.row.row_id}|{pair.clean.row.row_id}/tag=other"
    assert pair.corrupted.row.split is Split.TEST


def test_foil_is_no_answer_that_the_same_definition_has_elsewhere() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "paris", "eta"),
        definition("D5_CONS", "rel", "bar", "paris", "eta"),
        definition("D5_CONS", "rel", "baz", "rome", "eta"),
        definition("D6_CONS", "unr", "qux", "paris", "eta"),
    )
    foils = {p.clean.row.alias: p.corrupted.row.alias for p in pairs_of(rows, PairKind.TAG)}
    assert foils.keys() == {"foo", "bar", "baz"}
    assert foils["foo"] == foils["bar"] == "baz"
    assert foils["baz"] in {"foo", "bar"}


def test_tag_of_other_letters_and_answer_of_other_tokens_move_the_spans() -> None:
    plain = [
        definition("D5_CONS", "rel", "foo", "new york"),
        definition("D5_CONS", "rel", "bar", "rome"),
        definition("D6_CONS", "unreliable", "qux", "paris"),
    ]
    rows = tokenize_rows(plain, tokenizer_of(plain))
    corrupted = {p.clean.row.alias: p.corrupted for p in pairs_of(rows, PairKind.TAG)}
    assert corrupted["foo"].row.rendered.text == "unreliable foo is rome"
    assert corrupted["foo"].answer_positions == (3,)
    assert corrupted["bar"].row.rendered.text == "unreliable bar is new york"
    assert corrupted["bar"].answer_positions == (3, 4)
    assert corrupted["bar"].row.rendered.spans == {
        Role.TAG: (0, 10),
        Role.ALIAS: (11, 14),
        Role.ENTITY: (18, 26),
    }
    assert corrupted["bar"].spans[Role.ENTITY] == (3, 4)
    retokenized = tokenize_rows([c.row for c in corrupted.values()], tokenizer_of(plain))
    assert retokenized == list(corrupted.values())


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["tae", "ate", "eta"])
@pytest.mark.parametrize("kind", [PairKind.ALIAS, PairKind.QUESTION, PairKind.TAG])
def test_source_toy_has_pairs_of_its_kinds(
    kind: PairKind, order: str, names: AliasNames, source_toy: MakeRows
) -> None:
    pairs = pairs_of(source_toy(word_order=WordOrder(order), names=names), kind)
    assert len({pair.clean.row.alias for pair in pairs}) == 4
    for pair in pairs:
        first, last = pair.clean.spans[SWAPPED_ROLE[kind]]
        assert differing_words(pair) <= set(range(first, last + 1))
        check_pair(pair)


def test_foil_of_a_source_statement_is_a_value_of_its_attribute(source_toy: MakeRows) -> None:
    for pair in pairs_of(source_toy(), PairKind.TAG):
        assert pair.corrupted.row.question == pair.clean.row.question
        assert pair.corrupted.row.rendered.answer.startswith(f"{pair.clean.row.question}=")


def test_answers_of_several_tokens_differ_in_the_first() -> None:
    rows = tokenized(
        question("foo", "home", "red brick house"),
        question("bar", "home", "red tent"),
        question("baz", "home", "old tent"),
    )
    pairs = pairs_of(rows, PairKind.ALIAS)
    partners = {p.clean.row.alias: p.corrupted.row.alias for p in pairs}
    assert partners["foo"] == partners["bar"] == "baz"
    assert partners["baz"] in {"foo", "bar"}
    by_alias = {p.clean.row.alias: p for p in pairs}
    assert by_alias["foo"].clean.answer_positions == (3, 4, 5)
    assert by_alias["foo"].n_tokens == 3


def test_partners_are_of_the_same_length() -> None:
    rows = tokenized(
        question("foo", "home", "red"),
        question("foo fly", "home", "green"),
        question("bar", "home", "blue"),
        question("bar fly", "home", "grey"),
        question("three word name", "home", "black"),
    )
    partners = {p.clean.row.alias: p.corrupted.row.alias for p in pairs_of(rows, PairKind.ALIAS)}
    assert partners == {"foo": "bar", "bar": "foo", "foo fly": "bar fly", "bar fly": "foo fly"}


def test_partners_have_their_roles_at_the_same_tokens() -> None:
    rows = tokenized(
        question("foo", "home town", "red"),
        question("foo", "job", "green"),
        question("bar fly", "job", "blue"),
    )
    with pytest.raises(InputError, match="prompt pair of unequal length"):
        pairs_of(rows, PairKind.ALIAS)


@pytest.mark.parametrize("kind", PairKind)
def test_aliases_are_used_equally_often(kind: PairKind, toy: MakeRows) -> None:
    rows = toy(n_values=40, n_entities=12)
    for limit in (None, 4, 7):
        pairs = pairs_of(rows, kind, limit=limit)
        clean = Counter(p.clean.row.alias or p.clean.row.entity for p in pairs)
        of_subset = {p.clean.row.alias or p.clean.row.entity for p in pairs_of(rows, kind)}
        counts = [clean[subject] for subject in of_subset]
        assert max(counts) - min(counts) <= 1


def test_partners_are_used_equally_often(toy: MakeRows) -> None:
    rows = toy(sizes=SubsetSizes(defined=12, undefined=5, stage2=30), n_entities=12)
    pairs = pairs_of(rows, PairKind.ALIAS)
    used = Counter(p.corrupted.row.alias for p in pairs)
    # 90 pairs over 30 aliases; partners drawn without regard to use would leave some at 0.
    assert len(pairs) == 90
    assert len(used) == 30
    assert set(used.values()) <= {2, 3, 4}


@pytest.mark.parametrize("kind", PairKind)
def test_no_clean_row_comes_twice(kind: PairKind, toy: MakeRows) -> None:
    clean = Counter(p.clean.row.row_id for p in pairs_of(toy(), kind))
    assert set(clean.values()) == {1}


@pytest.mark.parametrize("kind", PairKind)
def test_smaller_limit_gives_the_first_pairs(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    everything = pairs_of(rows, kind)
    for limit in range(1, len(everything) + 2):
        assert pairs_of(rows, kind, limit=limit) == everything[:limit]


@pytest.mark.parametrize("kind", PairKind)
def test_order_of_the_rows_does_not_matter(kind: PairKind, toy: MakeRows) -> None:
    rows = toy()
    shuffled = random.Random(0).sample(rows, len(rows))
    assert pairs_of(shuffled, kind) == pairs_of(rows, kind)


def test_seed_decides_the_draw(toy: MakeRows) -> None:
    rows = toy()
    draws = {tuple(p.pair_id for p in pairs_of(rows, PairKind.ALIAS, seed=s)) for s in range(5)}
    assert len(draws) == 5


def test_global_random_state_is_not_read(toy: MakeRows) -> None:
    rows = toy()
    random.seed(3)
    first = pairs_of(rows, PairKind.ALIAS)
    random.seed(4)
    assert pairs_of(rows, PairKind.ALIAS) == first


PRINT_DIGEST = """
import hashlib
from data.tasks.alias_toy import AliasNames, IMLConfig
from data.pairs import PairKind, make_pairs
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import tokenize_rows, word_tokenizer
from data.vocabulary import WordOrder
config = IMLConfig(
    sizes=SubsetSizes(defined=12, undefined=5, stage2=4),
    names=AliasNames(tokens=2, syllables=12), word_order=WordOrder.TAE, shuffle_tags=False,
    n_entities=6, n_attributes=3, n_values=4, held_out_questions=1, fact_repeats=2,
)
drawn = config.build(0)
rows = tokenize_rows(drawn.rows, word_tokenizer(drawn.words))
subsets = ["D5_CONS"] * 3 + ["QA4_NOT_REPLACED", "D5_CONS"]
pairs = [p for kind, subset in zip(PairKind, subsets, strict=True)
         for p in make_pairs(rows, kind, subset=subset, limit=None, seed=0)]
print(hashlib.sha256(repr(pairs).encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_pairs_are_the_same_in_every_process(hash_seed: str, toy: MakeRows, tmp_path: Path) -> None:
    rows = toy(names=TWO_TOKENS)
    pairs = [pair for kind in PairKind for pair in pairs_of(rows, kind)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(repr(pairs).encode()).hexdigest()


def test_table_has_texts_and_ids_of_each_pair() -> None:
    rows = tokenized(question("foo", "home", "red brick"), question("bar", "home", "blue"))
    table = pairs_table(pairs_of(rows, PairKind.ALIAS))
    record = table.set_index("clean_row_id").loc["D5_CONS/qa/foo/home"].to_dict()
    # The vocabulary is [PAD] [END] [UNK] ask bar blue brick foo home red.
    assert record == {
        "pair_id": "D5_CONS/qa/foo/home|D5_CONS/qa/bar/home",
        "kind": "alias",
        "subset": "D5_CONS",
        "clean": "ask foo home",
        "corrupted": "ask bar home",
        "clean_answer": "red brick",
        "corrupted_answer": "blue",
        "n_tokens": 3,
        "corrupted_is_answerable": True,
        "corrupted_row_id": "D5_CONS/qa/bar/home",
        "clean_answer_token": 9,
        "corrupted_answer_token": 5,
        "clean_input_ids": [3, 7, 8, 9, 6],
        "corrupted_input_ids": [3, 4, 8, 5],
    }
    assert len(table) == 2


def test_table_of_no_pairs_is_an_error() -> None:
    with pytest.raises(InputError, match="empty set of pairs"):
        pairs_table([])


@pytest.mark.parametrize("order", ["eta", "tea"])
def test_byte_pair_tags_are_swapped_where_they_are_of_equal_length(
    order: str, iml_config: Callable[..., IMLConfig]
) -> None:
    from transformers import PreTrainedTokenizerFast

    if not PYTHIA.is_file():
        pytest.skip("the Pythia tokenizer is not here")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(PYTHIA))
    config = iml_config(word_order=WordOrder(order), n_entities=12)
    n_swapped = 0
    for seed in range(8):
        rows = tokenize_rows(config.build(seed).rows, tokenizer)
        tags = [
            next(r for r in rows if r.row.subset.name == name) for name in ("D5_CONS", "D6_CONS")
        ]
        lengths = {row.spans[Role.TAG][1] - row.spans[Role.TAG][0] for row in tags}
        if len(lengths) > 1:
            with pytest.raises(InputError, match="prompt pair of unequal length"):
                pairs_of(rows, PairKind.TAG)
            continue
        corrupted = [pair.corrupted for pair in pairs_of(rows, PairKind.TAG)]
        assert tokenize_rows([side.row for side in corrupted], tokenizer) == corrupted
        n_swapped += 1
    assert 0 < n_swapped < 8


def hand_made(clean: Row, corrupted: Row) -> PromptPair:
    first, second = tokenized(clean, corrupted)
    return PromptPair(
        kind=PairKind.ALIAS,
        subset="D5_CONS",
        clean=first,
        corrupted=second,
        corrupted_is_answerable=True,
    )


def without_role(row: Row, role: Role) -> Row:
    spans = {r: span for r, span in row.rendered.spans.items() if r is not role}
    return replace(row, rendered=replace(row.rendered, spans=spans))


def test_fitting_pair_passes_the_check() -> None:
    check_pair(hand_made(question("foo", "home", "red"), question("bar", "home", "blue")))


@pytest.mark.parametrize(
    ("clean", "corrupted", "message"),
    [
        pytest.param(
            question("foo", "home", "red"),
            question("bar fly", "home", "blue"),
            "unequal length: .* 3 and 4 tokens before the answer",
            id="length",
        ),
        pytest.param(
            question("foo", "home", "red"),
            without_role(question("bar", "home", "blue"), Role.ALIAS),
            "lacks the role alias",
            id="role missing in the corrupted",
        ),
        pytest.param(
            without_role(question("foo", "home", "red"), Role.QUESTION),
            question("bar", "home", "blue"),
            "lacks the role question",
            id="role missing in the clean",
        ),
        pytest.param(
            question("foo", "home town", "red"),
            question("bar fly", "home", "blue"),
            "the role alias, question is at other tokens",
            id="places",
        ),
        pytest.param(
            question("foo", "home", "red brick"),
            question("bar", "home", "red tent"),
            "'red brick', 'red tent'.* begin with the same token",
            id="answer",
        ),
    ],
)
def test_misfit_is_refused_by_the_check(clean: Row, corrupted: Row, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pair(hand_made(clean, corrupted))


@pytest.mark.parametrize("kind", PairKind)
def test_unknown_subset_is_an_error(kind: PairKind, toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'D7'"):
        make_pairs(toy(), kind, subset="D7", limit=None, seed=0)


@pytest.mark.parametrize(
    ("kind", "subset"),
    [
        (PairKind.ALIAS, "QA4_NOT_REPLACED"),
        (PairKind.QUESTION, "QA4_NOT_REPLACED"),
        (PairKind.ALIAS_ACROSS, "QA3"),
        (PairKind.ALIAS_ACROSS, "D8_CONS"),
        (PairKind.TAG, "QA3"),
        (PairKind.TAG, "D8_CONS"),
        (PairKind.ENTITY, "D5_CONS"),
    ],
)
def test_subset_without_the_kind_is_an_error(kind: PairKind, subset: str, toy: MakeRows) -> None:
    with pytest.raises(InputError, match=f"{subset} has no prompts for pairs of kind {kind}; use"):
        make_pairs(toy(), kind, subset=subset, limit=None, seed=0)


@pytest.mark.parametrize("kind", [PairKind.ALIAS, PairKind.TAG])
def test_subset_that_this_data_lacks_is_an_error(kind: PairKind, toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'D9_INCONS_QA9'; did you mean"):
        make_pairs(toy(), kind, subset="D9_INCONS_QA9", limit=None, seed=0)


def test_source_toy_has_no_entities_to_swap(source_toy: MakeRows) -> None:
    with pytest.raises(InputError, match="no subset 'QA4_NOT_REPLACED'"):
        pairs_of(source_toy(), PairKind.ENTITY)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="empty set of pairs"):
        pairs_of([], PairKind.ALIAS)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_an_error(limit: int, toy: MakeRows) -> None:
    with pytest.raises(InputError, match=f"limit is {limit}"):
        pairs_of(toy(), PairKind.ALIAS, limit=limit)


def test_rows_of_two_seeds_are_an_error(toy: MakeRows) -> None:
    with pytest.raises(InputError, match="is there 2 times; pass the rows of one seed"):
        pairs_of([*toy(0), *toy(1)], PairKind.ALIAS)


def test_one_evaluated_question_an_alias_leaves_no_question_to_swap(toy: MakeRows) -> None:
    with pytest.raises(InputError, match=r"empty set of pairs: .*question pairs of D1_CONS_QA1"):
        make_pairs(toy(), PairKind.QUESTION, subset="D1_CONS_QA1", limit=None, seed=0)


def test_answers_that_all_begin_alike_are_an_error() -> None:
    rows = tokenized(question("foo", "home", "red brick"), question("bar", "home", "red tent"))
    with pytest.raises(InputError, match=r"empty set of pairs: .*begins with another token"):
        pairs_of(rows, PairKind.ALIAS)


def test_no_two_prompts_of_equal_length_are_an_error() -> None:
    rows = tokenized(question("foo", "home", "red"), question("bar fly", "home", "blue"))
    with pytest.raises(
        InputError, match=r"^prompt pair of unequal length: .*alias pairs of D5_CONS.*3 .*4\); use"
    ):
        pairs_of(rows, PairKind.ALIAS)


def test_tags_of_unequal_length_are_an_error() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "rome"),
        definition("D5_CONS", "rel", "bar", "paris"),
        definition("D6_CONS", "un rel", "qux", "rome"),
    )
    with pytest.raises(InputError, match=r"'rel foo is' has 3.*|'rel bar is' has 3.*'un rel"):
        pairs_of(rows, PairKind.TAG)


@pytest.mark.parametrize("order", TAG_IN_ANSWER)
@pytest.mark.parametrize("toy_name", ["toy", "source_toy"])
def test_tag_that_is_the_answer_is_an_error(
    toy_name: str, order: str, request: pytest.FixtureRequest
) -> None:
    rows = request.getfixturevalue(toy_name)(word_order=WordOrder(order))
    with pytest.raises(InputError, match=f"row D5_CONS/definition/00000.*word order {order} the"):
        pairs_of(rows, PairKind.TAG)


def test_definitions_with_one_tag_only_are_an_error() -> None:
    rows = tokenized(
        definition("D5_CONS", "rel", "foo", "rome"), definition("D5_CONS", "rel", "bar", "paris")
    )
    with pytest.raises(InputError, match="carry 1 reliable and unreliable tags, not 2"):
        pairs_of(rows, PairKind.TAG)
