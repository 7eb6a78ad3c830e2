"""Do the gradients of two of one's own texts point the same way?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from interp.alignment.analysis import measure_alignment
from interp.alignment.pairs import AlignmentPair, Pairing
from interp.gradients.options import GradientOptions
from interp.hooked.activations import check_rows, check_tokenizer
from interp.hooked.model import HookedModel
from interp.hooked.plain_models import PlainReference, read_model_folder


def align(
    model: PreTrainedModel | HookedModel | Path | str,
    rows: Sequence[TokenizedRow],
    others: Sequence[TokenizedRow],
    *,
    policy: LossPolicy = LossPolicy.ANSWER,
) -> pd.DataFrame:
    """Inner product, cosine and distance of the gradients of every row with every other one.

    Row i and other i are an own pair; any two rows else are its control. Columns as of
    `measure_alignment`.

    Args:
        model: A plain Hugging Face model or its folder. Gradients are always those of the plain
            model: of a hooked one that `load_hooked_folder` opened, its folder is read again, and
            must still hold the weights that the hooked model computes with.
        rows: Rows that would be trained on; see `prompts`.
        others: Of each what it should help with.
        policy: Which tokens the loss is the mean over.

    Raises:
        InputError: there are no rows, not as many others, they are another tokenizer's than the
            folder's, or the hooked model is of no folder or no longer what its folder holds.
    """
    if not rows or len(rows) != len(others):
        raise InputError(f"{len(rows)} rows and {len(others)} others; give one for each")
    plain = _plain(model, [*rows, *others])
    sides = [_called(side, name) for side, name in ((rows, "row"), (others, "other"))]
    pairs = [
        AlignmentPair(
            definition=row, question=other, pairing=Pairing.OWN if i == j else Pairing.OTHER
        )
        for i, row in enumerate(sides[0])
        for j, other in enumerate(sides[1])
    ]
    table = measure_alignment(plain, pairs, options=GradientOptions(policy=policy))
    return table.assign(alias=table["row_a"])


def _plain(
    model: PreTrainedModel | HookedModel | Path | str, rows: Sequence[TokenizedRow]
) -> PreTrainedModel:
    """The plain model, whose gradients are taken."""
    if isinstance(model, PreTrainedModel):
        return model
    folder = model.folder if isinstance(model, HookedModel) else Path(model)
    if folder is None:
        raise InputError(
            "this hooked model was made of a plain one, which it does not keep; give align() that "
            "plain model, whose gradients it takes"
        )
    plain, tokenizer = read_model_folder(folder, "cpu")
    if tokenizer is not None:
        check_tokenizer(tokenizer, rows)
    if isinstance(model, HookedModel):
        check_rows(model, rows)
        if not _computes_as(model, plain):
            raise InputError(
                f"{folder} no longer holds the weights of this hooked model, or hooks are on it; "
                "open the folder again"
            )
    return plain


def _computes_as(model: HookedModel, plain: PreTrainedModel) -> bool:
    """Whether a hooked model gives a plain one's logits, up to rounding."""
    reference = PlainReference.of(plain)
    try:
        reference.check_parity(model.logits(reference.tokens))
    except InputError:
        return False
    return True


def _called(rows: Sequence[TokenizedRow], name: str) -> list[TokenizedRow]:
    """The rows under names of their own: both sides may be made by `prompts`."""
    return [replace(row, row=replace(row.row, row_id=f"{name} {i}")) for i, row in enumerate(rows)]
