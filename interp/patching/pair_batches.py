"""Clean / corrupted pairs as tensors, and which of them the model answers with confidence.

A pass reads a prompt and, for answers of several tokens, the clean answer but its last token: the
logits at the last `answer` positions then predict the clean answer's tokens in both prompts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from data.errors import InputError
from data.pairs import OWN_PROMPTS, PairKind, PromptPair, check_pair
from data.tokens import TokenizedRow
from interp.hooked.addresses import (
    AnyTokenRole,
    TokenRole,
    find_token_role,
    own_token_roles,
)
from interp.hooked.model import HookedModel
from interp.interventions.base import answer_table

CONFIDENT = 0.5
"""Least probability of a prompt's own answer: what is not answered cannot be traced."""
PAIRS_A_BATCH = 64
EVERYWHERE = "all"
"""The role that stands for every position of the prompt at once."""


class NoConfidentPairError(InputError):
    """The model answers no pair of a set with confidence."""


class PatchMetric(StrEnum):
    """How strongly a forward pass says the clean answer: its name, in words, and its unit."""

    LOGIT_DIFF = "logit_diff", "logit difference", "logits"
    """Logit of the clean answer's first token minus that of the corrupted one's."""
    ANSWER_LOG_PROB = "answer_log_prob", "answer log-probability", "nats"
    """Summed over the clean answer's tokens."""
    PROBABILITY = "probability", "answer probability", "probability"

    words: str
    unit: str

    def __new__(cls, name: str, words: str, unit: str) -> "PatchMetric":
        """A member that is equal to its name."""
        member = str.__new__(cls, name)
        member._value_, member.words, member.unit = name, words, unit
        return member


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Pairs of one kind and length, of tag pairs with the same tag in the clean prompt."""

    clean: Int[Tensor, "pair pos"]
    corrupted: Int[Tensor, "pair pos"]
    answers: Int[Tensor, "pair answer"]
    """Tokens of the clean prompt's answer, predicted at the last positions."""
    foils: Int[Tensor, " pair"]
    """First token of the corrupted prompt's answer."""
    roles: tuple[str, ...]
    masks: Bool[Tensor, "role pair pos"]
    """Where each role stands; the same in both prompts."""
    kind: str = PairKind.ALIAS
    others: Int[Tensor, " pair"] | None = None
    """For each pair another one, which the control's donor comes from; None of a single pair."""

    @property
    def kept(self) -> int:
        """Number of last positions whose logits are read."""
        return self.answers.shape[1]


