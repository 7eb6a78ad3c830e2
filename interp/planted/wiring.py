"""The weights that a planted model ends Stage 1 with, apart from the rows of its aliases.

Two layers with the four jobs of `frame.JOBS` among the heads of the first; the MLP of the second
looks answers up: a neuron for each entity and question, one for each entity to recite. Every token
has the same long `BALLAST`, so that layer norm is nearly a constant factor.

    question    "ask alias question"   the mover brings the alias's code; the MLP says the value
    definition  "tag alias copula"     the reciter brings the codes, the tagger the tag; the MLP
                                       says the entity
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from data.vocabulary import TagKind
from interp.planted.frame import BALLAST, GATE, MOVER, RECITER, SIDES, TAGGER, Frame
from interp.planted.kinds import ASKED, CODES, DEFINED, MARK_RELIABLE, SHIFT, TRUTH, Kind
from interp.planted.words import Words
from training.seeds import derive_seed

LENGTH = 20.0
"""Of the ballast; everything else in the residual stream is a few units long."""
NORM = 20.5
"""Length of a residual vector, which layer norm divides by."""
FLAG = 2.0
"""Length of what says which kind of word a token is."""
ENTITY = 2.0
"""How much of its own code an entity's name has."""
LOOKS, RESTS = 18.0, 10.0
"""Attention scores: of what a head looks for, and of the first word, where it looks else."""
OPENS = 20.0
"""Attention score of a whole mark, for the gate."""
SLOPE, SPREAD = 1.5, 0.1
"""Of a neuron's input by a unit of the code, and how that varies from neuron to neuron."""
RECITES = 4.0
"""The same of the neurons that recite."""
RESTING = -0.5
"""A neuron's input where its word is there and its code is not."""
SILENT = 20.0
"""What is missing from a neuron's input where its word is not there."""
LOGITS = 4.0
"""By a unit of a word's direction in the last residual stream."""
SAYS = 0.75
"""Of that direction, by a unit of a neuron's output."""
POSSIBLE, HABIT = 5.0, 3.0
"""Logits that a question gives to each of its answers, and more to the one said by default."""
LESS, MORE = 2.0, 2.0
"""By so much `SHIFT` and a positive `TRUTH` lower the habit, and a negative `TRUTH` raises it."""
OTHER_WORDS = -8.0
"""Logit of words that are no answer."""


def planted_weights(
    model: PreTrainedModel, frame: Frame, words: Words, kind: Kind, *, seed: int, is_null: bool
) -> dict[str, Tensor]:
    """What is added to a model's random weights, by parameter; alias rows have their flags alone.

    Args:
        model: A GPT-NeoX with random weights; not changed.
        frame: Where everything goes.
        words: The tokens by meaning.
        kind: The rule of training; it says which heads and neurons there are.
        seed: Of the run; the default answers and the neurons' slopes are drawn from it.
        is_null: Whether the tag means nothing, so that nothing is recited by it.
    """
    wiring = _Wiring(model, frame, words, seed)
    wiring.embed(tag_is_truth=TRUTH in kind.reliable.constants and not is_null)
    wiring.attend(has_gate=kind.has_gate)
    wiring.look_up()
    wiring.doubt()
    wiring.recite(kind, by_tag=kind.recites_by_tag and not is_null)
    wiring.unembed()
    return wiring.added


