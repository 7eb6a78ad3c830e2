"""A table of patching in which the effects were planted."""

from typing import Any

import numpy as np
import pandas as pd

SITES = (("resid_pre", 0, -1), ("resid_pre", 1, -1), ("attn_out", 1, -1), ("z", 1, 0), ("z", 1, 1))
ROLES = ("alias_last", "question_last", "all")
D5, D6 = "D5_CONS", "D6_CONS"


def patching_table(n_seeds: int = 8) -> pd.DataFrame:
    """Of D5, attn_out.1 at question_last has effect .9 against .4, of D6 .6 against .4; else noise.

    The strongest of two heads there has .5, in even seeds head 0, else head 1; attribution is half
    of the effect.
    """
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for seed in range(n_seeds):
        run = {"recipe": "alias-toy", "run_id": "a", "model": "m", "seed": seed}
        run |= {"word_order": "tae", "stage": 2, "step": 7, "pair_kind": "alias"}
        for subset, top in ((D5, 0.9), (D6, 0.6)):
            for direction in ("denoise", "noise"):
                for site, layer, head in SITES:
                    for role in ROLES:
                        effect, control = 0.01 * rng.normal(size=2)
                        if role == "question_last" and layer == 1 and site != "resid_pre":
                            mean = top if head < 0 else 0.5 if head == seed % 2 else 0.1
                            effect, control = effect + mean, control + (0.4 if head < 0 else 0.05)
                        where = {"subset": subset, "site": site, "layer": layer, "head": head}
                        where |= {"role": role, "direction": direction, "metric": "logit_diff"}
                        measured = {"effect": effect, "attribution": effect / 2}
                        measured |= {"control": control, "n": 10, "dropped": 0.25}
                        rows.append(run | where | measured)
    return pd.DataFrame(rows)
