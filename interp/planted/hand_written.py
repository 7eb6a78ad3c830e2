"""A model of 4 layers x 8 heads whose circuit is written by hand, and its twin without one.

A prompt is `NAME asks QUESTION ANSWER`, and every name has one answer. In `planted_circuit` four
heads of one layer look, at the name, at what it is called and write the name's answer, each in a
code of its own; four heads of a later layer look at the name from the last token of the prompt and
move one of these codes each to where the unembedding reads it. Which layers, heads and directions
is drawn from the seed. All other heads and MLPs read the whole stream, with weights as large, and
write in directions that neither the circuit nor the answers read.

In `without_circuit` no part is special: every head of every layer moves some of every name's answer
to the last token, by a weight that is drawn alike for all heads, and anew for the second half of
the names: what a head does for one half says nothing of what it does for the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role
from interp.circuits.edges import Edge
from interp.circuits.units import Unit
from interp.edges.graph import EdgeNode

LAYERS, HEADS, D_HEAD, N_NAMES, N_QUESTIONS, N_PATHS = 4, 8, 16, 16, 4, 4
WIDTH = HEADS * D_HEAD
WORDS = (
    *(f"name{i}" for i in range(N_NAMES)),
    "asks",
    *(f"question{i}" for i in range(N_QUESTIONS)),
    *(f"answer{i}" for i in range(N_NAMES)),
)
SPECIAL = 3
"""Tokens of the tokenizer before the words."""
STILL = 12.0
"""How long the part of the stream is that never changes, so that norms scale all alike."""
NOISE = 0.2
LOGIT = 7.0
"""About what the whole circuit adds to the right answer."""


@dataclass(frozen=True, kw_only=True)
class HandWritten:
    """A model, what it is asked, and what is known of how it answers."""

    model: GPT2LMHeadModel
    rows: list[TokenizedRow]
    groups: list[str]
    """The name that each row asks about."""
    units: tuple[Unit, ...] = ()
    """Those that carry the answer; none in a model without a circuit."""
    edges: tuple[Edge, ...] = ()
    """The same of edges: on the way of what names differ in (attention goes by position alone)."""


def planted_circuit(seed: int) -> HandWritten:
    """A model whose answers eight heads carry; see the module's docstring."""
    stream = _Stream(seed)
    first, second = sorted(stream.draw(LAYERS)[:2])
    reading, moving = stream.draw(HEADS)[:N_PATHS], stream.draw(HEADS)[:N_PATHS]
    stream.fill_with_noise()
    units, edges, even = [], [], torch.ones(N_NAMES)
    for path, (a, b) in enumerate(zip(reading, moving, strict=True)):
        stream.look(first, a, at=0, queries=0)
        stream.move(first, a, stream.names[stream.name_of_answer], stream.found[path], even)
        stream.look(second, b, at=0, queries=2)
        stream.move(second, b, stream.found[path], stream.said, even)
        units += [Unit(first, a, "alias"), Unit(second, b, "question")]
        one, two = EdgeNode("attn_head_out", first, a), EdgeNode("attn_head_out", second, b)
        edges += [
            Edge(EdgeNode("embed"), EdgeNode("v_input", first, a)),
            Edge(one, EdgeNode("v_input", second, b)),
            Edge(two, EdgeNode("logits")),
        ]
    return stream.finished(units, edges)


