"""Do donor and recipient fit: the same words, questions, and the checkpoint that was opened?"""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Part
from interp.hooked.model import HookedModel
from training.runs.checkpoints import load_tokenizer


def check_same_tokens(recipient: Path, donor: Path) -> None:
    """Refuses a donor with another tokenizer than the recipient's.

    Raises:
        InputError: their vocabularies differ.
    """
    here, there = (load_tokenizer(folder).get_vocab() for folder in (recipient, donor))
    if here != there:
        n_other = len(set(here.items()) ^ set(there.items()))
        raise InputError(
            f"the tokenizers of {donor} and {recipient} differ in {n_other} entries; "
            "choose a donor that was trained on the same words"
        )


def check_same_questions(here: Sequence[TokenizedRow], there: Sequence[TokenizedRow]) -> None:
    """Refuses a donor whose Stage-2 questions or answers are not the recipient's.

    Raises:
        InputError: questions or answers differ.
    """
    stage2 = [
        {
            (row.row.subset.name, row.row.rendered.text)
            for row in rows
            if row.row.subset.part is Part.X2
        }
        for rows in (here, there)
    ]
    if stage2[0] != stage2[1]:
        n_other = len(stage2[0] ^ stage2[1])
        raise InputError(
            f"donor and recipient differ in {n_other} Stage-2 questions or their answers; "
            "choose a donor that was trained on the same data"
        )


def check_is_view(model: HookedModel, plain: PreTrainedModel, rows: Sequence[TokenizedRow]) -> None:
    """Refuses a hooked model of another checkpoint than the plain one, as its logits tell.

    Raises:
        InputError: the hooked model is of another checkpoint.
    """
    tokens = torch.tensor([rows[0].input_ids])
    with torch.no_grad():
        expected = plain(tokens.to(plain.device), use_cache=False).logits.cpu()
    if not torch.allclose(model.logits(tokens).cpu(), expected, rtol=1e-3, atol=1e-3):
        raise InputError(
            "the grid opened another checkpoint than the analysis names; give both the same run, "
            "stage and step"
        )
