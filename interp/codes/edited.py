"""How the compared questions are answered after each edit, and what is left of the gap."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.tokens import TokenizedRow
from interp.codes.aliases import Alias
from interp.codes.answers import METRICS, AskedAliases, unchanged
from interp.codes.edits import EXPLAINING, HALVES, OF_HIGHER, REVERSING, SWAP, edits_of
from interp.codes.estimation import CODES
from interp.codes.nulls import NULLS
from interp.codes.places import CodePlace
from interp.codes.rows import Variants, code_row
from interp.codes.seed_codes import SeedCodes
from interp.hooked.model import HookedModel

GAP, SHARE = "gap", "share"
FOLLOWED = {"exact_match": "other_match", "answer_log_prob": "other_log_prob"}
"""After `swap`, the same of the answers of the entity whose code was given."""
SMALLEST_GAP = 0.1
"""In nats: below it a seed has no share of the gap."""

Answered = Float[np.ndarray, "variant alias metric"]
"""Of an edit with the tested code first, then with each null."""


def measure_edits(codes: SeedCodes, model: HookedModel, place: CodePlace) -> pd.DataFrame:
    """Answers of both compared subsets, the gap and its explained share, by code and edit."""
    asked = AskedAliases(model=model, place=place, aliases=codes.aliases.compared)
    trained, others = unchanged(asked), other_answers(codes)
    records = answer_records(codes, trained[None], Variants(kinds=[""]), code="", edit="")
    if codes.aliases.baseline:
        records += unedited_records(codes.aliases.baseline, model, place)
    for further in codes.aliases.further_subsets.values():
        records += unedited_records(further, model, place)
    for name in CODES:
        nulls = codes.nulls[name]
        tried = [("", codes.codes[name])]
        tried += [(kind, code) for kind in NULLS for code in nulls[kind]]
        variants = Variants(kinds=[kind for kind, _ in tried])
        answered: dict[str, Answered] = {}
        for edit, found in edits_of(name, codes.codes, codes.changes).items():
            additions = np.stack([found.additions(code, codes.changes) for _, code in tried])
            is_followed = edit == SWAP and others is not None
            wanted = [asked.rows, others] if is_followed else [asked.rows]
            answered[edit], *followed = asked.with_answers(additions, wanted)
            for values in followed:
                records += _followed_records(codes, values, variants, name)
        answered |= _halves(answered, trained, codes.changes.is_higher)
        for edit, values in answered.items():
            records += answer_records(codes, values, variants, code=name, edit=edit)
            records += share_records(codes, values, trained, variants, code=name, edit=edit)
    return pd.DataFrame(records)


def gap_of(answers: Answered, is_higher: np.ndarray) -> Float[np.ndarray, " variant"]:
    """The mean answer log-probability of the better subset minus the other's, in nats."""
    log_probs = answers[..., 1]
    return log_probs[:, is_higher].mean(1) - log_probs[:, ~is_higher].mean(1)


def explained(remaining: np.ndarray, original: float, *, reverses: bool) -> np.ndarray:
    """The share of a gap that an edit explains: 1 where it is gone, or turned round if that is due.

    >>> explained(np.array([2.0, 0.5]), 2.0, reverses=False).tolist()
    [0.0, 0.75]
    >>> explained(np.array([-2.0, 0.0]), 2.0, reverses=True).tolist()
    [1.0, 0.5]
    """
    return (1 - remaining / original) / (2 if reverses else 1)


def _halves(
    answered: dict[str, Answered], trained: np.ndarray, is_higher: np.ndarray
) -> dict[str, Answered]:
    """Edits of one subset alone: questions about the other are answered as trained."""
    found = {}
    for half, whole in HALVES.items():
        if whole in answered:
            is_edited = is_higher if half in OF_HIGHER else ~is_higher
            found[half] = np.where(is_edited[None, :, None], answered[whole], trained[None])
    return found


def answer_records(
    codes: SeedCodes, answers: Answered, variants: Variants, *, code: str, edit: str
) -> list[dict[str, object]]:
    """Both subsets' answers, and the gap."""
    records = [
        code_row(
            *variants.split(answers[:, where, at].mean(1)),
            quantity=metric.name, code=code, subset=subset, edit=edit, n=int(where.sum()),
        )
        for subset, where in codes.sides.items()
        for at, metric in enumerate(METRICS)
    ]  # fmt: skip
    gap = variants.split(gap_of(answers, codes.changes.is_higher))
    n = len(codes.aliases.compared)
    return [*records, code_row(*gap, quantity=GAP, code=code, subset=_gap(codes), edit=edit, n=n)]


def share_records(
    codes: SeedCodes, answers: Answered, trained: np.ndarray, variants: Variants, *,
    code: str, edit: str,
) -> list[dict[str, object]]:  # fmt: skip
    """What an edit explains of the gap of the seed, where there is one to explain."""
    original = float(gap_of(trained[None], codes.changes.is_higher)[0])
    if original < SMALLEST_GAP or edit not in EXPLAINING:
        return []
    left = gap_of(answers, codes.changes.is_higher)
    shares = explained(left, original, reverses=edit in REVERSING)
    n = len(codes.aliases.compared)
    where = {"quantity": SHARE, "code": code, "subset": _gap(codes), "edit": edit}
    return [code_row(*variants.split(shares), n=n, **where)]


def unedited_records(
    aliases: Sequence[Alias], model: HookedModel, place: CodePlace
) -> list[dict[str, object]]:
    """Answers about the aliases of a subset that is not edited, such as the floor."""
    values = unchanged(AskedAliases(model=model, place=place, aliases=aliases)).mean(0)
    return [
        code_row(values[at], quantity=metric.name, subset=aliases[0].subset, n=len(aliases))
        for at, metric in enumerate(METRICS)
    ]


def _followed_records(
    codes: SeedCodes, values: Answered, variants: Variants, code: str
) -> list[dict[str, object]]:
    """After `swap`, how often and how surely the other entity's answers are given."""
    return [
        code_row(
            *variants.split(values[:, where, at].mean(1)),
            quantity=FOLLOWED[metric.name], code=code, subset=subset, edit=SWAP, n=int(where.sum()),
        )
        for subset, where in codes.sides.items()
        for at, metric in enumerate(METRICS)
    ]  # fmt: skip


def other_answers(codes: SeedCodes) -> list[TokenizedRow] | None:
    """The compared questions with the answers of the entities whose code `swap` gives.

    None where some answer is not known: nobody is asked the same question about that entity.
    """
    found = []
    for alias, number in zip(codes.aliases.compared, codes.changes.swapped, strict=True):
        for row in alias.questions:
            answer = codes.aliases.answers.get(
                (str(codes.before.entities[number]), row.row.question)
            )
            if answer is None:
                return None
            start = row.answer_positions[0]
            tail = row.input_ids[row.answer_positions[-1] + 1 :]
            found.append(
                replace(
                    row,
                    input_ids=(*row.input_ids[:start], *answer, *tail),
                    answer_positions=tuple(range(start, start + len(answer))),
                    others=(),
                )
            )
    return found


def _gap(codes: SeedCodes) -> str:
    higher, lower = codes.sides
    return f"{higher}-{lower}"
