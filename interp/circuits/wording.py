"""Circuits in words: what carries an answer, how surely, and is it beyond other circuits?"""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from data.design import Contrast
from interp.circuits.analysis import SINGLE_UNIT
from interp.circuits.behaviours import BehaviourKind
from interp.circuits.disruption import GAP
from interp.circuits.edges import EDGES
from interp.figures.grid_tables import ALPHA

OFTEN = 0.5
"""Of units of a kind that so many are chosen of, on average over draws and seeds, it is told."""
_HEAD = re.compile(r"\.h\d+")
MOST_NAMED = 8


def circuit_found(cells: pd.DataFrame, compared: Contrast) -> list[str]:
    """A sentence for each circuit, on transfer between the compared subsets, and on disruption.

    Args:
        cells: Rows of a `circuits_summary` of one run and checkpoint.
        compared: What is compared at that stage.
    """
    sentences = []
    kinds = list(dict.fromkeys(cells["ablation"]))
    for kind in kinds:
        of_kind = cells.loc[cells["ablation"] == kind]
        head = f"{kind} ablation: ".capitalize() if len(kinds) > 1 else ""
        circuits = [
            name for name in dict.fromkeys(of_kind["circuit"]) if not name.startswith(SINGLE_UNIT)
        ]
        for name in circuits:
            of_circuit = of_kind.loc[of_kind["circuit"] == name]
            sentences.append(head + _carried_words(name, of_circuit))
        sentences += [head + text for text in _transfer_words(of_kind, compared)]
        for name in circuits:
            if name.startswith(BehaviourKind.ANSWER):
                of_circuit = of_kind.loc[of_kind["circuit"] == name]
                sentences += [head + text for text in _disrupted_words(name, of_circuit, compared)]
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    rules = (
        "A circuit is chosen on half of the aliases and tested on the others; others of as many "
        "units of each layer and kind, sharing at most half, are its control. p is corrected over "
        f"the cells of a quantity, n {n_seeds} seed{'s' * (n_seeds != 1)}. Several circuits may "
        "carry one behaviour: read the frequencies, not one set."
    )
    return [*sentences, rules]


def _carried_words(name: str, cells: pd.DataFrame) -> str:
    """How much a circuit recovers, which units are chosen often, whether the gate accepts it."""
    size = _one(cells, "size")
    if "faithfulness" not in set(cells["quantity"]):
        return f"{name}: no circuit; what the model says hardly depends on any units."
    faithful = _one(cells, "faithfulness")
    included = cells.loc[cells["quantity"] == "inclusion"]
    accepted = _one(cells, "accepted")
    parts = f"{included['unit'].nunique()} {'edges' if name.endswith(EDGES) else 'units'}"
    return (
        f"{name}: {size['value']:.1f} of {parts} alone recover {faithful['value']:.0%} of "
        f"what the model says of held-out aliases, {_others_words(faithful)} "
        f"({p_words(faithful)}); of these are chosen, on average over draws and seeds, "
        f"{_chosen_words(included)}. The gate accepts it in "
        f"{round(accepted['value'] * accepted['n_seeds'])} of "
        f"{accepted['n_seeds']} seeds."
    )


def _chosen_words(included: pd.DataFrame) -> str:
    """How many of each layer's heads, and which MLPs, are chosen; heads have no number over seeds.

    Args:
        included: Inclusion frequencies of one circuit.
    """
    kinds = included["unit"].str.replace(_HEAD, "", regex=True)
    counts = included["value"].groupby(kinds, sort=False).agg(["sum", "size"])
    told = counts.loc[counts["sum"] >= OFTEN].nlargest(MOST_NAMED, "sum")
    words = [
        f"{chosen:.1f} of {int(n)} {'edges' if '>' in kind else 'heads'} {kind}"
        if n > 1
        else f"{kind} in {chosen:.0%}"
        for kind, chosen, n in told.itertuples(name=None)
    ]
    return ", ".join(words) or "none in half of the draws"


def _others_words(cell: dict[str, Any]) -> str:
    """What other circuits recover; large circuits have none that shares at most half."""
    if pd.isna(cell["control"]):
        return "no other circuit of its layers and kinds shares at most half"
    return f"other circuits {cell['control']:.0%}"


def _transfer_words(cells: pd.DataFrame, compared: Contrast) -> list[str]:
    """What the circuit of one compared subset recovers of the other, both ways."""
    found = []
    for kind in BehaviourKind:
        prefix = "" if kind is BehaviourKind.ANSWER else f"{kind} "
        parts = []
        for one, other in (compared.names, compared.names[::-1]):
            here = cells.loc[
                (cells["quantity"] == "transfer") & (cells["subset"] == prefix + other)
            ]
            short = f"{kind} {one.partition('_')[0]}"
            own = here.loc[here["circuit"].isin([short, f"{kind} {one}"])].to_dict("records")
            if own:
                cell = own[0]
                parts.append(
                    f"the circuit {cell['circuit']} recovers {cell['value']:.0%} of "
                    f"{prefix}{other} ({_others_words(cell)}, {p_words(cell)})"
                )
        if parts:
            found.append(f"Cross-transfer: {'; '.join(parts)}.")
    return found


def _disrupted_words(name: str, cells: pd.DataFrame, compared: Contrast) -> list[str]:
    """What is lost without a circuit, and whether matched circuits cost as much."""
    lost = cells.loc[cells["quantity"] == "disruption"].set_index("subset")
    told = [each for each in (*compared.names, GAP) if each in lost.index]
    if not told:
        return []
    parts = [f"{each} {lost.loc[each, 'value']:+.2f}" for each in told]
    special = cells.loc[cells["quantity"] == "specificity"].to_dict("records")
    index = f"; specificity {special[0]['value']:+.2f}" if special else ""
    first: dict[str, Any] = lost.loc[told[-1]].to_dict()
    if not first["n_tested"]:
        beside = (
            "no other circuit of its layers, kinds and size costs the trained subsets as much, so "
            "nothing can be said beyond them"
        )
    else:
        beside = (
            f"matched circuits, which {first['n_tested']} of {first['n_seeds']} seeds have, cost "
            f"{told[-1]} {first['control']:+.2f} ({p_words(first)}, least possible p "
            f"{first['p_smallest']:.2g})"
        )
    return [f"Without the circuit {name}, nats lost: {', '.join(parts)}{index}; {beside}."]


def p_words(cell: dict[str, Any]) -> str:
    """The corrected p, and whether it counts."""
    if pd.isna(cell["p_corrected"]):
        return "not tested"
    beyond = "" if cell["p_corrected"] <= ALPHA else "not beyond them, "
    return f"{beyond}corrected p {cell['p_corrected']:.2g}"


def _one(cells: pd.DataFrame, quantity: str) -> dict[str, Any]:
    """The only cell of a quantity of one circuit."""
    return cells.loc[cells["quantity"] == quantity].to_dict("records")[0]


def strongest_units(cells: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Of each circuit, the units of largest exact score, the largest first."""
    scores = cells.loc[(cells["quantity"] == "score_exact") & cells["circuit"].isin(names)]
    return scores.sort_values("value", key=abs, ascending=False, kind="stable")
