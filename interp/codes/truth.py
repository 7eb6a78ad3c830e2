"""Is what tells true from false in Stage 1 what the last stage's tags do? A direction, transferred.

The direction is the mean vector of Stage-1 aliases whose definitions were true (the reliable tag)
minus that of aliases whose definitions were false, estimated before the last stage, which has no
false definition. If tags mean truth, an alias of the unreliable tag should be answered as one of
the reliable tag once the direction is added, and the other way round. Beside it stand random
directions as long.
"""

import numpy as np
import pandas as pd

from interp.codes.answers import METRICS, AskedAliases
from interp.codes.places import CodePlace
from interp.codes.rows import Variants, code_row
from interp.codes.seed_codes import SeedCodes
from interp.hooked.model import HookedModel
from training.seeds import derive_seed

TRUTH = "truth"
"""The edit: added to the lower of the compared subsets, taken from the higher."""
N_RANDOM = 20


def measure_truth(codes: SeedCodes, model: HookedModel, place: CodePlace) -> pd.DataFrame:
    """How both compared subsets are answered with the truth direction moved to the other's side."""
    aliases = codes.aliases
    first = codes.before.at(aliases.reliable).mean(0) - codes.before.at(aliases.unreliable).mean(0)
    rng = np.random.default_rng(derive_seed(codes.seed, "codes/truth"))
    drawn = rng.normal(size=(N_RANDOM, len(first)))
    drawn *= np.linalg.norm(first) / np.linalg.norm(drawn, axis=1, keepdims=True)
    sign = np.where(codes.changes.is_higher, -1.0, 1.0)
    added = np.concatenate([first[None], drawn])[:, None, :] * sign[None, :, None]
    variants = Variants(kinds=["", *["random"] * N_RANDOM])
    answers = AskedAliases(model=model, place=place, aliases=aliases.compared).with_added(added)
    return pd.DataFrame(
        [
            code_row(
                *variants.split(answers[:, where, at].mean(1)),
                quantity=metric.name, subset=subset, edit=TRUTH, n=int(where.sum()),
            )
            for subset, where in codes.sides.items()
            for at, metric in enumerate(METRICS)
        ]
    )  # fmt: skip
