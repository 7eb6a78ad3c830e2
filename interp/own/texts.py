"""From a person's own text to rows and pairs: tokens, and where each named word stands.

    rows = prompts(model, ["Cleopatra was born in"], answers=["Egypt"], roles={"who": "Cleopatra"})
    pairs = prompt_pairs(model, ["Lily has a red"], ["Lily has a blue"], answers=["ball"], ...)

Roles are whatever words the person names. Analyses call their tokens `who_first` and `who_last`.
The rows are of the subset `prompts`, of no experiment's.
"""

import re
from collections.abc import Mapping, Sequence

from data.errors import InputError
from data.pairs import OWN_PROMPTS, PromptPair, check_pair
from data.rows import PROMPTS, prompt_row
from data.tokens import TokenizedRow, encode, tokenize_rows
from data.vocabulary import Role
from interp.hooked.activations import check_rows
from interp.hooked.model import HookedModel

Span = str | tuple[int, int]
"""A word or words of a text, or first character and the one behind the last."""
Spans = Mapping[str, Span | Sequence[Span]]
"""By the name of a role, what has it: the same in every text, or of each text its own."""
TAKEN = ("all", "answer", "every", "other", "position", "prompt")
"""What tables and figures call other things."""


def prompts(
    model: HookedModel,
    texts: Sequence[str] | str,
    *,
    answers: Sequence[str] | str,
    roles: Spans | None = None,
    space: str = " ",
) -> list[TokenizedRow]:
    """Texts as rows that every analysis of one model takes.

    Args:
        model: Whose tokenizer it is, and whose context the texts must fit.
        texts: Prompts, without their answers.
        answers: What should come next: one of each text, or one string for all of them.
        roles: Words of the texts by what the person calls them, `{"who": "Cleopatra"}`: one string
            for all texts, or a list with one for each. A word that a text holds more than once is
            told by its characters instead, as `(0, 9)`.
        space: What is put between text and answer where neither has white space there; nothing,
            `""`, before a full stop, or in a language that writes no spaces.

    Raises:
        InputError: a text lacks a role's words or holds them more than once, an answer has no
            token or shares one with the text's last word, a prompt is beyond the model's context,
            or numbers of texts and answers differ.
    """
    return _rows(model, texts, answers, roles or {}, space, called="prompt")


def prompt_pairs(
    model: HookedModel,
    clean: Sequence[str] | str,
    corrupted: Sequence[str] | str,
    *,
    answers: Sequence[str] | str,
    corrupted_answers: Sequence[str] | str,
    roles: Spans | None = None,
    space: str = " ",
) -> list[PromptPair]:
    """Pairs of texts of equally many tokens that differ in what a person changed.

    Args:
        model: As in `prompts`.
        clean: Prompts that the answers belong to.
        corrupted: Of each the same with something changed.
        answers: Of the clean prompts.
        corrupted_answers: Of the corrupted ones; they begin with another token.
        roles: Words of the clean prompts; in the corrupted ones the same tokens have the role.
        space: As in `prompts`.

    Raises:
        InputError: as `prompts`; two prompts differ in length, or their answers begin alike.
    """
    clean_rows = _rows(model, clean, answers, roles or {}, space, called="clean")
    others = _rows(model, corrupted, corrupted_answers, {}, space, called="corrupted")
    if len(clean_rows) != len(others):
        raise InputError(
            f"{len(clean_rows)} clean and {len(others)} corrupted prompts; give one for each"
        )
    both = list(zip(clean_rows, others, strict=True))
    for row, other in both:
        _check_length(model, row, other)
    placed = [(row, _with_places_of(model, row, other)) for row, other in both]
    pairs = [
        PromptPair(
            kind=OWN_PROMPTS,
            subset=PROMPTS.name,
            clean=row,
            corrupted=other,
            corrupted_is_answerable=True,
        )
        for row, other in placed
    ]
    for pair in pairs:
        check_pair(pair)
    return pairs


def other_answers(
    model: HookedModel, rows: Sequence[TokenizedRow], answers: Sequence[str] | str
) -> list[int]:
    """First tokens of other answers to prompts, spaced as the rows' own are.

    Raises:
        InputError: as `prompts`.
    """
    starts = [row.row.rendered.answer_span[0] for row in rows]
    texts = [row.row.rendered.text[:start] for row, start in zip(rows, starts, strict=True)]
    others = _rows(model, texts, answers, {}, "", called="other answer")
    return [row.input_ids[row.answer_positions[0]] for row in others]


