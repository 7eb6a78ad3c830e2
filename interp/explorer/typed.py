"""A prompt that a person types into the board: text in, the view of it out."""

from dataclasses import dataclass, replace

import torch

from data.errors import InputError, unknown_name
from data.pairs import PromptPair
from data.tokens import UNKNOWN, TokenizedRow
from interp.explorer.view import View, own_view
from interp.hooked.model import HookedModel
from interp.own.texts import prompt_pairs, prompts

CANDIDATES = 20
"""How many of the likeliest tokens are tried as the corrupted prompt's answer."""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What was typed; an empty corrupted prompt is none."""

    prompt: str
    answer: str
    corrupted: str = ""
    corrupted_answer: str = ""
    """What the model says itself, where nothing is typed."""

    @classmethod
    def of(cls, prompt: TokenizedRow, corrupted: TokenizedRow | None) -> "Typed":
        """What somebody would type to get these prompts."""
        texts = [row.row.rendered for row in (prompt, corrupted) if row is not None]
        said = [part for text in texts for part in (text.prompt, text.answer.strip())]
        return cls(**dict(zip(cls.__dataclass_fields__, said, strict=False)))


def typed_view(view: View, typed: Typed) -> View:
    """What the view's model makes of the typed prompt.

    Raises:
        InputError: a word is not of the vocabulary, an answer has no token, a prompt is beyond the
            context, or the two prompts differ in length.
    """
    model = view.model
    for text in (typed.prompt, typed.answer, typed.corrupted, typed.corrupted_answer):
        _check_words(model, text)
    if not typed.corrupted.strip():
        if typed.corrupted_answer.strip():
            raise InputError(
                f"an answer {typed.corrupted_answer!r} without a corrupted prompt; type one"
            )
        (row,) = prompts(model, [typed.prompt], answers=[typed.answer])
        return own_view(model, view.rows, _called(row, "typed"), None)
    pair = _pair(model, typed)
    return own_view(
        model,
        view.rows,
        _called(pair.clean, "typed"),
        _called(pair.corrupted, "typed corrupted"),
    )


def _pair(model: HookedModel, typed: Typed) -> PromptPair:
    if typed.corrupted_answer.strip():
        return _paired(model, typed)
    refusals = []
    for word in _likeliest(model, typed):
        try:
            return _paired(model, replace(typed, corrupted_answer=word))
        except InputError as refusal:  # the answer itself, or tokens that only go with others
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    raise InputError("the model says no word after the corrupted prompt; type an answer to it")


def _paired(model: HookedModel, typed: Typed) -> PromptPair:
    (pair,) = prompt_pairs(
        model,
        [typed.prompt],
        [typed.corrupted],
        answers=[typed.answer],
        corrupted_answers=[typed.corrupted_answer],
    )
    return pair


def _likeliest(model: HookedModel, typed: Typed) -> list[str]:
    """The words that the model would say after the corrupted prompt, but for the answer."""
    (row,) = prompts(model, [typed.corrupted], answers=[typed.answer])
    end = row.answer_positions[0]
    logits = model.logits(torch.tensor([row.input_ids[:end]]))[0, -1]
    found = logits.topk(min(CANDIDATES, model.d_vocab)).indices.tolist()
    assert model.tokenizer is not None
    no_words = {row.input_ids[end], *model.tokenizer.all_special_ids}
    words = [str(model.tokenizer.decode([i])) for i in found if i not in no_words]
    return [word for word in words if word.strip()]


def _check_words(model: HookedModel, text: str) -> None:
    """Refuses a word that a vocabulary of whole words lacks, by its name."""
    if model.tokenizer is None or model.tokenizer.unk_token != UNKNOWN:
        return
    known = model.tokenizer.get_vocab()
    for word in text.split():
        if word not in known:
            shown = str(unknown_name("word", word, known))
            raise InputError(
                shown if "did you mean" in shown
                else f"no word {word!r} in this vocabulary; use its words, see the menus"
            )  # fmt: skip


def _called(row: TokenizedRow, name: str) -> TokenizedRow:
    return replace(row, row=replace(row.row, row_id=name))
