"""Along training: is the bridge of two hops there, is the second relation, and does it matter?

A question leads from its alias to an entity, the bridge, and from there to its answer. As published
of two hops (arXiv 2405.15071), three measures at every checkpoint, on questions never trained:

    bridge            log-probability of the entity by logit lens at the alias's last token; its
                      control is another entity, drawn at random
    second relation   that of the question's own last token by logit lens, where it stands itself
    causal strength   by how much the answer follows, where the stream at the alias's last token is
                      replaced by that of another alias in the same question (`patch_pairs`); its
                      control is a third alias's stream

All are read from the stream before one layer.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.pairs import PairKind, make_pairs
from data.tokens import TokenizedRow
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from interp.lenses.analysis import read_lens, token_quantities
from interp.patching.analysis import Direction, patch_pairs
from interp.patching.pair_batches import PatchMetric
from training.metrics import EXACT_MATCH
from training.runs.run import Run

NATS, SHARE = "log-probability (nats)", "share of the logit difference"
MOST_PAIRS = 100
CURVES = {
    "answers": ("held-out questions", EXACT_MATCH.unit),
    "bridge": ("logit lens at the alias", NATS),
    "second relation": ("logit lens at the relation", NATS),
    "causal strength": ("patching at the alias", SHARE),
}
"""Of each measure: its panel, and the unit of its axis."""
CONTROLS = {"bridge": "another entity", "causal strength": "a third alias's stream"}


def hops_at(
    model: HookedModel, rows: Sequence[TokenizedRow], *, subset: str, layer: int = 1, seed: int
) -> dict[str, float]:
    """The three measures of one checkpoint, and their controls.

    Args:
        model: Of the checkpoint.
        rows: All rows of the seed.
        subset: Whose held-out questions.
        layer: Before which layer the stream is read and replaced.
        seed: Fixes which entities and pairs are drawn.
    """
    asked = [r for r in rows if r.row.is_evaluated and r.row.subset.name == subset]
    roles = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    site = Site("resid_pre", layer)
    activations = collect_activations(model, asked, sites=[site], roles=roles)
    tokens = token_quantities(rows, asked, seed=seed)
    own = [row.input_ids[TokenRole.QUESTION_LAST.position(row)] for row in asked]
    quantities = {**tokens, "question": np.array(own)}
    read = read_lens(model, activations, quantities)
    means: dict[tuple[str, str], float] = (
        read.groupby(["role", "quantity"])["log_prob"].mean().to_dict()
    )
    pairs = make_pairs(rows, PairKind.ALIAS, subset=subset, limit=MOST_PAIRS, seed=seed)
    (patched,) = patch_pairs(
        model,
        pairs,
        sites=[site],
        roles=[str(TokenRole.ALIAS_LAST)],
        directions=[Direction.DENOISE],
        metrics=[PatchMetric.LOGIT_DIFF],
    ).to_dict("records")
    alias, question = map(str, roles)
    return {
        "bridge": means[alias, "entity"],
        CONTROLS["bridge"]: means[alias, "other_entity"],
        "second relation": means[question, "question"],
        "causal strength": patched["effect"],
        CONTROLS["causal strength"]: patched["control"],
    }


def hops_along(run: Run, *, layer: int = 1) -> pd.DataFrame:
    """All measures of every seed at every checkpoint of its first stage, for `plot_steps`.

    The subsets are those of the run's main contrast: what is answered of both, the rest of the
    higher one.
    """
    main = run.design.main
    records = []
    for seed in run.seeds:
        rows = run.tokenized_rows(seed)
        for step in run.steps(seed, 1):
            found = _answers(run, seed, step)
            model = load_hooked(run, seed=seed, stage=1, step=step)
            found |= hops_at(model, rows, subset=main.higher.name, layer=layer, seed=seed)
            records += [_record(run, name, seed, step, value) for name, value in found.items()]
    return pd.DataFrame(records)


def _answers(run: Run, seed: int, step: int) -> dict[str, float]:
    """Exact match on held-out questions about both sides of the main contrast."""
    rows = run.metrics.query(
        "seed == @seed and stage == 1 and step == @step and question == 'all' "
        "and metric == 'exact_match'"
    )
    values = rows.set_index("subset")["value"]
    return {name: float(values[name]) for name in run.design.main.names}


def _record(run: Run, name: str, seed: int, step: int, value: float) -> dict[str, object]:
    of_control = {control: measure for measure, control in CONTROLS.items()}
    is_answer = name in run.design.main.names
    panel, unit = CURVES["answers" if is_answer else of_control.get(name, name)]
    return {
        "panel": panel,
        "unit": unit,
        "name": name,
        "is_control": name in of_control or name == run.design.main.lower.name,
        "step": step,
        "seed": seed,
        "value": value,
    }