def _rows(
    model: HookedModel,
    texts: Sequence[str] | str,
    answers: Sequence[str] | str,
    roles: Spans,
    space: str,
    *,
    called: str,
) -> list[TokenizedRow]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    answers = [answers] * len(texts) if isinstance(answers, str) else list(answers)
    if not texts or len(texts) != len(answers):
        raise InputError(f"{len(texts)} {called} texts and {len(answers)} answers; give one each")
    rows = []
    for i, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        if not (text.strip() and answer.strip()):
            what = f"the answer {answer!r}" if text.strip() else f"the text {text!r}"
            raise InputError(f"{called} {i}: {what} has no token; give a word at least")
        spans = {
            _role(name): _characters(text, name, _of_text(name, words, i, len(texts)), i)
            for name, words in roles.items()
        }
        between = "" if text[-1].isspace() or answer[0].isspace() else space
        # The space is the text's where a token of the text ends with it.
        whole, said = f"{text}{between}{answer}", answer.lstrip()
        rows.append(prompt_row(f"{called} {i}", whole, said, spans=spans))
    tokenized = tokenize_rows(rows, model.fast_tokenizer())
    for row, text in zip(tokenized, texts, strict=True):
        _check_tokens(model, row, text)
    check_rows(model, tokenized)
    return tokenized


def _check_tokens(model: HookedModel, row: TokenizedRow, text: str) -> None:
    """Refuses a row that is too long, or a word of whose text shares a token with the answer."""
    whole, n_tokens = row.row.rendered.text, len(row.input_ids)
    if n_tokens > model.n_ctx:
        raise InputError(
            f"{row.row.row_id} has {n_tokens} tokens with its answer, this model reads "
            f"{model.n_ctx}; shorten {whole[:40]!r}"
        )
    ((_, offsets),) = encode([whole], model.fast_tokenizer())
    start, end = offsets[row.answer_positions[0]]
    if any(each.isalnum() for each in whole[start : len(text)]):
        raise InputError(
            f"{row.row.row_id}: {whole[start:end]!r} is one token of its text and its answer "
            f"{row.row.rendered.answer!r}; end the text elsewhere"
        )


def _role(name: str) -> str:
    if not name.isidentifier() or name.lower() in TAKEN:
        raise InputError(
            f"no role can be called {name!r}; use letters and digits, and none of "
            f"{', '.join(TAKEN)}"
        )
    return Role(name) if name in set(Role) else name


def _of_text(name: str, words: Span | Sequence[Span], place: int, n_texts: int) -> Span:
    """What of a text has a role; a pair of numbers is one span, of every text."""
    if isinstance(words, str):
        return words
    if isinstance(words, tuple) and all(isinstance(each, int) for each in words):
        return words  # pyright: ignore[reportReturnType]
    if len(words) != n_texts:
        raise InputError(f"role {name} has words of {len(words)} texts, not {n_texts}; give all")
    return words[place]  # pyright: ignore[reportReturnType]


def _characters(text: str, name: str, words: Span, place: int) -> tuple[int, int]:
    if not isinstance(words, str):
        start, end = words
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            raise InputError(
                f"role {name}: text {place} ({text!r}) holds nothing from character {start} to "
                f"{end}; give two numbers from 0 to {len(text)}"
            )
        return start, end
    found = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text)]
    if not words.strip() or not found:
        raise InputError(
            f"role {name}: text {place} ({text!r}) does not hold {words!r}; name words of the text"
        )
    if len(found) > 1:
        listed = " or ".join(map(str, found))
        raise InputError(
            f"role {name}: text {place} ({text!r}) holds {words!r} {len(found)} times; give the "
            f"characters, {listed}"
        )
    return found[0]


def _check_length(model: HookedModel, row: TokenizedRow, other: TokenizedRow) -> None:
    """Refuses prompts of unequal length, and says where they part."""
    sides = [each.input_ids[: each.answer_positions[0]] for each in (row, other)]
    if len(sides[0]) == len(sides[1]):
        return
    shorter = min(map(len, sides))
    first = next((i for i in range(shorter) if sides[0][i] != sides[1][i]), shorter)
    decode = model.fast_tokenizer().decode
    said = [repr(decode([side[first]])) if first < len(side) else "nothing" for side in sides]
    raise InputError(
        f"{row.row.row_id} has {len(sides[0])} tokens, {other.row.row_id} has {len(sides[1])}; "
        f"they differ first at token {first}, {said[0]} and {said[1]}: use words of as many tokens"
    )


def _with_places_of(model: HookedModel, row: TokenizedRow, other: TokenizedRow) -> TokenizedRow:
    """The other prompt with the roles of a row at the same tokens."""
    tokenizer = model.fast_tokenizer()
    text, answer = other.row.rendered.text, other.row.rendered.answer
    ((_, offsets),) = encode([text], tokenizer)
    spans = {
        role: (offsets[first][0], offsets[last][1]) for role, (first, last) in row.spans.items()
    }
    placed = prompt_row(other.row.row_id, text, answer, spans=spans)
    return tokenize_rows([placed], tokenizer)[0]
