from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data.errors import InputError
from data.rows import Row
from data.statements import Definition, QAPair, RenderedText, SourceStatement
from data.tasks.iml import SUBSETS
from data.tokens import END, PAD, UNKNOWN, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Role, Split, WordOrder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PYTHIA = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json"
ALIAS_WORDS = ["foo", "bar", "baz", "qux", "zap"]
WORDS = ["qwerty", "is", "ask", "cleopatra", "born", "egypt", *ALIAS_WORDS]
ROLE_OF_LETTER = {"t": Role.TAG, "a": Role.ALIAS, "e": Role.ENTITY}


def row_of(rendered: RenderedText) -> Row:
    return Row(
        row_id="row",
        subset=SUBSETS["D1_CONS_QA1"],
        split=Split.TRAIN,
        kind=Kind.DEFINITION,
        rendered=rendered,
        alias=None,
        entity=None,
        tag=None,
        question=None,
    )


def definition(order: WordOrder, n_tokens: int) -> Row:
    alias = " ".join(ALIAS_WORDS[:n_tokens])
    return row_of(Definition(tag="qwerty", alias=alias, entity="cleopatra", order=order).render())


@pytest.fixture(scope="module")
def pythia_tokenizer() -> "PreTrainedTokenizerFast":
    from transformers import PreTrainedTokenizerFast

    if not PYTHIA.is_file():
        pytest.skip("the Pythia tokenizer is not here")
    return PreTrainedTokenizerFast(tokenizer_file=str(PYTHIA))


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("n_tokens", range(1, 6))
def test_word_level_spans_are_where_the_word_order_puts_them(order, n_tokens: int) -> None:
    lengths = {"t": 1, "a": n_tokens, "e": 1}
    labels = []
    for place, letter in enumerate(order):
        labels += ["copula"] * (place == 2) + [letter] * lengths[letter]
    expected = {
        ROLE_OF_LETTER[letter]: (labels.index(letter), labels.index(letter) + lengths[letter] - 1)
        for letter in order
    }
    (tokenized,) = tokenize_rows([definition(order, n_tokens)], word_tokenizer(WORDS))
    assert tokenized.spans == expected
    first, last = expected[ROLE_OF_LETTER[order[-1]]]
    assert tokenized.answer_positions == tuple(range(first, last + 1))
    assert last == len(tokenized.input_ids) - 1


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("n_tokens", range(1, 6))
def test_byte_pair_spans_decode_to_their_own_words(
    order: WordOrder, n_tokens: int, pythia_tokenizer: "PreTrainedTokenizerFast"
) -> None:
    row = definition(order, n_tokens)
    (tokenized,) = tokenize_rows([row], pythia_tokenizer)
    ids = tokenized.input_ids
    assert len(ids) > 4 + n_tokens - 1  # "qwerty" and "cleopatra" are split

    def said(span: tuple[int, int]) -> str:
        return str(pythia_tokenizer.decode(list(ids[span[0] : span[1] + 1]))).strip()

    assert {role: said(span) for role, span in tokenized.spans.items()} == {
        Role.TAG: "qwerty",
        Role.ALIAS: " ".join(ALIAS_WORDS[:n_tokens]),
        Role.ENTITY: "cleopatra",
    }
    answer = tokenized.answer_positions
    assert said((answer[0], answer[-1])) == row.rendered.answer


def test_byte_pair_spans_of_a_question_share_no_token(
    pythia_tokenizer: "PreTrainedTokenizerFast",
) -> None:
    rendered = QAPair(
        subject="asciiart egyptianize", role=Role.ALIAS, question="attr0", answer="attr0=3"
    ).render()
    (tokenized,) = tokenize_rows([row_of(rendered)], pythia_tokenizer)
    spans = sorted(tokenized.spans.values())
    assert len(spans) == 3
    assert all(left[1] < right[0] for left, right in pairwise(spans))


@pytest.mark.parametrize("order", WordOrder)
def test_source_statement_spans_are_word_positions(order: WordOrder) -> None:
    rendered = SourceStatement(
        tag="qwerty", alias="foo bar", attribute="born", value="egypt", order=order
    ).render()
    (tokenized,) = tokenize_rows([row_of(rendered)], word_tokenizer(WORDS))
    words = rendered.text.split()
    assert tokenized.spans == {
        Role.TAG: (words.index("qwerty"),) * 2,
        Role.ALIAS: (words.index("foo"), words.index("bar")),
        Role.QUESTION: (words.index("born"),) * 2,
        Role.ANSWER: (words.index("egypt"),) * 2,
    }


