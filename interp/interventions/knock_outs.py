"""What does the model still answer if some tokens cannot look at some others?

An attention knock-out cuts a route, `alias->prompt_last`: tokens of the destination no longer see
tokens of the source, in chosen layers and heads. With the attention pattern A of a head,

    A'(d, s) = 0 on the route,   A'(d, k) / sum of A'(d, .) elsewhere,   z(d) = sum of A'(d, k) v(k)

which is what a softmax over the remaining scores gives. A token with nothing left to look at reads
zero. The head's `z` is rewritten rather than its pattern, so that this works where an edit of the
pattern changes nothing (GPT-Neo); values of fewer heads than queries (Llama) are shared by groups.
The control cuts as many other tokens from the same destination, drawn at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from data.draws import stream
from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site
from interp.interventions.base import Hook, Place, parse_place, place_tokens

PATTERN_HOOK = "blocks.{layer}.attn.hook_pattern"
LATE_PATTERNS = "GPTNeoForCausalLM"
"""Its pattern is shown only after it was used; it is computed from queries and keys instead."""


@dataclass(frozen=True)
class Route:
    """A source and a destination role, between which attention may carry something."""

    source: Place
    destination: Place

    def __str__(self) -> str:
        """`alias->prompt_last`."""
        return f"{self.source}->{self.destination}"

    @classmethod
    def parse(cls, text: str, rows: Sequence[TokenizedRow] = ()) -> "Route":
        """The route of this name.

        Args:
            text: Two places with `->` between them.
            rows: Whose own roles are known; see `parse_place`.

        Raises:
            InputError: it is not two places with `->` between them.
        """
        source, arrow, destination = text.partition("->")
        if not arrow:
            raise InputError(f"no route {text!r}; write two places, as alias->prompt_last")
        return cls(*(parse_place(place.strip(), rows) for place in (source, destination)))

    def cuts(self, row: TokenizedRow) -> dict[int, list[int]]:
        """Of each destination token the source tokens that it can see.

        Raises:
            InputError: a role is missing, or all of the source comes after the destination.
        """
        source = place_tokens(row, self.source)
        cuts = {
            destination: [s for s in source if s <= destination]
            for destination in place_tokens(row, self.destination)
        }
        if not any(cuts.values()):
            raise InputError(
                f"row {row.row.row_id}: {self.source} comes after {self.destination}, which cannot "
                "see it; choose another route"
            )
        return {destination: sources for destination, sources in cuts.items() if sources}

    def is_in(self, row: TokenizedRow) -> bool:
        """Whether the row has both roles, in an order in which one can see the other."""
        try:
            return bool(self.cuts(row))
        except InputError:
            return False


@dataclass(frozen=True, kw_only=True)
class KnockOut:
    """A route without attention; an `interp.interventions.base.Intervention`."""

    model: HookedModel
    """The model whose attention is cut off; it is only read."""
    route: Route
    layers: tuple[int, ...] = ()
    """Those in which the route is cut; all if empty."""
    heads: tuple[int, ...] = ()
    """Those in which the route is cut; all if empty."""
    control: int | None = None
    """A seed: then as many other tokens as the source has are cut, drawn for each row."""

    def __post_init__(self) -> None:
        """Refuses layers and heads that the model lacks."""
        for layer in self._layers:
            for head in self.heads or (0,):
                check_site(self.model, Site("z", layer, head))

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `Intervention`."""
        cut = _Cut.of([self._cuts(row) for row in rows])
        return [hook for layer in self._layers for hook in self._layer_hooks(layer, cut)]

    @property
    def _layers(self) -> tuple[int, ...]:
        return self.layers or tuple(range(self.model.n_layers))

    def _cuts(self, row: TokenizedRow) -> dict[int, list[int]]:
        cuts = self.route.cuts(row)
        if self.control is None:
            return cuts
        rng = stream(self.control, f"knock-out/{self.route}/{row.row.row_id}")
        drawn = {}
        for destination, sources in cuts.items():
            others = [s for s in range(destination + 1) if s not in sources]
            if not others:
                raise InputError(
                    f"row {row.row.row_id}: {self.route.destination} sees {self.route.source} "
                    "alone, so that there is no control; choose another route"
                )
            drawn[destination] = rng.sample(others, min(len(sources), len(others)))
        return drawn

    def _layer_hooks(self, layer: int, cut: "_Cut") -> list[Hook]:
        seen: dict[str, Tensor] = {}
        needed = ("q", "k", "v") if self.model.architecture == LATE_PATTERNS else ("v", "pattern")
        names = {
            name: PATTERN_HOOK.format(layer=layer) if name == "pattern" else Site(name, layer).hook
            for name in needed
        }

        def keep(name: str) -> Hook:
            def hook_function(activation: Tensor, hook: nn.Module) -> None:
                seen[name] = activation

            return names[name], hook_function

        def rewrite(z: Tensor, hook: nn.Module) -> Tensor:
            if set(seen) != set(needed):
                raise InputError(
                    f"{self.model.architecture} shows its pattern after it was used; "
                    "attention cannot be knocked out there"
                )
            if "pattern" in seen:
                pattern = seen.pop("pattern")
            else:
                pattern = _late_pattern(self.model, layer, seen.pop("q"), seen.pop("k"))
            return cut.rewritten(z, pattern, seen.pop("v"), self.heads)

        return [*map(keep, needed), (Site("z", layer).hook, rewrite)]


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Which tokens some destinations, one a line, do not see."""

    rows: Int[Tensor, " spot"]
    destinations: Int[Tensor, " spot"]
    blocked: Bool[Tensor, "spot src_pos"]

    @classmethod
    def of(cls, cuts: Sequence[dict[int, list[int]]]) -> "_Cut":
        spots = [(i, d, sources) for i, of_row in enumerate(cuts) for d, sources in of_row.items()]
        blocked = torch.zeros(len(spots), 1 + max(d for _, d, _ in spots), dtype=torch.bool)
        for line, (_, _, sources) in zip(blocked, spots, strict=True):
            line[sources] = True
        rows, destinations = torch.tensor([(i, d) for i, d, _ in spots]).T
        return cls(rows=rows, destinations=destinations, blocked=blocked)

    def rewritten(
        self,
        z: Float[Tensor, "batch pos head d_head"],
        pattern: Float[Tensor, "batch head pos pos"],
        v: Float[Tensor, "batch pos group d_head"],
        heads: tuple[int, ...],
    ) -> Float[Tensor, "batch pos head d_head"]:
        """`z` as it is when the destinations do not see what is cut; other heads as they were."""
        length = z.shape[1]
        inside = (self.destinations < length).nonzero()[:, 0]
        rows, to = (index[inside].to(z.device) for index in (self.rows, self.destinations))
        n_seen = min(length, self.blocked.shape[1])
        blocked = self.blocked[inside, :n_seen].to(z.device)
        left = pattern[rows, :, to, :n_seen].masked_fill(blocked[:, None], 0)
        left = left / left.sum(-1, keepdim=True).clamp(min=torch.finfo(left.dtype).tiny)
        values = v.repeat_interleave(z.shape[2] // v.shape[2], dim=2)[rows, :n_seen]
        new = torch.einsum("nhs,nshe->nhe", left.to(values.dtype), values)
        chosen = torch.tensor(heads or range(z.shape[2]), device=z.device)
        edited = z.clone()
        edited[rows[:, None], to[:, None], chosen] = new[:, chosen]
        return edited


def _late_pattern(
    model: HookedModel,
    layer: int,
    q: Float[Tensor, "batch pos head d_head"],
    k: Float[Tensor, "batch pos head d_head"],
) -> Float[Tensor, "batch head pos pos"]:
    """GPT-Neo's pattern: scores are not scaled, and odd layers see a window only."""
    scores = torch.einsum("bdhe,bshe->bhds", q.float(), k.float())
    length = scores.shape[-1]
    visible = model.bridge.blocks[layer].attn.original_component.bias[:, :, :length, :length]
    return scores.masked_fill(~visible, -torch.inf).softmax(-1)
