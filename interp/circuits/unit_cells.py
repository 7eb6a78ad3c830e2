"""What is known of each part of a model as a circuit's member, over seeds: for figures and texts.

A head of one seed is not the head of that number in another. Where a table has several seeds, the
heads of each layer are therefore ranked within each seed, by how much they do in all circuits of
the table together: #1 is one and the same head of a seed in every circuit and at every role. Ranked
by the very effects that are shown, the first do too much, also by chance.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError, unknown_name
from data.vocabulary import Role
from interp.circuits.units import OTHER, Unit
from interp.figures.grid_tables import one_checkpoint, run_names, with_run_columns
from interp.figures.places import ALL_TOKENS, at_words, site_words
from interp.figures.seed_marks import FEWEST
from training.statistics import t_interval

SCORES = {"score_exact": "exact", "score_eap": "EAP", "score_eap_ig": "EAP-IG"}
ARROW = ">"
"""Between the two ends of an edge's name, such as `a0.h1>a2.h3.q`, `emb>m1`, `m1>logits`."""
EMBEDDING, LOGITS = -1, 10_000
"""The layers of places that are of none: below all, above all."""
_END = re.compile(r"a(?P<layer>\d+)\.h(?P<head>\d+)(?:\.(?P<input>[qkv]))?|m(?P<mlp>\d+)")
_INPUTS = {"q": "queries", "k": "keys", "v": "values"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a unit is drawn: a layer, a head by its number or rank (-1: the MLP), a role."""

    layer: int
    slot: int
    role: str
    """`all` of an edge's ends, which carry what is at every token."""
    is_ranked: bool = False
    reads: str = ""
    """By what a head reads, at the end of an edge: queries, keys or values."""

    def __lt__(self, other: "Place") -> bool:
        """In the order of the model: heads before their layer's MLP, tokens as they stand."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[int, bool, int, tuple[int, str]]:
        return self.layer, self.slot < 0, self.slot, _role_order(self.role + self.reads)

    @property
    def words(self) -> str:
        """Such as `layer 0, head #1 at the alias`, or `layer 1, MLP at other tokens`."""
        if self.role == ALL_TOKENS:
            return f"{self.component}{f' ({self.reads})' if self.reads else ''}"
        return f"{self.component} {role_phrase(self.role)}"

    @property
    def component(self) -> str:
        """Without the role."""
        if self.layer in (EMBEDDING, LOGITS):
            return "embedding" if self.layer == EMBEDDING else "logits"
        if self.slot < 0:
            return site_words("mlp_out", self.layer)
        if self.is_ranked:
            return f"layer {self.layer}, head #{self.slot + 1}"
        return site_words("z", self.layer, self.slot)


def role_phrase(role: str) -> str:
    """Where a unit is, in a sentence.

    >>> role_phrase("alias"), role_phrase("other")
    ('at the alias', 'at other tokens')
    """
    return "at other tokens" if role == OTHER else at_words(role)


def ordered_roles(roles: Sequence[str]) -> list[str]:
    """Roles as they stand along the bottom of a picture; tokens without one last."""
    return sorted(set(roles), key=_role_order)


def _role_order(role: str) -> tuple[int, str]:
    known = [*map(str, Role)]
    last = (role == OTHER) + 2 * role.startswith(ALL_TOKENS)
    return (known.index(role) if role in known else len(known) + last, role)


def of_ablation(table: pd.DataFrame, ablation: str | None) -> pd.DataFrame:
    """The rows of one run, checkpoint and ablation; the first in the table unless named.

    Raises:
        InputError: several runs or checkpoints, or the ablation is not there.
    """
    table = with_run_columns(table)
    one_checkpoint(table)
    if len(run_names(table)) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    known = list(dict.fromkeys(table["ablation"]))
    chosen = known[0] if ablation is None else ablation
    if chosen not in known:
        raise unknown_name("ablation", chosen, known)
    return table.loc[table["ablation"] == chosen]


def circuits_of(rows: pd.DataFrame) -> list[str]:
    """The circuits whose parts a table has, in its order."""
    return list(dict.fromkeys(rows.loc[rows["quantity"] == "inclusion", "circuit"]))


def unit_cells(rows: pd.DataFrame, circuit: str) -> list[dict[str, Any]]:
    """A record for each place and each edge between places: means over seeds, and each seed's own.

    Keys: `places` (one, or the two ends of an edge), `effect` (of the first score that the table
    has), `low`, `high` (95% t interval; NaN of few seeds), `inclusion`, `member`, `n`, `n_seeds`,
    the means of `SCORES` that the table has, and `own`: by seed the name of the unit there,
    its effect and inclusion.

    Args:
        rows: As `of_ablation` returns them.
        circuit: Whose parts.

    Raises:
        InputError: there is no such circuit.
    """
    if circuit not in (known := circuits_of(rows)):
        raise unknown_name("circuit", circuit, known)
    return cells_by_circuit(rows)[circuit]


def cells_by_circuit(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The records of every circuit; see `unit_cells`."""
    parts = rows.loc[rows["quantity"].isin([*SCORES, "inclusion", "member"]) & (rows["unit"] != "")]
    places = _places(parts)
    found: dict[str, dict[tuple[Place, ...], dict[str, Any]]] = {}
    columns = (
        parts[name].tolist() for name in ("circuit", "seed", "unit", "quantity", "value", "n")
    )
    for circuit, seed, unit, quantity, value, n in zip(*columns, strict=True):
        cells = found.setdefault(circuit, {})
        cell = cells.setdefault(places[seed, unit], {"names": {}, "n": 0, "values": {}})
        cell["names"][seed], cell["n"] = unit, max(cell["n"], n)
        cell["values"].setdefault(quantity, {})[seed] = value
    return {
        circuit: [_cell(each, cells[each]) for each in sorted(cells)]
        for circuit, cells in found.items()
    }


def chance_of_inclusion(rows: pd.DataFrame, circuit: str) -> float:
    """How often a part would be chosen if as many were drawn: size over number, mean of seeds."""
    own = rows.loc[(rows["circuit"] == circuit) & (rows["quantity"] == "inclusion")]
    return float(own.groupby("seed")["value"].mean().mean())


def _places(parts: pd.DataFrame) -> dict[tuple[int, str], tuple[Place, ...]]:
    """By seed and name of a part where it is drawn; ranked where there are several seeds."""
    is_ranked = len(set(parts["seed"])) > 1
    found: dict[tuple[int, str], tuple[Place, ...]] = {}
    for seed, of_seed in parts.groupby("seed"):
        names = list(dict.fromkeys(of_seed["unit"]))
        slots = _slots(of_seed) if is_ranked else {}
        for name in names:
            ends = (_place(end, slots, is_ranked=is_ranked) for end in name.split(ARROW))
            found[int(str(seed)), name] = tuple(ends)
    return found


def _place(name: str, slots: Mapping[tuple[int, int], int], *, is_ranked: bool) -> Place:
    """Where a unit, or the end of an edge, is drawn.

    Raises:
        InputError: the name is that of neither.
    """
    if name in ("emb", "logits"):
        layer = EMBEDDING if name == "emb" else LOGITS
        return Place(layer=layer, slot=-1, role=ALL_TOKENS)
    end = _END.fullmatch(name)
    if end is None:
        unit = Unit.parse(name)
        layer, head, role, reads = unit.layer, unit.head, unit.role, ""
    else:
        layer, role = int(end["layer"] or end["mlp"]), ALL_TOKENS
        head = None if end["head"] is None else int(end["head"])
        reads = _INPUTS.get(end["input"] or "", "")
    slot = -1 if head is None else slots.get((layer, head), head)
    return Place(
        layer=layer, slot=slot, role=role, is_ranked=is_ranked and head is not None, reads=reads
    )


def _slots(of_seed: pd.DataFrame) -> dict[tuple[int, int], int]:
    """The rank, from 0, of each layer's heads by the sum of their effects' sizes."""
    score = next((each for each in SCORES if each in set(of_seed["quantity"])), None)
    scored = of_seed.loc[of_seed["quantity"] == score]
    by_name = scored["value"].abs().groupby(scored["unit"], sort=False).sum()
    sums: dict[tuple[int, int], float] = {}
    for name, value in by_name.items():
        if ARROW not in str(name) and (unit := Unit.parse(str(name))).head is not None:
            key = unit.layer, unit.head
            sums[key] = sums.get(key, 0.0) + value
    ranks: dict[tuple[int, int], int] = {}
    for layer in {layer for layer, _ in sums}:
        heads = sorted((key for key in sums if key[0] == layer), key=lambda key: -sums[key])
        ranks |= {key: rank for rank, key in enumerate(heads)}
    return ranks


def _cell(places: tuple[Place, ...], cell: dict[str, Any]) -> dict[str, Any]:
    means = {name: sum(each.values()) / len(each) for name, each in cell["values"].items()}
    score = next((name for name in SCORES if name in means), "")
    effects = cell["values"].get(score, {})
    low, high = t_interval(list(effects.values())) if len(effects) >= FEWEST else (np.nan,) * 2
    inclusion = cell["values"].get("inclusion", {})
    return {
        **{name: means[name] for name in SCORES if name in means},
        "places": places,
        "effect": means.get(score, 0.0),
        "low": low,
        "high": high,
        "inclusion": means.get("inclusion", 0.0),
        "member": means.get("member", np.nan),
        "n": cell["n"],
        "n_seeds": len(cell["names"]),
        "own": {
            seed: (name, effects.get(seed, np.nan), inclusion.get(seed, np.nan))
            for seed, name in cell["names"].items()
        },
    }
