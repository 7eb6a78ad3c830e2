"""The verdict on each claim of the paper that a run, or a sweep, bears on."""

from collections.abc import Iterable, Sequence

from interp.claims.all_claims import CLAIMS, HEADINGS
from interp.verdicts.across import comparable
from interp.verdicts.claim import Claim
from interp.verdicts.verdict import Verdict, not_measured, verdicts_on
from training.recipes import find_recipe
from training.runs.run import Run


def claims_of_run(run: Run) -> list[Verdict]:
    """The verdict on each claim that the run's recipe bears on, parts after their claim."""
    verdicts = []
    for name in find_recipe(run.config.recipe).claims:
        claims, heading = claims_of_group(name), HEADINGS.get(name, "")
        if claims[0].across is not None:
            setting = claims[0].across.setting.name
            reason = f"compares runs of one {setting} with another: see a sweep"
            verdicts.append(not_measured(claims, reason, heading=heading))
        else:
            verdicts += verdicts_on(claims, {"": run}, heading=heading)
    return verdicts


def claims_of_sweep(runs: Sequence[Run], ids: Iterable[str]) -> list[Verdict]:
    """The verdict on each claim about what changes from run to run; others are left out.

    Args:
        runs: The cells of a sweep, all finished. Runs that differ in more than a claim's setting,
            such as in the objective, are judged apart and told apart by `Verdict.runs`.
        ids: Of the claims.
    """
    verdicts = []
    for name in ids:
        claims, heading = claims_of_group(name), HEADINGS.get(name, "")
        across = claims[0].across
        if across is None:
            continue
        groups = comparable(runs, across.setting)
        if not groups:
            reason = f"the runs have no {across.setting.name}"
            verdicts.append(not_measured(claims, reason, heading=heading))
        for label, cells in groups.items():
            verdicts += verdicts_on(claims, cells, heading=heading, label=label)
    return verdicts


def claims_of_group(name: str) -> tuple[Claim, ...]:
    """A claim's parts, or the claim itself if it has none.

    Raises:
        KeyError: there is no such claim.
    """
    claims = tuple(claim for claim in CLAIMS if claim.group == name)
    if not claims:
        raise KeyError(f"there is no claim {name!r}; see interp.claims.all_claims")
    return claims
