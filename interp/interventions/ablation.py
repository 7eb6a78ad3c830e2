"""What does the model still answer without one of its components?

A component (a head's `z`, `attn_out`, `mlp_out`, a residual state) is replaced at chosen places, or
at all tokens, by

    zero      nothing
    mean      its mean over reference rows at tokens of the same meaning
    resample  its value at such a token of another reference row, drawn at random

Tokens have the same meaning if they stand at the same place of the same role; without places, also
those outside all roles if they stand at the same position. So `ask` is never replaced by an alias.
Where no other row has such a token, as at the end of the longest name, the nearest place before it
that another row has counts.
A zero is far from anything the model has seen, a mean nearer, a resampled value is one it has seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site
from interp.interventions.base import BATCH_SIZE, Hook, Place, editing, place_tokens
from training.seeds import derive_seed

Meaning = tuple[str, int]
"""A role and which token of it, or the position of a token outside all roles."""


class AblationKind(StrEnum):
    """What takes the place of the output of an ablated component."""

    ZERO = "zero"
    MEAN = "mean"
    RESAMPLE = "resample"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The activations of some sites at the tokens of reference rows, to put in place of others."""

    values: Mapping[str, Float[Tensor, "token ..."]]
    """By hook name; heads have an axis of their own."""
    tokens: Mapping[Meaning, Sequence[int]]
    """The tokens of each meaning, at most one of a row."""
    owners: Mapping[Meaning, Mapping[str, int]]
    """By row id, which of them is that row's."""
    places: tuple[Place, ...]

    @classmethod
    def of(
        cls,
        model: HookedModel,
        rows: Sequence[TokenizedRow],
        sites: Sequence[Site],
        *,
        places: Sequence[Place] = (),
    ) -> "Reference":
        """Reads the sites in all rows, at the places, or at all tokens if there are none.

        Raises:
            InputError: there are no rows or sites, or a row lacks a place.
        """
        if not (rows and sites):
            raise InputError("no reference rows or sites; give at least one of each")
        hooks = list(dict.fromkeys(site.hook for site in sites))
        parts: dict[str, list[Tensor]] = {hook: [] for hook in hooks}
        tokens: dict[Meaning, list[int]] = {}
        owners: dict[Meaning, dict[str, int]] = {}
        n_tokens = 0
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            found = _meanings(batch, places)
            for i, _, meaning in found:
                of_meaning = tokens.setdefault(meaning, [])
                owners.setdefault(meaning, {})[batch[i].row.row_id] = len(of_meaning)
                of_meaning.append(n_tokens)
                n_tokens += 1
            row_of, position = _spots(found)
            _, cache = model.run_with_cache(
                pad_tokens([row.input_ids for row in batch]), hooks, stop_at_layer="auto"
            )
            for hook in hooks:
                parts[hook].append(cache[hook][row_of, position])
        return cls(
            values={hook: torch.cat(values) for hook, values in parts.items()},
            tokens=tokens,
            owners=owners,
            places=tuple(places),
        )


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A component without what it says; an `interp.interventions.base.Intervention`."""

    site: Site
    """A head site with a head, or any site without."""
    kind: AblationKind
    places: tuple[Place, ...] = ()
    """The tokens at which the component is ablated; all tokens if empty."""
    reference: Reference | None = None
    """For `mean` and `resample`, of the same places."""
    seed: int = 0
    """Draws the rows that `resample` takes values from, the same for the same batches of rows."""

    def __post_init__(self) -> None:
        """Refuses an ablation whose reference lacks the site, or was made for other places."""
        if self.kind is AblationKind.ZERO:
            return
        if self.reference is None or self.site.hook not in self.reference.values:
            raise InputError(
                f"a {self.kind} ablation of {self.site.hook} needs its values; "
                "give a Reference that has the site"
            )
        if self.reference.places != self.places:
            raise InputError("reference and ablation are of other places; give both the same")

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        """See `Intervention`."""
        found = _meanings(rows, self.places)
        spots = _spots(found)
        if self.kind is AblationKind.ZERO:
            return [editing(self.site, spots, lambda vectors, spots: torch.zeros_like(vectors))]
        values = self._replacements(rows, found)
        if self.site.head is not None:
            values = values[:, self.site.head]

        def replace(vectors: Tensor, spots: Tensor) -> Tensor:
            return values[spots.to(values.device)].to(vectors)

        return [editing(self.site, spots, replace)]

    def _replacements(
        self, rows: Sequence[TokenizedRow], found: list[tuple[int, int, Meaning]]
    ) -> Float[Tensor, "spot ..."]:
        assert self.reference is not None
        known, values = self.reference.tokens, self.reference.values[self.site.hook]
        for i, position, meaning in found:
            if meaning not in known:
                raise InputError(
                    f"no reference row has a token like number {position} of row "
                    f"{rows[i].row.row_id}; give reference rows of the same form"
                )
        if self.kind is AblationKind.MEAN:
            meanings = list(known)
            numbers = {meaning: number for number, meaning in enumerate(meanings)}
            means = torch.stack([values[known[meaning]].mean(0) for meaning in meanings])
            return means[torch.tensor([numbers[meaning] for _, _, meaning in found])]
        return values[self._drawn(rows, found)]

    def _drawn(
        self, rows: Sequence[TokenizedRow], found: list[tuple[int, int, Meaning]]
    ) -> Int[Tensor, " spot"]:
        """Of each spot a token of the same meaning in another row, all of them equally likely."""
        assert self.reference is not None
        seed = derive_seed(self.seed, f"resample {rows[0].row.row_id}")
        generator = torch.Generator().manual_seed(seed)
        chances = torch.rand(len(found), generator=generator, dtype=torch.float64).tolist()
        drawn = []
        for (i, _, meaning), chance in zip(found, chances, strict=True):
            row_id = rows[i].row.row_id
            meaning = self._shared(meaning, row_id)
            own = self.reference.owners[meaning].get(row_id)
            number = int(chance * (len(self.reference.tokens[meaning]) - (own is not None)))
            number += own is not None and number >= own
            drawn.append(self.reference.tokens[meaning][number])
        return torch.tensor(drawn)

    def _shared(self, meaning: Meaning, row_id: str) -> Meaning:
        """The meaning, or the nearest before it that a row other than this one has."""
        assert self.reference is not None
        name, last = meaning
        for number in range(last, -1, -1):
            owners = self.reference.owners.get((name, number), {})
            if len(owners) > (row_id in owners):
                return name, number
        raise InputError(f"no row but {row_id} has a token like its {name}; give reference rows")


def ablate(
    model: HookedModel,
    site: Site,
    kind: AblationKind | str,
    *,
    places: Sequence[Place] = (),
    reference: Sequence[TokenizedRow] = (),
    seed: int = 0,
) -> Ablation:
    """An ablation of a model's component; `Ablation` itself shares a reference between several.

    Args:
        model: Where the reference rows are run; read only.
        site: The component.
        kind: `zero`, `mean` or `resample`.
        places: Where; all tokens if there are none.
        reference: Rows that `mean` and `resample` take values from.
        seed: Draws for `resample`.

    Raises:
        InputError: the model has no such component, or the reference rows are missing.
    """
    check_site(model, site)
    kind = AblationKind(kind)
    read = None
    if kind is not AblationKind.ZERO:
        read = Reference.of(model, reference, [site], places=places)
    return Ablation(site=site, kind=kind, places=tuple(places), reference=read, seed=seed)


def _meanings(
    rows: Sequence[TokenizedRow], places: Sequence[Place]
) -> list[tuple[int, int, Meaning]]:
    """Row, position and meaning of every token of the places, or of all tokens."""
    found: list[tuple[int, int, Meaning]] = []
    for i, row in enumerate(rows):
        named = {
            position: (str(place), number)
            for place in (places or row.spans)
            for number, position in enumerate(place_tokens(row, place))
        }
        if not places:
            named = {p: named.get(p, ("position", p)) for p in range(len(row.input_ids))}
        found += [(i, position, meaning) for position, meaning in named.items()]
    return found


def _spots(found: list[tuple[int, int, Meaning]]) -> Int[Tensor, "two spot"]:
    return torch.tensor([(i, position) for i, position, _ in found]).reshape(-1, 2).T
