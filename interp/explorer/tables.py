"""Frames of one reading, or of two side by side: before and after a change of some cells."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from data.partners import first_answer_token
from interp.explorer.view import Reading, View
from interp.figures.places import site_words
from interp.hooked.addresses import check_number
from interp.hooked.sites import choose_sites

TOP = 8
"""Number of the likeliest answers that are shown."""


def logit_differences(view: View, reading: Reading) -> tuple[float, float] | None:
    """The prompt's answer minus the corrupted one's, in logits, of both prompts."""
    if view.corrupted is None:
        return None
    answer, foil = view.answer, first_answer_token(view.corrupted)
    end = view.corrupted.answer_positions[0]
    logits = view.model.logits(torch.tensor([view.corrupted.input_ids[:end]]))[0, -1].float()
    # The softmax normaliser cancels in a difference.
    return float(reading.log_probs[answer] - reading.log_probs[foil]), float(
        logits[answer] - logits[foil]
    )


def answers_table(view: View, before: Reading, after: Reading | None = None) -> pd.DataFrame:
    """The likeliest next tokens, before or after; the answer is always among them.

    Columns `token before after is_answer is_stated`: probabilities (`after` is NaN without an
    ablation), whether the token begins the true answer, and whether it begins another one that the
    alias's definition implies. Likeliest first, as before.
    """
    readings = [before, before if after is None else after]
    answer, stated = view.answer, _stated(view)
    shown = {answer, stated}
    for reading in readings:
        shown |= set(reading.log_probs.topk(min(TOP, len(reading.log_probs))).indices.tolist())
    most = torch.stack([reading.log_probs for reading in readings]).amax(0)
    kept = sorted(shown, key=lambda i: (i not in (answer, stated), -float(most[i])))[:TOP]
    kept.sort(key=lambda i: (-float(before.log_probs[i]), i))
    probabilities = [reading.log_probs[kept].exp().tolist() for reading in readings]
    return pd.DataFrame(
        {
            "token": view.rows.tokens(kept),
            "before": probabilities[0],
            "after": np.nan if after is None else probabilities[1],
            "is_answer": [i == answer for i in kept],
            "is_stated": [i == stated != answer for i in kept],
        }
    )


def chance(view: View) -> float:
    """The probability of guessing among everything that could be the answer; see `choices`."""
    return 1 / len(choices(view))


def choices(view: View) -> list[int]:
    """The first tokens of all answers to the same question; where no other is known, all tokens."""
    answers = sorted(set(view.rows.answer_tokens(view.question.row)))
    return answers if len(answers) > 1 else list(range(view.model.d_vocab))


def choices_words(view: View) -> str:
    """Among what somebody would guess."""
    n = len(choices(view))
    return f"all {n} tokens" if n == view.model.d_vocab else f"the {n} answers"


def lens_table(view: View, before: Reading, after: Reading | None = None) -> pd.DataFrame:
    """What the logit lens reads at the prompt's last token, by state of the residual stream.

    Columns `state quantity before after`, log-probabilities in nats. Quantities: the `answer`, the
    `entity` that it follows, what a false definition states (`stated answer`, `stated entity`), the
    answer of a person's own `corrupted prompt`; as controls the means over all other answers (or,
    where none is known, over all other tokens) and over all other entities.
    """
    states = [site_words(site.name, site.layer) for site in choose_sites(view.model)]
    tables = []
    for quantity, tokens in lens_quantities(view).items():
        read = [None if r is None else r.lens[:, tokens].mean(1).numpy() for r in (before, after)]
        measured = {"before": read[0], "after": np.nan if read[1] is None else read[1]}
        tables.append(pd.DataFrame({"state": states, "quantity": quantity, **measured}))
    return pd.concat(tables, ignore_index=True)


def lens_quantities(view: View) -> dict[str, list[int]]:
    """The tokens of each quantity of `lens_table`; several stand for the mean over them."""
    rows, row = view.rows, view.question.row
    answer, stated, entities = view.answer, _stated(view), rows.entity_tokens()
    named = rows.stated_entity(row)
    found: dict[str, list[int]] = {"answer": [answer]}
    if row.entity in entities:
        found["entity"] = [entities[row.entity]]
    if stated != answer:
        found["stated answer"] = [stated]
    if named is not None and named != row.entity and named in entities:
        found["stated entity"] = [entities[named]]
    if view.is_own and view.corrupted is not None:
        found["answer of the corrupted prompt"] = [first_answer_token(view.corrupted)]
    shown = {token for tokens in found.values() for token in tokens}
    others = sorted(set(choices(view)) - shown)
    is_vocabulary = len(choices(view)) == view.model.d_vocab
    name = "all other tokens (mean)" if is_vocabulary else "other answers (mean)"
    found |= {name: others} if others else {}
    away = sorted({t for name, t in entities.items() if name not in (row.entity, named)})
    found |= {"other entities (mean)": away} if away and "entity" in found else {}
    return found


def said_table(view: View, reading: Reading) -> pd.DataFrame:
    """What the logit lens reads as the next token after each layer, at each token of the prompt.

    Columns `state pos token probability answer`: the likeliest token, its probability, and that of
    the prompt's answer.
    """
    states = [site_words(site.name, site.layer) for site in choose_sites(view.model)]
    n_pos = reading.said.shape[1]
    return pd.DataFrame(
        {
            "state": np.repeat(states, n_pos),
            "pos": np.tile(np.arange(n_pos), len(states)),
            "token": view.rows.tokens(reading.said.flatten().tolist()),
            "probability": reading.said_log_probs.exp().flatten().numpy(),
            "answer": reading.answer_log_probs.exp().flatten().numpy(),
        }
    )


def attention_table(reading: Reading, *, head: tuple[int, int] | None = None) -> pd.DataFrame:
    """The pattern as `interp.attention.pattern_plots.plot_attention` takes it.

    Columns `layer head dest_pos src_pos attention`.

    Args:
        reading: What a forward pass over the prompt says.
        head: Layer and number of one head; all unless given.

    Raises:
        InputError: there is no such head.
    """
    places = np.indices(reading.patterns.shape).reshape(4, -1)
    columns: dict[str, Any] = dict(
        zip(("layer", "head", "dest_pos", "src_pos"), places, strict=True)
    )
    table = pd.DataFrame(columns | {"attention": reading.patterns.flatten().numpy()})
    if head is None:
        return table
    for kind, number, count in zip(("layer", "head"), head, reading.patterns.shape, strict=False):
        check_number(kind, number, count)
    chosen = (table["layer"] == head[0]) & (table["head"] == head[1])
    return table.loc[chosen].reset_index(drop=True)


def _stated(view: View) -> int:
    """The first token of what a definition implies; the answer if that is the same or not known."""
    stated = view.rows.stated_token(view.question.row)
    return view.answer if stated is None else stated
