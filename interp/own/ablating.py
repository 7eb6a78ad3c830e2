"""What do answers to one's own prompts lose without a head, an MLP, or a route of attention?"""

from collections.abc import Iterator, Sequence

import pandas as pd

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import TokenRole, own_token_roles
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.interventions.ablation import AblationKind
from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis
from interp.interventions.knock_outs import Route


def ablate(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    kinds: Sequence[str] = tuple(AblationKind),
    sites: Sequence[str] = ABLATED_SITES,
    layers: Sequence[int] | None = None,
    routes: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What answers lose without each head and each MLP, at all tokens, and each route of attention.

    Columns as of `AblationAnalysis.measure`. The control of a route cuts as many other tokens from
    the same destination; that of a head or an MLP is the ablation of nothing, 0.

    Args:
        model: Read only.
        rows: See `prompts`; `mean` and `resample` take their values from the others among them.
        kinds: `zero`, `mean`, `resample`.
        sites: Sites to take away; those of heads one head at a time.
        layers: All unless given.
        routes: Two places with an arrow, as `who->prompt_last`: the destination no longer sees the
            source. From each role that the person named to the prompt's end unless given.
        seed: Draws what `resample` takes, and controls.

    Raises:
        InputError: there are no rows, none to resample from, or no such route.
    """
    if not rows:
        raise InputError("no rows to answer; give one or more, see prompts()")
    if len(rows) < 2 and AblationKind.RESAMPLE in kinds:
        raise InputError("one row has no other to resample from; give more, or kinds=['zero']")
    analysis = AblationAnalysis(
        kinds=tuple(map(AblationKind, kinds)),
        question_routes=tuple(_routes(rows, routes)),
        limit=None,
    )
    return analysis.measure(model, rows, choose_sites(model, sites, layers), seed=seed).table


def _routes(rows: Sequence[TokenizedRow], routes: Sequence[str] | None) -> Iterator[Route]:
    """Those that are named; else from each own role to the prompt's end, if more can be seen."""
    if routes is not None:
        for text in routes:
            route = Route.parse(text, rows)
            for row in rows:
                route.cuts(row)  # refuses what a row lacks
            yield route
        return
    for role in own_token_roles(rows):
        if role.endswith("_last"):
            route = Route(role.removesuffix("_last"), TokenRole.PROMPT_LAST)
            if all(_leaves_more(route, row) for row in rows):
                yield route


def _leaves_more(route: Route, row: TokenizedRow) -> bool:
    """Whether the prompt's end sees the source, and other tokens for the control to cut."""
    return route.is_in(row) and all(
        len(sources) <= destination for destination, sources in route.cuts(row).items()
    )
