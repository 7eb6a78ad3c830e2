"""Tables of `iml blocks`, made up."""

import numpy as np
import pandas as pd

from interp.one_layer.measures import FROBENIUS, NUCLEAR
from training.columns import run_columns
from training.models.own import AFTER, BEFORE
from training.recipes import find_recipe

RECIPES = {"retrieval": "one-layer-retrieval", "truth": "truth-direction"}
PARTS = {
    "retrieval": [f"subjects {name} → {to}" for name in ("IMPLIED", "BOTH")
                  for to in ("implications", "facts")],
    "truth": [f"{name} → {to}" for name in ("subjects", "attributes")
              for to in ("subjects said", "attributes read")],
}  # fmt: skip


def blocks_table(
    kind: str = "truth", *, seeds: int = 4, level: float = 1.0, has_norm: bool = True
) -> pd.DataFrame:
    """Weights and AUCs that grow to `level` over training, the same in all seeds but for noise."""
    recipe = find_recipe(RECIPES[kind])
    shared = run_columns(recipe(**recipe.smoke))
    records = []
    for seed in range(seeds):
        for step in (0, 10, 100):
            grown, noise = level * step / 100, 0.01 * seed
            told = [("block", part, "own", 2 * grown) for part in PARTS[kind]]
            told += [("block", part, "other", -grown) for part in PARTS[kind]]
            told += [("singular values", f"{i:02d}", "", grown * (5 - i)) for i in (1, 2, 3)]
            told += [(NUCLEAR, "", "", 9 * grown), (FROBENIUS, "", "", np.sqrt(29) * grown)]
            subsets = ("TRUE", "FALSE") if kind == "truth" else ("IMPLIED", "UNTOLD")
            told += [("probability", name, "", 0.5 * grown) for name in subsets]
            if kind == "truth":
                places = ("x", "y", "alias")
                told += [("auc", place, BEFORE, 0.5) for place in places]
                told += [("auc", place, AFTER, 0.5 + grown / 2) for place in places if has_norm]
            place = {**shared, "seed": seed, "stage": 1, "step": step}
            records += [
                {
                    **place,
                    "quantity": quantity,
                    "part": part,
                    "state": state,
                    "value": value + noise,
                }
                for quantity, part, state, value in told
            ]
    return pd.DataFrame(records)
