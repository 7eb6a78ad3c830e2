"""Tables of sweeps and ladders, made by hand."""

import pandas as pd

from interp.sweeps.rungs import TOY_TO_TEXT
from tests.interp.made_up import crossed, measured

D5, D6 = "D5_CONS", "D6_CONS"


def gaps_of_a_sweep() -> pd.DataFrame:
    table = crossed(panel=[""], metric=["exact_match", "answer_log_prob"], setting=["tae", "ate"])
    table = measured(table.assign(n_seeds=4), mean=1).assign(per_seed=[{1: 0.1, 2: 0.2}] * 4)
    return table.assign(ci_low=table["mean"] - 0.1, ci_high=table["mean"] + 0.1)


def levels_of_a_sweep() -> pd.DataFrame:
    table = crossed(panel=["loss_policy=text", "loss_policy=answer"], setting=["tae", "ate", "tea"])
    parts = [(1, "D1_CONS_QA1"), (1, "D2_INCONS_QA2"), (2, D5), (2, D6)]
    table = pd.concat([table.assign(part=n, stage=n, subset=name) for n, name in parts])
    table = measured(table.assign(n_seeds=4, n_questions=40), 0, 1, mean=1)
    return table.assign(
        ci_low=table["mean"] - 0.1, ci_high=table["mean"] + 0.1, per_seed=[{1: 0.1}] * len(table)
    )


def rungs_of_a_ladder() -> pd.DataFrame:
    """Every rung and knob of the ladder; one is inadmissible, and knobs have no twin."""
    rungs = [
        {name: getattr(rung, name) for name in ("name", "after", "knob")} for rung in TOY_TO_TEXT
    ]
    table = pd.DataFrame(rungs).rename(columns={"name": "rung"})
    table = table.merge(pd.DataFrame({"contrast": ["iml_gap", "ocl_gap"]}), how="cross")
    table = measured(table.assign(n_seeds=8), mean=1, twin=0.1)
    table["is_admissible"] = table["rung"] != "every-token"
    table["twin"] = table["twin"].where(table["knob"] == "")
    return table.assign(ci_high=table["mean"] + 0.1, twin_high=table["twin"] + 0.1)
