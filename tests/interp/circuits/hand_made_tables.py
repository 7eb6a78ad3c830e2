"""Tables of circuits in which the effects were planted.

In each seed one head of layer 0 carries the alias to the question and one MLP of layer 1 reads it
there; which head differs between seeds. The circuit of the higher subset transfers to itself and to
what was trained, that of the lower one to itself alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

D1, D5, D6, UNSEEN = "D1_CONS_QA1", "D5_CONS", "D6_CONS", "QA7_UNSEEN"
ANSWERED = {"answer D1": D1, "answer D5": D5, "answer D6": D6}
RECITED = {"recite D5": f"recite {D5}", "recite D6": f"recite {D6}"}
CIRCUITS = {**ANSWERED, **RECITED}
"""By its name what each circuit is for, as the column `subset` has it."""
MEASURED = (D1, D5, D6, UNSEEN, f"recite {D1}", f"recite {D5}", f"recite {D6}")
RUN = {"recipe": "alias-toy", "run_id": "a", "model": "m", "word_order": "tae", "stage": 2}
RUN |= {"step": 200}


def unit_names(
    circuit: str, *, layers: int = 2, heads: int = 4, roles: Sequence[str] = ()
) -> list[str]:
    """Of questions or definitions; in the last layer only where the answer is predicted."""
    asked, recited = ("alias", "question", "other"), ("tag", "alias", "other")
    known = roles or (asked if circuit.startswith("answer") else recited)
    last = known[-2]
    return [
        f"{component}@{role}"
        for layer in range(layers)
        for component in (*(f"a{layer}.h{head}" for head in range(heads)), f"m{layer}")
        for role in (known if layer < layers - 1 else [last])
    ]


def circuits_table(
    n_seeds: int = 8,
    *,
    layers: int = 2,
    heads: int = 4,
    roles: Sequence[str] = (),
    ablations: Sequence[str] = ("mean",),
    with_edges: bool = False,
) -> pd.DataFrame:
    """The rows of each seed; the head that carries is head `seed` modulo the number of heads.

    Args:
        n_seeds: From 1000 on.
        layers: Of the model.
        heads: Of a layer.
        roles: Of the tokens; those of the toy unless given.
        ablations: What takes the place of an output.
        with_edges: Whether there are rows of edges between components, too.
    """
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for seed in range(1000, 1000 + n_seeds):
        for ablation in ablations:
            for circuit in CIRCUITS:
                names = unit_names(circuit, layers=layers, heads=heads, roles=roles)
                of_one = _of_units(names, heads, rng, seed) + _of_circuit(circuit, rng)
                if with_edges:
                    of_one += _of_edges(seed % heads, rng)
                where = {"seed": seed, "circuit": circuit, "ablation": ablation}
                rows += [{**RUN, **where, **row} for row in of_one]
            alone = {**RUN, "seed": seed, "circuit": "single unit", "ablation": ablation}
            names = unit_names("answer", layers=layers, heads=heads, roles=roles)
            rows += [{**alone, **_row("disruption", 0.1, unit=name, subset=D5)} for name in names]
    return pd.DataFrame(rows)


def _row(quantity: str, value: float, **others: Any) -> dict[str, Any]:
    empty = {"unit": "", "subset": "", "control": np.nan, "null_low": np.nan, "null_high": np.nan}
    return {"quantity": quantity, **empty, "n_null": 0, "p_value": np.nan, "n": 200,
            "value": float(value), **others}  # fmt: skip


def _held(control: float, spread: float) -> dict[str, Any]:
    """Against matched circuits."""
    return {"control": control, "null_low": control - spread, "null_high": control + spread,
            "n_null": 120, "p_value": 0.01}  # fmt: skip


def _of_units(
    names: Sequence[str], heads: int, rng: np.random.Generator, seed: int
) -> list[dict[str, Any]]:
    """The carrying head at the alias helps by 2 nats, the last MLP by 1, another head hurts."""
    rows, strong = [], (f"a0.h{seed % heads}@", "m1@", f"a0.h{(seed + 1) % heads}@other")
    for name in names:
        effect, inclusion = 0.02 * rng.normal(), 0.05
        for part, planted, chosen in zip(strong, (2.0, 1.0, -0.4), (1.0, 0.9, 0.5), strict=True):
            if name.startswith(part):
                effect, inclusion = effect + planted, chosen
        rows += [
            _row("score_exact", effect, unit=name),
            _row("score_eap", 0.7 * effect, unit=name),
            _row("score_eap_ig", 0.9 * effect, unit=name),
            _row("inclusion", inclusion, unit=name, n=200),
            _row("member", float(inclusion >= 0.5), unit=name),
        ]
        if inclusion >= 0.5:
            held = _held(0.0, 0.05)
            rows.append(_row("minimality", abs(effect), unit=name, **held))
    return rows


def _of_edges(head: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """One head of layer 0 is what the MLP of layer 1 and the values of its heads read."""
    rows = []
    heads = [f"a0.h{n}" for n in range(4)]
    edges = [*((f"{each}>m1", each) for each in heads), ("emb>m0", ""), ("m1>logits", "")]
    edges += [(f"{each}>a1.h0.v", "") for each in heads]
    for edge, writer in edges:
        is_strong = writer == f"a0.h{head}"
        rows += [
            _row("score_exact", 1.5 * is_strong + 0.02 * rng.normal(), unit=edge),
            _row("inclusion", 0.95 if is_strong else 0.1, unit=edge),
        ]
    return rows


def _of_circuit(circuit: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    def off() -> float:
        return 0.03 * float(rng.normal())

    rows = [
        _row("size", 6),
        _row("accepted", 1),
        _row("equivalence", -0.03, null_low=-0.06, null_high=0.0),
        _row("necessity", 0.02, null_low=-0.02, null_high=0.06),
        _row("faithfulness", 0.92 + off(), **_held(0.3, 0.2)),
        _row("completeness", 0.85 + off(), **_held(0.4, 0.2)),
        _row("independence", 0.1 + off(), **_held(0.0, 0.2)),
        _row("specificity", 0.7 + off(), subset=CIRCUITS[circuit], **_held(0.4, 0.2)),
    ]
    lost = {}
    for subset in MEASURED:
        is_own = subset == CIRCUITS[circuit]
        is_alike = circuit.startswith("answer") and subset in (D1, D5)
        share = 0.9 if is_own else 0.7 if is_alike else 0.2
        lost[subset] = (2.0 if is_own else 0.8 if is_alike else 0.1) + off()
        rows.append(_row("transfer", share + off(), subset=subset, **_held(0.25, 0.15)))
    lost["gap"] = lost[D5] - lost[D6]
    for subset, nats in lost.items():
        held = _held(0.0 if subset == "gap" else 0.3, 0.3)
        rows += [
            _row("disruption", nats, subset=subset, **held),
            _row("restored", 0.5 * nats, subset=subset, **held),
        ]
    return rows