def without_circuit(seed: int) -> HandWritten:
    """A model whose heads all carry some of the answer; see the module's docstring."""
    stream = _Stream(seed)
    stream.fill_with_noise()
    share = N_PATHS / (LAYERS * HEADS)
    for layer in range(LAYERS):
        for head in range(HEADS):
            stream.look(layer, head, at=0, queries=2)
            halves = torch.empty(2).exponential_(generator=stream.generator)
            weight = share * halves[stream.name_of_answer // (N_NAMES // 2)]
            stream.move(layer, head, stream.names[stream.name_of_answer], stream.said, weight)
    return stream.finished([], [])


class _Stream:
    """A model being written, and what the directions of its residual stream stand for."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        vocabulary = SPECIAL + len(WORDS)
        config = GPT2Config(
            vocab_size=vocabulary,
            n_positions=8,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=WIDTH,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=0,
            tie_word_embeddings=False,
        )
        self.model = GPT2LMHeadModel(config).eval()
        self.blocks: Any = self.model.transformer.h
        for name, weight in self.model.named_parameters():
            is_gain = ".ln_" in name and name.endswith("weight")
            weight.data.fill_(1.0 if is_gain else 0.0)
        # Norms take the mean away, so no direction has one.
        drawn = self.random(WIDTH, WIDTH)
        drawn[0] = 1.0
        basis = torch.linalg.qr(drawn.T).Q.T[1:]
        sizes = [N_NAMES, N_PATHS * N_NAMES, N_NAMES, 4, 1]
        names, found, said, positions, still = basis[: sum(sizes)].split(sizes)
        self.names, self.said, self.positions = names, said, positions
        self.found = found.unflatten(0, (N_PATHS, N_NAMES))
        self.idle = basis[sum(sizes) :]
        self.answer_of_name = torch.tensor(self.draw(N_NAMES))
        self.name_of_answer = self.answer_of_name.argsort()
        self._embed(still[0])

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def draw(self, n: int) -> list[int]:
        """The numbers below n in random order."""
        return torch.randperm(n, generator=self.generator).tolist()

    def _embed(self, still: Float[Tensor, " d_model"]) -> None:
        embedded = self.model.transformer.wte.weight.data
        embedded += self.random(len(embedded), len(self.idle)) @ self.idle / len(self.idle) ** 0.5
        embedded[SPECIAL : SPECIAL + N_NAMES] = 2.0 * self.names
        self.model.transformer.wpe.weight.data[:] = STILL * still
        self.model.transformer.wpe.weight.data[:4] += 2.0 * self.positions
        self.model.lm_head.weight.data[-N_NAMES:] = self.said * LOGIT * STILL / WIDTH**0.5 / 8

    def fill_with_noise(self) -> None:
        """Every head and MLP reads everything and writes where nobody who matters reads."""
        for block in self.blocks:
            n = len(self.idle)
            block.attn.c_attn.weight.data += self.random(WIDTH, 3 * WIDTH) * NOISE / WIDTH**0.5
            block.attn.c_proj.weight.data += NOISE * self.random(WIDTH, n) @ self.idle / n**0.5
            block.mlp.c_fc.weight.data += self.random(WIDTH, WIDTH) / WIDTH**0.5
            block.mlp.c_proj.weight.data += NOISE * self.random(WIDTH, n) @ self.idle / n**0.5

    def look(self, layer: int, head: int, *, at: int, queries: int) -> None:
        """From the position `queries` the head looks at `at`; from others at nothing in special."""
        W = self.blocks[layer].attn.c_attn.weight.data
        start = head * D_HEAD
        W[:, start : start + D_HEAD] = 0.0
        W[:, WIDTH + start : WIDTH + start + D_HEAD] = 0.0
        W[:, start] = 5.0 * self.positions[queries]
        W[:, WIDTH + start] = 5.0 * self.positions[at]

    def move(
        self,
        layer: int,
        head: int,
        source: Float[Tensor, "name d_model"],
        target: Float[Tensor, "name d_model"],
        weight: Float[Tensor, " name"],
    ) -> None:
        """Where it looks the head reads which of the codes is there, and writes it anew."""
        attn, start = self.blocks[layer].attn, head * D_HEAD
        # A norm divides by about this.
        scale = STILL / WIDTH**0.5
        attn.c_attn.weight.data[:, 2 * WIDTH + start :][:, :D_HEAD] = scale * source.T
        attn.c_proj.weight.data[start : start + D_HEAD] = weight[:, None] * target

    def finished(self, units: Sequence[Unit], edges: Sequence[Edge]) -> HandWritten:
        prompts = []
        for name in range(N_NAMES):
            for question in range(N_QUESTIONS):
                answer = f"answer{int(self.answer_of_name[name])}"
                text = f"name{name} asks question{question} {answer}"
                first = len(f"name{name}")
                spans = {
                    Role.ALIAS: (0, first),
                    Role.QUESTION: (first + 6, first + 6 + len(f"question{question}")),
                }
                row = prompt_row(f"name{name}/question{question}", text, answer, spans=spans)
                prompts.append(row)
        return HandWritten(
            model=self.model,
            rows=tokenize_rows(prompts, word_tokenizer(WORDS)),
            groups=[row.row_id.split("/")[0] for row in prompts],
            units=tuple(units),
            edges=tuple(edges),
        )
