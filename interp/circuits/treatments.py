"""Which components are kept from taking part in Stage 2, and what each is held against."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from interp.circuits.components import HEAD, Component, components_of, find_components, united
from interp.circuits.matched import matched_circuits
from interp.circuits.units import members
from interp.transplants.parts import PartMask, parts_of, weights_of
from training.seeds import derive_seed

UNTOUCHED, FROZEN, CLAMPED = "untouched", "frozen", "clamped"
"""Modes of a treatment."""
NONE, ALL = "none", "all"
"""Parts: nothing is kept from learning, or everything."""
LEADING = "leading"
MLP, ALIAS_ROWS = "mlp", "alias rows"
LEARNING = (HEAD, MLP, ALIAS_ROWS, "other rows", "unembedding")
"""Kinds of components that are tried."""


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """One training of Stage 2, and what is kept from taking part in it."""

    mode: str
    part: str
    """The components, joined by `+`."""
    label: str = ""
    """What it counts as over seeds; nothing where others are only held against it."""
    kind: str = ""
    """How many components of each layer and kind; those of one kind are held against each other."""
    frozen: PartMask = field(default_factory=dict)
    clamped: tuple[tuple[int, int], ...] = ()


def treatments(
    start: PreTrainedModel,
    rows: Sequence[TokenizedRow],
    ablated: Mapping[str, float],
    *,
    names: Sequence[str] = (),
    n_others: int,
    seed: int,
) -> list[Treatment]:
    """The untouched training first, then all others, each once.

    Args:
        start: The model before Stage 2.
        rows: All rows of the seed.
        ablated: Of each head, by its name, what is lost without it: finds the leading ones.
        names: Components of a person's own choice, or sets of them; the usual ones if none.
        n_others: Most others that each is held against.
        seed: Of draws.

    Raises:
        InputError: the model lacks a component.
    """
    every = components_of(start, rows)
    tried = [each for each in every if each.kind in LEARNING]
    found = [Treatment(mode=UNTOUCHED, part=NONE, label=NONE)]
    if names:
        tested = {name: find_components(name.split("+"), tried) for name in names}
    else:
        tested = _usual(tried, ablated)
        found += _together(start, every)
    for label, chosen in tested.items():
        found += _of_components(chosen, label)
    for chosen in tested.values():
        for other in _others(chosen, tried, n_others, seed):
            found += _of_components(other, "")
        if [each.kind for each in chosen] == [ALIAS_ROWS]:
            found += _other_rows(chosen[0], start, n_others, seed)
    first: dict[tuple[str, str], Treatment] = {}
    for each in found:  # what is tested comes before what others are held against
        first.setdefault((each.mode, each.part), each)
    return list(first.values())


def _usual(tried: Sequence[Component], ablated: Mapping[str, float]) -> dict[str, list[Component]]:
    """The leading head of each layer, and every component that is no head, by label."""
    found: dict[str, list[Component]] = {}
    for component in tried:
        if component.kind != HEAD:
            found[component.name] = [component]
            continue
        label = f"a{component.layer}.{LEADING}"
        known = found.setdefault(label, [component])[0]
        if ablated[component.name] > ablated[known.name]:
            found[label] = [component]
    return found


def _together(start: PreTrainedModel, every: Sequence[Component]) -> Iterator[Treatment]:
    """Everything, and all that is of one kind."""
    parts = parts_of(start)
    heads = [each for each in every if each.kind == HEAD]
    groups = {
        ALL: parts["all"],
        "blocks": parts["blocks"],
        "heads": united(heads),
        "mlps": parts["mlps"],
    }
    for name, frozen in groups.items():
        yield Treatment(mode=FROZEN, part=name, label=name, kind=name, frozen=frozen)
    clamped = tuple(map(_place, heads))
    yield Treatment(mode=CLAMPED, part="heads", label="heads", kind="heads", clamped=clamped)


def _of_components(chosen: Sequence[Component], label: str) -> Iterator[Treatment]:
    """A set of components frozen and, if it is of heads, clamped."""
    part = "+".join(sorted(each.name for each in chosen))
    strata = Counter((each.layer, each.kind) for each in chosen)
    kind = ", ".join(
        f"{n} {kind}" + (f" of layer {layer}" if layer >= 0 else "")
        for (layer, kind), n in sorted(strata.items())
    )
    frozen = united(chosen)
    yield Treatment(mode=FROZEN, part=part, label=label, kind=kind, frozen=frozen)
    if all(each.kind == HEAD for each in chosen):
        places = tuple(map(_place, chosen))
        yield Treatment(mode=CLAMPED, part=part, label=label, kind=kind, clamped=places)


def _others(
    chosen: Sequence[Component], tried: Sequence[Component], n: int, seed: int
) -> Iterator[list[Component]]:
    """Sets of as many components of each layer and kind, with at most half of them shared."""
    circuit = members([chosen], tried)[0]
    unmatched = np.zeros((len(tried), 0))  # all that are as large will do
    for held in matched_circuits(circuit, tried, unmatched, n=n, seed=seed).sets:
        yield [each for each, is_in in zip(tried, held.tolist(), strict=True) if is_in]


def _other_rows(
    aliases: Component, model: PreTrainedModel, n_others: int, seed: int
) -> Iterator[Treatment]:
    """As many rows of tokens that are no such alias, drawn."""
    ((name, mask),) = aliases.weights.items()
    is_alias = mask.expand_as(weights_of(model)[name])[:, 0]
    others, n = (~is_alias).nonzero()[:, 0], int(is_alias.sum())
    for number in range(n_others if len(others) >= n else 0):
        generator = torch.Generator().manual_seed(derive_seed(seed, f"other rows {number}"))
        drawn = torch.zeros(len(is_alias), 1, dtype=torch.bool)
        drawn[others[torch.randperm(len(others), generator=generator)[:n]]] = True
        kind = f"1 {ALIAS_ROWS}"
        yield Treatment(mode=FROZEN, part=f"rows.{number}", kind=kind, frozen={name: drawn})


def _place(head: Component) -> tuple[int, int]:
    """Layer and number of a head."""
    return head.layer, int(head.name.partition(".h")[2])
