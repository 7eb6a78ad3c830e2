"""Speed of ablation: every single unit against a loop of TransformerLens's hooks, one thread.

The planted model of 4 layers x 8 heads, one row for each of its names, then four; zero ablation.
A loop of hooks makes one forward pass for each unit. Both sides must agree to 1e-3 nats before
anything is timed. Then 500 matched circuits of the planted one.

    python benchmarks/bench_circuits.py [--quick]
"""

import argparse
import time

import numpy as np
import torch
from machine import describe_machine, time_in_turn
from torch import Tensor

from data.tokens import TokenizedRow
from interp.circuits.ablated import AblatedRows
from interp.circuits.matched import matched_circuits
from interp.circuits.scores import ScoreMethod, unit_scores
from interp.circuits.units import Unit, token_roles, units_of
from interp.hooked.model import HookedModel
from interp.interventions.ablation import AblationKind
from interp.patching.unrolled import UnrolledModel
from interp.planted.hand_written import planted_circuit

GATE = 1e-3


def by_units(model: HookedModel, rows: list[TokenizedRow], units: list[Unit]) -> Tensor:
    """What each answer loses without each unit, `[row, unit]`; the set-up is charged too."""
    ablated = AblatedRows(UnrolledModel(model), rows, units, AblationKind.ZERO)
    return unit_scores(ablated, ScoreMethod.EXACT)


@torch.no_grad()
def by_hooks(model: HookedModel, rows: list[TokenizedRow], units: list[Unit]) -> Tensor:
    """The same by one forward pass for each unit; all rows have one length and one role a place."""
    tokens = torch.tensor([row.input_ids for row in rows])
    roles = token_roles(rows[0])
    at = rows[0].answer_positions[0]

    def said(logits: Tensor) -> Tensor:
        return logits[:, at - 1].log_softmax(-1).gather(1, tokens[:, [at]])[:, 0]

    whole, lost = said(model.bridge(tokens[:, :at])), []
    for unit in units:
        places = [i for i, role in enumerate(roles[:at]) if role == unit.role]

        def ablate(activation: Tensor, hook: object, unit: Unit = unit, at: list[int] = places):
            if unit.head is None:
                activation[:, at] = 0.0
            else:
                activation[:, at, unit.head] = 0.0
            return activation

        name = "hook_mlp_out" if unit.head is None else "attn.hook_z"
        hooks = [(f"blocks.{unit.layer}.{name}", ablate)]
        lost.append(whole - said(model.bridge.run_with_hooks(tokens[:, :at], fwd_hooks=hooks)))
    return torch.stack(lost, 1)


def main() -> None:
    """Checks, then times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    rounds = 1 if parser.parse_args().quick else 3
    torch.set_num_threads(1)
    print(describe_machine("torch", "transformers", "transformer-lens"))
    made = planted_circuit(0)
    model = HookedModel.from_hf(made.model)
    for rows in (made.rows[::4], made.rows):
        units = units_of(model, rows)
        difference = (by_units(model, rows, units) - by_hooks(model, rows, units)).abs().max()
        print(f"{len(rows)} rows, {len(units)} units; the sides differ by {difference:.1e} nats")
        if not difference <= GATE:
            raise SystemExit("the two sides differ: nothing is timed")
        times = time_in_turn(
            {
                "hooks": lambda rows=rows, units=units: by_hooks(model, rows, units),
                "ours": lambda rows=rows, units=units: by_units(model, rows, units),
            },
            rounds=rounds,
        )
        hooks, ours = times["hooks"].cpu, times["ours"].cpu
        print(f"  hooks {hooks:.2f} s, ours {ours:.3f} s: {hooks / ours:.1f} times as fast")
    units = units_of(model, made.rows)
    truth = torch.tensor([unit in made.units for unit in units])
    start = time.process_time()
    null = matched_circuits(truth, units, np.zeros((len(units), 1)))
    AblatedRows(UnrolledModel(model), made.rows, units, AblationKind.MEAN).answers(null.sets)
    print(f"{len(null.sets)} matched circuits: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