def batch_pairs(pairs: Sequence[PromptPair], roles: Sequence[str]) -> list[PairBatch]:
    """Pairs as tensors, those of one length together, in batches of about one size.

    Args:
        pairs: At least one.
        roles: Names of token roles, or `all` for the whole prompt.

    Raises:
        InputError: there is no pair, the two prompts of one differ in length, or one lacks a role.
    """
    if not pairs:
        raise InputError("an empty set of pairs; choose another kind or subset")
    groups: defaultdict[tuple[int, int, str], list[PromptPair]] = defaultdict(list)
    for pair in pairs:
        check_pair(pair)
        answer = pair.clean.answer_positions
        # Of tag pairs the control's donor carries the pair's own tag, so each tag is by itself.
        tag = pair.clean.row.tag or "" if pair.kind is PairKind.TAG else ""
        groups[answer[0], len(answer), tag].append(pair)
    parts = [
        [group[i] for i in places]
        for _, group in sorted(groups.items())
        for places in np.array_split(np.arange(len(group)), -(-len(group) // PAIRS_A_BATCH))
    ]
    return [_batch(part, roles) for part in parts]


def prompt_roles(pairs: Sequence[PromptPair]) -> tuple[AnyTokenRole, ...]:
    """The roles that every prompt has, each position named once, in the order of the first prompt.

    Of an element of one token it is the last token's name, and the prompt's end keeps the name of
    the element that ends there.
    """
    named: dict[tuple[int, ...], AnyTokenRole] = {}
    own = own_token_roles([pair.clean for pair in pairs])
    for role in sorted([*own, *TokenRole], key=_rank):
        try:
            places = tuple(role.position(pair.clean) for pair in pairs)
        except InputError:
            continue
        before = all(
            place < pair.clean.answer_positions[0]
            for place, pair in zip(places, pairs, strict=True)
        )
        if before:
            named.setdefault(places, role)
    return tuple(named[places] for places in sorted(named))


def confident_pairs(
    model: HookedModel, pairs: Sequence[PromptPair], *, least: float = CONFIDENT
) -> tuple[list[PromptPair], float]:
    """The pairs whose prompts the model answers, and the share that was dropped.

    A corrupted prompt counts where it has an answer of its own.

    Raises:
        InputError: there is no pair.
        NoConfidentPairError: of none do both answers reach the probability `least`.
    """
    if not pairs:
        raise InputError("an empty set of pairs; choose another kind or subset")
    sure = answer_probability(model, [pair.clean for pair in pairs]) >= least
    answerable = [i for i, pair in enumerate(pairs) if pair.corrupted_is_answerable]
    if answerable:
        other = answer_probability(model, [pairs[i].corrupted for i in answerable])
        sure[answerable] &= other >= least
    kept = [pair for pair, is_sure in zip(pairs, sure.tolist(), strict=True) if is_sure]
    if not kept:
        raise NoConfidentPairError(
            f"the model answers none of {len(pairs)} {pairs[0].kind} pairs of {pairs[0].subset} "
            f"with a probability of {least}; choose another checkpoint, subset or --confidence"
        )
    return kept, 1 - len(kept) / len(pairs)


def read_metrics(
    logits: Float[Tensor, "*cell pair kept d_vocab"],
    batch: PairBatch,
    metrics: Sequence[PatchMetric],
) -> Float[Tensor, "metric *cell pair"]:
    """What the logits at the last positions say of each pair's clean answer."""
    answers, foils = batch.answers.to(logits.device), batch.foils.to(logits.device)
    logits = logits.float()
    chosen = logits.gather(-1, answers.expand(logits.shape[:-1])[..., None])[..., 0]
    values = []
    for metric in metrics:
        if metric is PatchMetric.LOGIT_DIFF:
            first = logits[..., 0, :]
            foil = first.gather(-1, foils.expand(first.shape[:-1])[..., None])[..., 0]
            values.append(chosen[..., 0] - foil)
            continue
        log_prob = (chosen - logits.logsumexp(-1)).sum(-1)
        values.append(log_prob if metric is PatchMetric.ANSWER_LOG_PROB else log_prob.exp())
    return torch.stack(values)


def answer_probability(model: HookedModel, rows: Sequence[TokenizedRow]) -> Float[Tensor, " row"]:
    """Probability of each row's answer after its prompt, over all of the answer's tokens."""
    return torch.tensor(answer_table(model, rows)["probability"].to_numpy())


def _batch(pairs: Sequence[PromptPair], roles: Sequence[str]) -> PairBatch:
    answers = [_answer(pair.clean) for pair in pairs]
    forced = [answer[:-1] for answer in answers]
    prompts = [
        [[*row.input_ids[: row.answer_positions[0]], *extra] for row in rows_of]
        for rows_of, extra in zip(((p.clean, p.corrupted) for p in pairs), forced, strict=True)
    ]
    clean = torch.tensor([both[0] for both in prompts])
    masks = torch.zeros(len(roles), *clean.shape, dtype=torch.bool)
    clean_rows = [pair.clean for pair in pairs]
    for i, role in enumerate(roles):
        if role == EVERYWHERE:
            masks[i] = True
            continue
        found = find_token_role(role, clean_rows)
        for j, pair in enumerate(pairs):
            masks[i, j, _shared_position(pair, found)] = True
    return PairBatch(
        clean=clean,
        corrupted=torch.tensor([both[1] for both in prompts]),
        answers=torch.tensor(answers),
        foils=torch.tensor([_answer(pair.corrupted)[0] for pair in pairs]),
        roles=tuple(roles),
        masks=masks,
        kind=pairs[0].kind,
        others=_others(pairs),
    )


def _others(pairs: Sequence[PromptPair]) -> Int[Tensor, " pair"] | None:
    """For each pair the next one that swaps other things and whose answers are neither of its own.

    Whatever such a donor brings along, it is neither what this pair swaps (else the control would
    be the effect) nor this pair's answer. What a pair holds fixed, as the question of aliases, it
    shares if any does. Where every other pair has something in common, the one that has least.
    """
    if len(pairs) < 2:
        return None
    both = [(pair.clean, pair.corrupted) for pair in pairs]
    answers = [{_answer(row)[0] for row in rows} for rows in both]
    swapped = [{_swapped(row, pairs[0].kind) for row in rows} for rows in both]
    kept = [_kept(pair.clean, pair.kind) for pair in pairs]

    def cost(i: int, other: int) -> tuple[int, int, bool, int]:
        return (
            len(swapped[i] & swapped[other]),
            len(answers[i] & answers[other]),
            kept[i] != kept[other],
            (other - i) % len(pairs),
        )

    chosen = [
        min((j for j in range(len(pairs)) if j != i), key=lambda j, i=i: cost(i, j))
        for i in range(len(pairs))
    ]
    return torch.tensor(chosen)


def _swapped(row: TokenizedRow, kind: str) -> str | None:
    """What tells the prompts of a pair apart; of a tag pair, whose alias is one, the alias."""
    if kind == OWN_PROMPTS:
        return row.row.rendered.prompt
    return {PairKind.QUESTION: row.row.question, PairKind.ENTITY: row.row.entity}.get(
        PairKind(kind), row.row.alias
    )


def _kept(row: TokenizedRow, kind: str) -> str | None:
    """What both prompts of a pair share."""
    return row.row.alias if kind is PairKind.QUESTION else row.row.question


def _answer(row: TokenizedRow) -> list[int]:
    return [row.input_ids[i] for i in row.answer_positions]


def _shared_position(pair: PromptPair, role: AnyTokenRole) -> int:
    place = role.position(pair.clean)
    if role.position(pair.corrupted) != place or place >= pair.clean.answer_positions[0]:
        raise InputError(
            f"{role} does not stand at one place of both prompts of {pair.pair_id}; "
            "choose a role before the answer"
        )
    return place


def _rank(role: AnyTokenRole) -> tuple[bool, bool]:
    return role is TokenRole.PROMPT_LAST, role.endswith("_first")