def test_vocabulary_is_special_tokens_then_words_in_their_order() -> None:
    tokenizer = word_tokenizer(["b", "a"])
    assert tokenizer.convert_tokens_to_ids([PAD, END, UNKNOWN, "b", "a"]) == [0, 1, 2, 3, 4]
    assert tokenizer("a b")["input_ids"] == [4, 3]


def test_word_outside_the_vocabulary_is_an_error() -> None:
    with pytest.raises(InputError, match="outside the vocabulary"):
        tokenize_rows([definition(WordOrder.TAE, 2)], word_tokenizer(["qwerty", "is", "foo"]))


def test_role_without_a_token_of_its_own_is_an_error() -> None:
    empty = RenderedText(text="foo bar", answer_span=(4, 7), spans={Role.TAG: (3, 4)})
    with pytest.raises(InputError, match="no token of its own"):
        tokenize_rows([row_of(empty)], word_tokenizer(WORDS))


def test_space_with_a_token_of_its_own_belongs_to_the_answer() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["?", "ask", "foo", " ", "\n"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    cut = pre_tokenizers.Split(Regex(r"\s"), behavior="isolated")
    tokenizer.pre_tokenizer = cut  # pyright: ignore[reportAttributeAccessIssue]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    spaced = RenderedText(text="ask foo", answer_span=(4, 7), spans={Role.ANSWER: (4, 7)})
    on_a_new_line = RenderedText(text="ask\nfoo", answer_span=(4, 7), spans={})
    first, second = tokenize_rows([row_of(spaced), row_of(on_a_new_line)], fast)
    assert first.input_ids == (1, 3, 2)
    assert first.answer_positions == (1, 2)
    assert first.spans == {Role.ANSWER: (2, 2)}
    assert second.answer_positions == (2,)


def test_no_rows_give_no_tokens() -> None:
    assert tokenize_rows([], word_tokenizer(WORDS)) == []


def with_front(tokens: dict[str, int], **more) -> "PreTrainedTokenizerFast":
    """A tokenizer of single words that puts `<s>` in front of a text and `</s>` behind it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2, **tokens}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize("order", WordOrder)
def test_what_a_tokenizer_puts_in_front_moves_every_role_and_has_none(order: WordOrder) -> None:
    row = definition(order, 2)
    plain = word_tokenizer(WORDS)
    (without,) = tokenize_rows([row], plain)
    (found,) = tokenize_rows([row], with_front({w: i + 3 for i, w in enumerate(WORDS)}))
    assert found.input_ids == (0, *without.input_ids), "and nothing is put behind"
    assert found.answer_positions == tuple(i + 1 for i in without.answer_positions)
    assert found.spans == {role: (a + 1, b + 1) for role, (a, b) in without.spans.items()}


def asked(answer: str, question: str = "born", *, subject: str = "foo") -> Row:
    rendered = QAPair(subject=subject, role=Role.ALIAS, question=question, answer=answer).render()
    return replace(row_of(rendered), kind=Kind.QA, question=question, row_id=f"row of {answer}")


def test_answers_that_a_tokenizer_spells_alike_are_refused_by_name() -> None:
    tokenizer = with_front({word: i + 3 for i, word in enumerate(WORDS)})
    both = r"row of 王: the answers '李' and '王' have the same tokens; use a tokenizer that tells"
    with pytest.raises(InputError, match=both):
        tokenize_rows([asked("egypt"), asked("李"), asked("王")], tokenizer)
    further = replace(asked("egypt"), other_answers=(asked("李").rendered, asked("王").rendered))
    with pytest.raises(InputError, match=r"the answers '李' and '王' have the same tokens"):
        tokenize_rows([further], tokenizer)
    names = [asked("egypt", subject="ab"), asked("egypt", subject="cd")]
    with pytest.raises(InputError, match=r"the aliases 'ab' and 'cd' have the same tokens"):
        tokenize_rows(names, tokenizer)


def test_answer_spelled_as_unknown_is_fine_where_no_other_answers_the_same_question() -> None:
    tokenizer = with_front({word: i + 3 for i, word in enumerate(WORDS)})
    rows = [asked("李"), asked("李"), asked("egypt"), asked("王", "cleopatra")]
    assert [row.input_ids[row.answer_positions[0]] for row in tokenize_rows(rows, tokenizer)] == [
        2,
        2,
        WORDS.index("egypt") + 3,
        2,
    ]