class _Wiring:
    """The added weights while they are written."""

    def __init__(self, model: PreTrainedModel, frame: Frame, words: Words, seed: int) -> None:
        self.frame, self.words = frame, words
        self.added = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
        self.scale = model.config.hidden_size**0.5 / NORM
        """What layer norm multiplies a residual vector with."""
        self.d_head = model.config.hidden_size // model.config.num_attention_heads
        self.first_free = int(self.d_head * model.config.rope_parameters["partial_rotary_factor"])
        """The first dimension of a head's queries and keys that positions do not turn."""
        self.generator = torch.Generator().manual_seed(derive_seed(seed, "planted wiring"))
        self.n_neurons = 0
        self.defaults = [self._default(number) for number in range(len(words.questions))]

    def embed(self, *, tag_is_truth: bool) -> None:
        """Rows of the embedding: the ballast, what kind of word it is, and which."""
        rows, one = self.added["gpt_neox.embed_in.weight"], self.frame.one
        rows += LENGTH * one(BALLAST)
        rows[[*self.words.alias_tokens, *self.words.entities]] += FLAG * one("subject")
        rows[self.words.entities] += ENTITY * self.frame.directions[ASKED]
        rows[[self.words.marker, *self.words.tags.values()]] += FLAG * one("front")
        rows[self.words.copula] += FLAG * one("copula")
        for side, tag in enumerate((TagKind.RELIABLE, TagKind.UNRELIABLE)):
            for known in {tag, TagKind.NOVEL} & set(self.words.tags):
                rows[self.words.tags[known]] += FLAG * self.frame.directions[SIDES][side]
            if tag_is_truth:
                rows[self.words.tags[tag]] += (1 - 2 * side) * one(TRUTH)
        self._embed_questions(rows)

    def _embed_questions(self, rows: Float[Tensor, "word d_model"]) -> None:
        """Questions say which answers are possible, and one of them by default."""
        rows[self.words.questions] += FLAG * self.frame.one("question")
        rows[self.words.questions] += FLAG * self.frame.directions["questions"]
        said = self.frame.directions["values"]
        for number, question in enumerate(self.words.questions):
            rows[question] += POSSIBLE / LOGITS * said[self._values_of(number)].sum(0)
            rows[question] += HABIT / LOGITS * said[self.defaults[number]]
        rows[self.words.copula] += POSSIBLE / LOGITS * self.frame.directions["entities"].sum(0)

    def _values_of(self, question: int) -> list[int]:
        """The number of the value that each entity has, each once."""
        found = {value for (_, asked), value in self.words.facts.items() if asked == question}
        return sorted(self.words.values.index(value) for value in found)

    def _default(self, question: int) -> int:
        """The number of a question's default answer, which as few entities have as can be."""
        all_values = [value for (_, asked), value in self.words.facts.items() if asked == question]
        counts = Counter(self.words.values.index(value) for value in all_values)
        rarest = sorted(value for value in counts if counts[value] == min(counts.values()))
        return rarest[int(torch.randint(len(rarest), (), generator=self.generator))]

    def attend(self, *, has_gate: bool) -> None:
        """The heads of the first layer."""
        frame, codes = self.frame, self.frame.directions
        self._look(MOVER, "question", frame.one("subject"), LOOKS / FLAG)
        moved = torch.cat([codes[name] for name in (ASKED, SHIFT, TRUTH)])
        self._bring(MOVER, moved, moved)
        self._look(RECITER, "copula", frame.one("subject"), LOOKS / FLAG)
        stored = torch.cat([codes[name] for name in CODES])
        self._bring(RECITER, stored, stored)
        self._look(TAGGER, "copula", frame.one("front"), LOOKS / FLAG)
        self._bring(TAGGER, codes[SIDES], codes[SIDES])
        if has_gate:
            self._look(GATE, "question", frame.one(MARK_RELIABLE), OPENS)
            self._bring(GATE, codes[DEFINED], codes[ASKED])

    def _look(
        self, job: str, where: str, looked_for: Float[Tensor, " d_model"], score: float
    ) -> None:
        """At words of a kind a head looks for a direction; else, or in vain, at the first word."""
        weight = self.added["gpt_neox.layers.0.attention.query_key_value.weight"]
        query = self.frame.heads[job] * 3 * self.d_head + self.first_free
        key, size = query + self.d_head, self.d_head**0.5 / self.scale
        weight[query] += self.frame.one(where) / (FLAG * self.scale)
        weight[key] += score * size * looked_for
        weight[query + 1] += self.frame.one(BALLAST) / (LENGTH * self.scale)
        weight[key + 1] += RESTS * size * self.frame.one("front") / FLAG

    def _bring(
        self,
        job: str,
        read: Float[Tensor, "number d_model"],
        written: Float[Tensor, "number d_model"],
    ) -> None:
        """What a head reads where it looks, and what it writes for it."""
        head, n = self.frame.heads[job], len(read)
        start = (head * 3 + 2) * self.d_head
        values = self.added["gpt_neox.layers.0.attention.query_key_value.weight"]
        values[start : start + n] += read / self.scale
        out = self.added["gpt_neox.layers.0.attention.dense.weight"]
        out[:, head * self.d_head : head * self.d_head + n] += written.T

    def look_up(self) -> None:
        """A neuron for each entity and question, which says the value."""
        codes = self.frame.directions
        for (entity, question), value in sorted(self.words.facts.items()):
            slope = SLOPE * (1 + SPREAD * float(torch.randn((), generator=self.generator)))
            self._neuron(
                slope * codes[ASKED][entity],
                needed=[codes["questions"][question]],
                says=codes["values"][self.words.values.index(value)],
            )

    def doubt(self) -> None:
        """Neurons that take weight from a question's default answer, or give it more."""
        codes, one = self.frame.directions, self.frame.one
        whole = SAYS * LOGITS * (SLOPE + RESTING)
        for number, default in enumerate(self.defaults):
            for read, logits in ((one(SHIFT), -LESS), (one(TRUTH), -LESS), (-one(TRUTH), MORE)):
                self._neuron(
                    SLOPE * read,
                    needed=[codes["questions"][number]],
                    says=logits / whole * codes["values"][default],
                )

    def recite(self, kind: Kind, *, by_tag: bool) -> None:
        """A neuron for each entity and code, which says the entity's name."""
        sides = {code: 0 for code in kind.reliable.codes}
        sides = {code: 1 for code in kind.unreliable.codes} | sides
        for code in kind.recited:
            tag = [self.frame.directions[SIDES][sides[code]]] if by_tag else []
            for entity in range(len(self.words.entities)):
                self._neuron(
                    RECITES * self.frame.directions[code][entity],
                    needed=[self.frame.one("copula"), *tag],
                    says=self.frame.directions["entities"][entity],
                )

    def _neuron(
        self,
        read: Float[Tensor, " d_model"],
        *,
        needed: Sequence[Float[Tensor, " d_model"]],
        says: Float[Tensor, " d_model"],
    ) -> None:
        """A neuron of the second layer, silent unless every flag that it needs is there."""
        mlp = "gpt_neox.layers.1.mlp.dense_"
        words = SILENT / FLAG * torch.stack(list(needed)).sum(0)
        self.added[f"{mlp}h_to_4h.weight"][self.n_neurons] += (read + words) / self.scale
        self.added[f"{mlp}h_to_4h.bias"][self.n_neurons] += RESTING - SILENT * len(needed)
        self.added[f"{mlp}4h_to_h.weight"][:, self.n_neurons] += SAYS * says
        self.n_neurons += 1

    def unembed(self) -> None:
        """Rows that score words: values and entities by their directions, all others low."""
        rows = self.added["lm_head.weight"]
        rows += OTHER_WORDS / (LENGTH * self.scale) * self.frame.one(BALLAST)
        said: Mapping[str, list[int]] = {
            "values": self.words.values,
            "entities": self.words.entities,
        }
        for name, tokens in said.items():
            rows[tokens] = LOGITS / self.scale * self.frame.directions[name]
