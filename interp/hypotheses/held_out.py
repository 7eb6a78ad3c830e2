"""Predictions of the code about what it was not made on: a third tag, and seeds among each other.

The code of an entity is estimated on aliases of Stage 1 (`iml codes`). How much of it each tag's
definitions write then predicts how they are answered: those of a tag that is in neither estimate
nor contrast (D8 in the IML data), and the size of the gap from seed to seed.

Correlations over seeds come as jackknife pseudo-values, one a seed, moved so that their mean is r
itself: r + (n - 1) (mean of all r without a seed - r without this seed). Their t interval is that
of the jackknife (Tukey 1958).
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from data.design import Margin
from interp.hypotheses.row import Row
from interp.hypotheses.row_measures import alignment_gap, last_rows, nats_gap
from interp.verdicts.quantities import Measure, NotMeasured
from training.runs.run import Run
from training.statistics import t_interval

AMOUNT, LENGTH, NATS = ("question", "coefficient"), ("", "length"), ("", "answer_log_prob")
"""Code and quantity of the rows of the table `codes` that are read."""
FEWEST_SEEDS = 6
"""Of which a correlation over seeds says anything."""
N_PERMUTATIONS = 1999
NEEDS = "iml codes DIR"


def of_subsets(run: Run, what: tuple[str, str]) -> pd.DataFrame:
    """A column for each subset, of the two compared and the third one; a row for each seed.

    Args:
        run: With the table of `iml codes` at embeddings.
        what: `AMOUNT`, `LENGTH` or `NATS`.

    Raises:
        NotMeasured: the run has no such table, or none of this subset.
    """
    table = last_rows(run, "codes", NEEDS)
    code, quantity = what
    chosen = table.loc[
        (table["site"] == "embed")
        & (table["edit"] == "")
        & (table["code"] == code)
        & (table["quantity"] == quantity)
    ]
    if chosen.empty:
        raise NotMeasured(f"needs {NEEDS}")
    return chosen.pivot_table(index="seed", columns="subset", values="value")


def third_tag(run: Run) -> str:
    """The subset of definitions that stands beside the two compared ones.

    Raises:
        NotMeasured: the run has none, or a table of codes without it.
    """
    main = run.design.main
    known = of_subsets(run, AMOUNT).columns
    for subset in run.design.subsets:
        if subset.part is main.part and subset.has_definitions and subset.name not in main.names:
            if subset.name in known:
                return subset.name
            raise NotMeasured(f"needs {subset.name}: {NEEDS} of a run that has it")
    raise NotMeasured("needs definitions with a third tag")


def place_of_third(run: Run, what: tuple[str, str]) -> pd.Series:
    """Where the third tag lies between the compared two: 0 as the lower, 1 as the higher subset.

    In units of the mean difference over seeds, so that no seed is divided by nearly nothing.

    Raises:
        NotMeasured: the two do not differ, so that there is no line through them.
    """
    higher, lower = run.design.main.names
    values = of_subsets(run, what)
    difference = values[higher] - values[lower]
    low, high = t_interval(difference.to_numpy())
    if not (low > 0 or high < 0):
        short = " and ".join(run.design.main.short_names)
        raise NotMeasured(f"needs {short} to differ in {what[1].replace('_', ' ')}")
    return (values[third_tag(run)] - values[lower]) / difference.mean()  # pyright: ignore[reportReturnType]


def off_the_line(run: Run) -> pd.Series:
    """How far the third tag's answers lie above the line through the two others, by amount."""
    return place_of_third(run, NATS) - place_of_third(run, AMOUNT)


def off_halfway(run: Run) -> pd.Series:
    """The same if the third tag is just taken to lie halfway."""
    return place_of_third(run, NATS) - 0.5


def third_tag_table(run: Run) -> pd.DataFrame:
    """Of each seed how much of the code the two compared subsets and the third write, and answers.

    Columns `recipe run_id word_order seed subset amount nats`.

    Raises:
        NotMeasured: see `place_of_third`.
    """
    place_of_third(run, AMOUNT)
    names = [*run.design.main.names, third_tag(run)]
    columns = {
        name: of_subsets(run, what)[names].stack()
        for name, what in (("amount", AMOUNT), ("nats", NATS))
    }
    about = {
        "recipe": run.config.recipe,
        "run_id": run.config.run_id,
        "word_order": str(run.config.word_order or ""),
    }
    return pd.DataFrame(columns).reset_index().assign(**about)


