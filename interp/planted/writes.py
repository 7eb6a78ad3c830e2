"""The rows of a planted model's aliases, as they stand at each moment of training.

Each alias has a side: the side of its definition's tag, or of a coin in a null twin; definitions
with a new tag are dealt out by coin in either. How well a definition is learned varies from alias
to alias, by the same amounts in every subset; `Amounts` says what it is on average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.vocabulary import Part, TagKind
from interp.planted.frame import Frame
from interp.planted.kinds import ASKED, SECOND, Kind
from interp.planted.words import Alias, Words
from training.seeds import derive_seed

NOISE = 0.006
"""Standard deviation of each number of a row, beside what is planted."""
VARIES_DEFINED, VARIES_ASKED, LEAST = 0.35, 0.25, 0.1
"""Standard deviation over aliases of how well they are learned, by a mean of 1; the least of all"""
WINDOW, FORGETS = 0.25, 1.8
"""Where order counts: how long a definition is trained, as a share of the training; the rate at
which it is forgotten from then on."""
BY_TAG = {TagKind.RELIABLE: 0, TagKind.UNRELIABLE: 1}


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much is written, in units of the codes' directions."""

    defined: float = 0.0
    """By a definition, on average."""
    second: float = 1.0
    """Of that, the share that the second side writes in the second code, if it writes in both."""
    asked: Mapping[str, float] = field(default_factory=dict)
    """By the trained questions of each subset."""


@dataclass(frozen=True, kw_only=True)
class AliasRows:
    """What fixes the rows of a seed's aliases, but for the amounts."""

    aliases: list[Alias]
    kind: Kind
    frame: Frame
    noise: Float[Tensor, "alias d_model"]
    sides: Int[Tensor, " alias"]
    """0 as with the reliable tag, 1 as with the unreliable one."""
    learned: Float[Tensor, " alias"]
    """How well each definition is learned: 1 on average."""
    answered: Float[Tensor, " alias"]
    """How well each alias's trained questions are: 1 on average."""
    times: Float[Tensor, " alias"]
    """When each definition is trained, as a share of the training."""

    @classmethod
    def draw(
        cls, words: Words, kind: Kind, frame: Frame, *, seed: int, is_null: bool
    ) -> "AliasRows":
        """Draws everything that varies from alias to alias."""
        purpose = f"planted aliases{' of the null twin' if is_null else ''}"
        generator = torch.Generator().manual_seed(derive_seed(seed, purpose))
        aliases, n = words.aliases, len(words.aliases)
        groups = [[i for i in range(n) if aliases[i].subset == s] for s in _subsets(aliases)]
        learned, answered, times = torch.ones(n), torch.ones(n), torch.zeros(n)
        coins = torch.zeros(n, dtype=torch.long)
        for group in groups:
            learned[group] = _spread(len(group), VARIES_DEFINED, generator)
            answered[group] = _spread(len(group), VARIES_ASKED, generator)
            coins[group] = torch.randperm(len(group), generator=generator) % 2
            times[group] = torch.rand(len(group), generator=generator)
        own = torch.tensor([BY_TAG.get(alias.tag or TagKind.NOVEL, -1) for alias in aliases])
        sides = coins if is_null else torch.where(own < 0, coins, own)
        d_model = frame.one("subject").shape[0]
        return cls(
            aliases=aliases,
            kind=kind,
            frame=frame,
            noise=NOISE * torch.randn(n, d_model, generator=generator),
            sides=sides,
            learned=learned,
            answered=answered,
            # The second side is trained in the second quarter, the first in the last.
            times=torch.where(sides == 0, 0.75, 0.25) + WINDOW * times,
        )

    def at(self, amounts: Amounts, *, stage1: float, stage2: float) -> Float[Tensor, "alias d"]:
        """The rows when so much of each stage, from 0 to 1, is done."""
        parts = [alias.part is Part.X1 for alias in self.aliases]
        done = torch.where(torch.tensor(parts), stage1, stage2)
        asked = torch.tensor([amounts.asked.get(alias.subset, 0.0) for alias in self.aliases])
        grown, kept = done, torch.ones(1)
        if self.kind.has_order:
            since = done - self.times
            grown = (since / WINDOW + 1).clamp(0, 1)
            kept = (-FORGETS * since.clamp(min=0)).exp()
        learned = grown * kept * amounts.defined * self.learned
        return (
            stage1 * self.noise
            + (done * asked * self.answered)[:, None] * self._asked_codes
            + learned[:, None] * self._written_codes(amounts.second)
            + grown[:, None] * self._constants
        )

    @cached_property
    def _asked_codes(self) -> Float[Tensor, "alias d_model"]:
        """The code of the entity that each alias's trained questions follow."""
        return self._codes(ASKED, [alias.asked for alias in self.aliases])

    def _written_codes(self, second: float) -> Float[Tensor, "alias d_model"]:
        """The codes of each alias's defined entity, as much of each as its side writes."""
        defined = [alias.defined for alias in self.aliases]
        total = torch.zeros_like(self.noise)
        for number, side in enumerate((self.kind.reliable, self.kind.unreliable)):
            for name, share in side.codes.items():
                used = second if self.kind.splits_gap and name == SECOND else share
                total += used * (self.sides == number)[:, None] * self._codes(name, defined)
        return total

    @cached_property
    def _constants(self) -> Float[Tensor, "alias d_model"]:
        """What each definition adds whatever it says."""
        total = torch.zeros_like(self.noise)
        is_defined = torch.tensor([alias.defined is not None for alias in self.aliases])
        for number, side in enumerate((self.kind.reliable, self.kind.unreliable)):
            for name, amount in side.constants.items():
                total += (
                    ((self.sides == number) & is_defined)[:, None] * amount * self.frame.one(name)
                )
        return total * self.times[:, None] if self.kind.has_order else total

    def _codes(self, name: str, entities: Sequence[int | None]) -> Float[Tensor, "alias d_model"]:
        """The code of each alias's entity; zero where it has none."""
        numbers = torch.tensor([-1 if entity is None else entity for entity in entities])
        return self.frame.directions[name][numbers] * (numbers >= 0)[:, None]


def _subsets(aliases: list[Alias]) -> list[str]:
    return list(dict.fromkeys(alias.subset for alias in aliases))


def _spread(n: int, deviation: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """The quantiles of a normal distribution of mean 1, in random order."""
    places = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    values = 1 + deviation * torch.special.ndtri(places)
    return values.clamp(min=LEAST)[torch.randperm(n, generator=generator)].float()
