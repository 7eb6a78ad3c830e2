"""Claims Z1 and Z2: what changes with a model's size and family, by what their names say.

"Grows with size" is made checkable as the slope over log10 of the parameters; "first visible at
1B" (Z1) as no gap in the mean of smaller models and one in the mean of the others; "larger GPT-Neo"
(Z2) as those from 1B on. GPT-NeoX counts as no GPT-Neo.
"""

from data.design import Margin
from data.tasks.iml import D5_CONS, D6_CONS
from interp.claims.stage_two import PEOPLE, WORKS
from interp.verdicts.across import (
    MODEL,
    Across,
    Comparison,
    largest_model,
    log_size,
    mean_where,
    size_in,
    slope,
    smaller_models,
)
from interp.verdicts.claim import RECIPE_MARGIN, Claim, Condition, RecipeMargin, TagEvidence
from interp.verdicts.quantities import gap

PYTHIA, GPT_NEO, LLAMA = "pythia", "gpt-neo", "llama"
BILLION = 0.95e9
"""Pythia-1B and whatever is larger."""


def _models(
    id: str,
    words: str,
    compare: Comparison,
    paper: str,
    *,
    margin: Margin | RecipeMargin | None = None,
    only: Condition | None = None,
) -> Claim:
    return Claim(
        id=id,
        statement=words,
        measure=gap(D5_CONS, D6_CONS),
        tag=TagEvidence.CONTRAST,
        margin=margin,
        paper=paper,
        only=only,
        across=Across(setting=MODEL, compare=compare),
    )


MODEL_CLAIMS: tuple[Claim, ...] = (
    _models(
        "Z1.slope",
        "Pythia: the gap of D5_CONS and D6_CONS grows, per tenfold size",
        slope(log_size(PYTHIA)),
        "grows (Figure 16)",
    ),
    _models(
        "Z1.small",
        "Pythia below 1B: D5_CONS like D6_CONS",
        mean_where(size_in(PYTHIA, below=BILLION), "Pythia below 1B"),
        "none (Figure 16)",
        margin=RECIPE_MARGIN,
    ),
    _models(
        "Z1.large",
        "Pythia from 1B on: D5_CONS above D6_CONS",
        mean_where(size_in(PYTHIA, at_least=BILLION), "Pythia from 1B on"),
        "above (Figure 16)",
    ),
    _models(
        "Z2.gpt_neo",
        "GPT-Neo from 1B on: D5_CONS above D6_CONS",
        mean_where(size_in(GPT_NEO, at_least=BILLION), "GPT-Neo from 1B on"),
        "above (Figure 17)",
        only=PEOPLE,
    ),
    _models(
        "Z2.llama",
        "Llama: D5_CONS above D6_CONS",
        mean_where(size_in(LLAMA), "Llama"),
        "above (Figure 17)",
        only=PEOPLE,
    ),
    _models(
        "Z2.largest",
        "works, the largest GPT-Neo: D5_CONS above D6_CONS",
        largest_model(GPT_NEO),
        "above (Figure 18)",
        only=WORKS,
    ),
    _models(
        "Z2.smaller",
        "works, all smaller GPT-Neo: D5_CONS like D6_CONS",
        smaller_models(GPT_NEO),
        "none (Figure 18)",
        margin=RECIPE_MARGIN,
        only=WORKS,
    ),
)