def over_seeds(predictor: Measure) -> Measure:
    """How the gap in nats goes with a quantity from seed to seed, as pseudo-values."""

    def measure(run: Run) -> pd.Series:
        found = _paired(predictor, run)
        return pd.Series(_pseudo_values(*found.to_numpy().T), index=found.index)

    return measure


def chance_over_seeds(predictor: Measure) -> Measure:
    """The correlation that one time in 40 is exceeded when seeds are permuted."""

    def measure(run: Run) -> pd.Series:
        first, second = _paired(predictor, run).to_numpy().T
        rng = np.random.default_rng(0)
        drawn = [np.corrcoef(first, rng.permutation(second))[0, 1] for _ in range(N_PERMUTATIONS)]
        return pd.Series([float(np.quantile(drawn, 0.975))])

    return measure


def _paired(predictor: Measure, run: Run) -> pd.DataFrame:
    """Gap and predictor of the seeds that have both, in order of the seeds."""
    found = pd.concat([nats_gap(run), predictor(run)], axis=1).dropna().sort_index()
    if len(found) < FEWEST_SEEDS:
        raise NotMeasured(f"needs at least {FEWEST_SEEDS} seeds")
    if (found.std() == 0).to_numpy().any():
        raise NotMeasured("needs seeds that differ")
    return found


def _pseudo_values(
    first: Float[np.ndarray, " seed"], second: Float[np.ndarray, " seed"]
) -> Float[np.ndarray, " seed"]:
    n = len(first)
    whole = np.corrcoef(first, second)[0, 1]
    without = [
        np.corrcoef(np.delete(first, i), np.delete(second, i))[0, 1] for i in range(n)
    ]  # fmt: skip
    return whole + (n - 1) * (np.mean(without) - np.array(without))


def more(what: tuple[str, str]) -> Measure:
    """By how much a quantity of the higher subset exceeds the lower's."""

    def measure(run: Run) -> pd.Series:
        higher, lower = run.design.main.names
        values = of_subsets(run, what)
        return values[higher] - values[lower]  # pyright: ignore[reportReturnType]

    return measure


A_TENTH = Margin(value=0.30, reason="a tenth of the variance over seeds")
THIRD_BY_CODE = Row(
    id="third tag by code",
    statement="definitions with a third tag are answered better than the amount of the code that "
    "they write says, on the line through {higher} and {lower}",
    unit="share of the gap in nats",
    margin=Margin(value=0.25, reason="a quarter of the way between the two"),
    measure=off_the_line,
    control="guessed halfway",
    control_measure=off_halfway,
)
GAP_BY_CODE = Row(
    id="gap by code",
    statement="seeds in which {higher} writes more of the questions' code than {lower} have the "
    "larger gap",
    unit="correlation over seeds",
    margin=A_TENTH,
    measure=over_seeds(more(AMOUNT)),
    control="97.5% of permuted seeds",
    control_measure=chance_over_seeds(more(AMOUNT)),
)
GAP_BY_LENGTH = Row(
    id="gap by length",
    statement="seeds in which {higher} changes more than {lower}, in whatever direction, have the "
    "larger gap",
    unit="correlation over seeds",
    margin=A_TENTH,
    measure=over_seeds(more(LENGTH)),
    control="97.5% of permuted seeds",
    control_measure=chance_over_seeds(more(LENGTH)),
)
GAP_BY_ALIGNMENT = Row(
    id="gap by alignment",
    statement="seeds in which {higher}'s definitions are the better aligned have the larger gap",
    unit="correlation over seeds",
    margin=A_TENTH,
    tables=("alignment",),
    measure=over_seeds(alignment_gap),
    control="97.5% of permuted seeds",
    control_measure=chance_over_seeds(alignment_gap),
)
HELD_OUT_ROWS = (THIRD_BY_CODE, GAP_BY_CODE, GAP_BY_LENGTH, GAP_BY_ALIGNMENT)
