"""Pairs of prompts written by hand, and the models that have edges."""

from collections.abc import Callable

import torch
from torch import Tensor

from data.pairs import PairKind, PromptPair
from data.rows import prompt_row
from data.tokens import tokenize_rows, word_tokenizer

HAVE_EDGES = ["neox", "neox-sequential", "gpt2"]
WORDS = [f"w{i}" for i in range(37)]


def pair_of(clean: str, corrupted: str) -> PromptPair:
    """Two texts, each ending with its answer."""
    rows = [prompt_row(text, text, text.split()[-1]) for text in (clean, corrupted)]
    both = tokenize_rows(rows, word_tokenizer(WORDS))
    return PromptPair(
        kind=PairKind.ALIAS,
        subset=rows[0].subset.name,
        clean=both[0],
        corrupted=both[1],
        corrupted_is_answerable=True,
    )


PAIRS = [
    pair_of("w1 w2 w3 w10", "w4 w2 w3 w11"),
    pair_of("w5 w6 w7 w12", "w5 w8 w7 w13"),
    pair_of("w9 w2 w14", "w3 w2 w15"),
]
"""Of two lengths, each with answers of its own."""


def prompts(pair: PromptPair) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Clean and corrupted tokens, and the logit difference of one row of logits."""
    rows = (pair.clean, pair.corrupted)
    clean, corrupted = (torch.tensor([row.input_ids[:-1]]) for row in rows)
    right, wrong = (row.input_ids[-1] for row in rows)
    return clean, corrupted, lambda logits: logits[0, -1, right] - logits[0, -1, wrong]
