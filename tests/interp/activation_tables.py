"""Tables of what is read off activations, made by hand for figures: usual ones and long ones."""

from collections.abc import Sequence

import pandas as pd

from tests.interp.made_up import crossed, measured

D5, D6 = "D5_CONS", "D6_CONS"
SEEDS = range(4)
ROLES = ("tag", "alias_first", "alias_last", "entity_last", "question_last", "prompt_last")
SITES = ("resid_pre", "attn_out", "mlp_out")


def lens(layers: int = 2, steps: Sequence[int] = (200,)) -> pd.DataFrame:
    table = crossed(
        seed=SEEDS, step=steps, layer=range(layers), lens=["logit", "tuned"],
        subset=[D5, D6, "QA3"], role=["alias_last", "question_last"],
        quantity=["answer", "entity", "other_entity"],
    )  # fmt: skip
    table = table.assign(site="resid_post", rank=1.0, n=3)
    return measured(table, -9, 0, log_prob=1)


def curves_along_training() -> pd.DataFrame:
    panels = {
        ("what is answered", "exact match (share)"): ("ID", "OOD"),
        ("the bridge, by logit lens", "log-probability (nats)"): ("bridge", "another entity"),
    }
    rows = [
        {"panel": panel, "unit": unit, "name": name, "is_control": place > 0, "step": step,
         "seed": seed, "value": (step + seed) / 2000 - place / 5}
        for (panel, unit), names in panels.items()
        for place, name in enumerate(names)
        for step in (0, 10, 300, 1500)
        for seed in SEEDS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def patching(layers: int = 2, roles: Sequence[str] = ROLES[-3:], heads: int = 4) -> pd.DataFrame:
    where = {"seed": SEEDS, "subset": [D5, D6], "layer": range(layers), "role": roles}
    whole = crossed(**where, site=SITES).assign(head=-1)
    table = pd.concat([whole, crossed(**where, head=range(heads)).assign(site="z")])
    table = table.assign(pair_kind="alias", direction="denoise", metric="logit_diff", dropped=0.1)
    return measured(table.assign(n=90), effect=1, control=0.5, attribution=0.4)


def attention(layers: int = 2, heads: int = 4) -> pd.DataFrame:
    of_layer = [*map(str, range(heads)), "all", *(f"#{rank + 1}" for rank in range(heads))]
    table = crossed(
        seed=SEEDS, subset=[D5, D6], layer=range(layers), head=of_layer, text=["qa"],
        kind=["pattern", "direct_logit"], destination=["prompt_last", "alias", "question"],
        source=["alias", "question", "other"],
    )  # fmt: skip
    return measured(table.assign(n=5), 0, 1, value=1, control=0.5)


def probes(layers: int = 2, roles: Sequence[str] = ROLES[-2:]) -> pd.DataFrame:
    table = crossed(layer=range(layers), role=roles, target=["tag", "defined"])
    table = table.assign(site="resid_post", probe="logistic", chance=0.5, n_seeds=4, n_read=20)
    table = table.assign(n_train=16, n_test=4, n_folds=5, n_divisions=1, p_smallest=0.125)
    table = table.assign(
        p_value=0.01, p_corrected=0.04, min_detectable=0.7, width=64, selectivity=0
    )
    names = ("accuracy", "null_accuracy", "seen_accuracy", "control_accuracy", "twin_accuracy")
    table = measured(table, 0, 1, **dict.fromkeys((*names, "ci_low", "ci_high"), 1))
    return table.assign(difference=0.1)


def places(layers: int = 2) -> pd.DataFrame:
    table = probes(layers, ["alias_last"])
    table = table.loc[table["target"] == "tag"]
    at = [(run_id, *place) for run_id in "ab" for place in ((1, 0), (1, 40), (2, 0), (2, 200))]
    return pd.concat([table.assign(run_id=r, stage=s, step=n) for r, s, n in at])
