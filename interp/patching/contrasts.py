"""What patching is compared between: two subsets, a tag and the other, the heads of a layer."""

from collections.abc import Sequence

import pandas as pd

from data.errors import InputError
from interp.grids.seed_summary import summarize_over_seeds
from interp.patching.kept import is_counted
from interp.patching.pair_batches import EVERYWHERE
from interp.patching.summary import CELL
from training.columns import WITHOUT_SEED


def patch_contrast(table: pd.DataFrame, higher: str, lower: str) -> pd.DataFrame:
    """The effect in one subset minus that in another, paired by seed; whole sites only.

    Columns: the coordinates without subset and head, `higher` and `lower` (mean effects), then
    `difference ci_low ci_high p_value p_corrected p_smallest n_seeds`; see
    `interp.grids.seed_summary`.

    Args:
        table: Rows of a `patching` table of one run and checkpoint.
        higher: The subset that is subtracted from.
        lower: The subset that is subtracted.

    Raises:
        InputError: no seed has a cell in both.
    """
    cell = [name for name in CELL if name not in ("subset", "head")]
    whole = table.loc[(table["head"] < 0) & is_counted(table)].set_index(
        [*WITHOUT_SEED, "seed", *cell]
    )
    sides = {
        name: whole.loc[whole["subset"] == subset, "effect"]
        for name, subset in (("higher", higher), ("lower", lower))
    }
    paired = pd.DataFrame(sides).dropna().reset_index()
    if paired.empty:
        raise InputError(
            f"no seed keeps enough pairs of both {higher} and {lower}; choose other subsets, or "
            "less confidence"
        )
    paired["gap"] = paired["higher"] - paired["lower"]
    return summarize_over_seeds(paired, cell=cell, means=["higher", "lower"], tested="gap")


def have_common_seeds(table: pd.DataFrame, subsets: Sequence[str]) -> bool:
    """Whether a seed keeps enough pairs of each of two subsets, so that they can be compared.

    Args:
        table: Rows of a `patching` table of one run and checkpoint.
        subsets: Their names; what follows the first two does not count.
    """
    whole = table.loc[(table["head"] < 0) & is_counted(table)]
    seeds = [set(whole.loc[whole["subset"] == name, "seed"]) for name in subsets[:2]]
    return len(seeds) > 1 and not seeds[0].isdisjoint(seeds[1])


def tag_gaps(rows: pd.DataFrame) -> pd.Series:
    """By how much a prompt's own tag, instead of the other, changes what is read, by seed.

    Args:
        rows: Of a `patching` table with tag pairs, of one subset and metric; seeds of too few
            pairs are left out.
    """
    return rows.loc[is_counted(rows)].groupby("seed")["gap"].first()


def strongest_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """The strongest head of each seed, at the site, layer and token where it is strongest.

    A head of one seed is not the head of that number in another, so that the place is chosen by
    the mean over the seeds' own strongest heads there. Heads patched at every token at once are
    looked at only where there are no others.

    Args:
        heads: Rows of heads of a `patching` table, of one checkpoint, subset, direction and metric.

    Returns:
        Of them one a seed; none where no seed keeps enough pairs.
    """
    heads = heads.loc[is_counted(heads) & heads["effect"].notna()]
    if heads.empty:
        return heads
    single = heads.loc[heads["role"] != EVERYWHERE]
    single = heads if single.empty else single
    tops = single.loc[single.groupby(["site", "layer", "role", "seed"])["effect"].idxmax()]
    means = tops.groupby(["site", "layer", "role"])["effect"].mean()
    site, layer, role = means.idxmax()  # pyright: ignore[reportGeneralTypeIssues]
    return tops.loc[(tops["site"] == site) & (tops["layer"] == layer) & (tops["role"] == role)]
