"""A model of two layers whose answers two heads carry, with weights set by hand.

Its words are `w0` to `w36`, behind three special tokens; prompts are `w16 alias w17 w18`, aliases
`w0` to `w7`, answers `w8` to `w15`. One head of layer 0 looks up the alias's answer where the
alias stands, and one head of layer 1 takes it from there to the last position. MLPs are idle, and
everything else is noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

SPECIAL, N_WORDS, N_NAMES = 3, 37, 8
VOCABULARY = SPECIAL + N_WORDS
HEADS, D_HEAD = 4, 16
WIDTH = HEADS * D_HEAD
ALIAS_AT, LAST_AT = 1, 3
PLACES, FOUND, SAID = VOCABULARY, VOCABULARY + N_NAMES, VOCABULARY + 2 * N_NAMES
"""Where positions, the answer that was looked up and the one that is said stand in the stream."""


@dataclass(frozen=True, kw_only=True)
class TwoHeads:
    """The model, and a text of each alias with its answer."""

    model: GPT2LMHeadModel
    texts: list[str]


@torch.no_grad()
def two_head_circuit(
    first_head: int, second_head: int, *, noise: float = 0.05, decoy: int | None = None
) -> TwoHeads:
    """Writes the model.

    Args:
        first_head: Of layer 0, which looks the answer up.
        second_head: Of layer 1, which moves it.
        noise: Standard deviation of all weights that mean nothing.
        decoy: A word behind which the first head does not find the alias: to all heads
            it looks as if it stood where the alias does, only more so.
    """
    model = _of_noise(noise)
    transformer: Any = model.transformer
    embedded, places = transformer.wte.weight, range(N_NAMES)
    embedded[range(VOCABULARY), range(VOCABULARY)] += 1.0
    transformer.wpe.weight[places, range(PLACES, PLACES + N_NAMES)] += 1.0
    if decoy is not None:
        embedded[SPECIAL + decoy, PLACES + ALIAS_AT] += 4.0
    alias_of = {_answer(alias): alias for alias in range(N_NAMES)}
    _look(transformer.h[0], first_head, at=ALIAS_AT)
    _move(transformer.h[0], first_head, lambda name: SPECIAL + alias_of[name], FOUND)
    _look(transformer.h[1], second_head, at=LAST_AT)
    _move(transformer.h[1], second_head, lambda name: FOUND + name, SAID)
    for name in range(N_NAMES):
        model.lm_head.weight[SPECIAL + N_NAMES + name, SAID + name] += 3.0
    texts = [f"w16 w{i} w17 w18 w{N_NAMES + _answer(i)}" for i in range(N_NAMES)]
    return TwoHeads(model=model, texts=texts)


def _of_noise(noise: float) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=N_NAMES,
        n_embd=WIDTH,
        n_layer=2,
        n_head=HEADS,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model = GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        centre = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
        weight.copy_(centre + noise * torch.randn(weight.shape, generator=generator))
    return model


def _answer(alias: int) -> int:
    return (3 * alias + 1) % N_NAMES


def _look(block: Any, head: int, *, at: int) -> None:
    """The query at one position looks at the alias, all others at the first word."""
    queries, keys = head * D_HEAD, WIDTH + head * D_HEAD
    W_QKV = block.attn.c_attn.weight
    for position in range(4):
        W_QKV[PLACES + position, queries + (position != at)] += 2.0
    W_QKV[PLACES + ALIAS_AT, keys] += 2.0
    W_QKV[PLACES, keys + 1] += 2.0


def _move(block: Any, head: int, source: Callable[[int], int], target: int) -> None:
    """Where it looks it reads which name, and writes it to another place of the stream."""
    start = head * D_HEAD
    for name in range(N_NAMES):
        block.attn.c_attn.weight[source(name), 2 * WIDTH + start + name] += 0.5
        block.attn.c_proj.weight[start + name, target + name] += 1.0
