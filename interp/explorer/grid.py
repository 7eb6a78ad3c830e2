"""The grid of a prompt: what each site does at each token, by patching or by taking it away.

With a corrupted prompt an effect is a share: 0 where nothing changes, 1 where the difference of the
two answers' logits is all restored (or all removed, noising). Without one it is what the answer's
log-probability changes by, in nats, if the cell is ablated.
"""

from typing import Any

import pandas as pd
import torch

from interp.explorer.view import Edit, GridCell, View, replacements
from interp.hooked.addresses import Site, find_token_role
from interp.hooked.sites import choose_sites
from interp.patching.analysis import PATCHED_SITES, Direction, patch_pairs
from interp.patching.attribution import ending_logits
from interp.patching.cells import grid_cells, patched_metrics
from interp.patching.pair_batches import PairBatch, PatchMetric, read_metrics
from interp.patching.unrolled import Trace, UnrolledModel

QUICK = 2e10
"""Weights times cells of a grid that a processor computes while a person waits, in seconds."""
COLUMNS = ["site", "layer", "head", "role", "effect"]


def grid_of_view(
    view: View, direction: Direction = Direction.DENOISE, edit: Edit = Edit.MEAN
) -> pd.DataFrame:
    """The exact patching grid of the two prompts; without a corrupted one, the ablation grid.

    Columns `site layer head role effect`.

    Args:
        view: The prompts.
        direction: Of patching.
        edit: What an ablation grid ablates to.

    Raises:
        InputError: sweeps of patches do not know the architecture, or the two prompts' answers
            differ by nothing.
    """
    if view.corrupted is None:
        return _ablation_grid(view, edit)
    table = patch_pairs(
        view.model, [view.pair], roles=view.roles, directions=[direction], control=False
    )
    return table.loc[:, COLUMNS]


def is_quick(view: View) -> bool:
    """Whether a grid is computed in a few seconds."""
    weights = sum(weight.numel() for weight in view.model.bridge.parameters())
    return weights * len(_places(view)) <= QUICK


def grid_without_effects(view: View) -> pd.DataFrame:
    """The cells of a grid that cannot be computed; they can be changed one by one all the same."""
    return _table(view, [float("nan")] * len(_places(view)))


def cells_of_rows(grid: pd.DataFrame, view: View) -> list[GridCell]:
    """The cell of each row of a view's grid."""
    roles = {name: find_token_role(name, [view.question]) for name in set(grid["role"])}
    columns = (grid[name] for name in ("site", "layer", "head", "role"))
    return [
        GridCell(site=Site(site, int(layer), None if head < 0 else int(head)), role=roles[role])
        for site, layer, head, role in zip(*columns, strict=True)
    ]


@torch.no_grad()
def _ablation_grid(view: View, edit: Edit) -> pd.DataFrame:
    unrolled = UnrolledModel(view.model)
    cells = grid_cells(unrolled, choose_sites(view.model, PATCHED_SITES), len(view.roles))
    tokens = torch.tensor([view.question.input_ids[: view.question.answer_positions[0]]])
    masks = torch.zeros(len(view.roles), *tokens.shape, dtype=torch.bool)
    for i, role in enumerate(view.roles):
        masks[i, 0, role.position(view.question)] = True
    answer = torch.tensor([view.answer])
    batch = PairBatch(
        clean=tokens, corrupted=tokens, answers=answer[None], foils=answer,
        roles=tuple(map(str, view.roles)), masks=masks,
    )  # fmt: skip
    base = unrolled.trace(tokens)
    metrics = [PatchMetric.ANSWER_LOG_PROB]
    before = read_metrics(ending_logits(unrolled, base, batch), batch, metrics)
    donor = _replaced(view, base, [each.site for each in cells], edit)
    parts = [
        patched_metrics(unrolled, batch, each, base=base, donor=donor, metrics=metrics).flatten()
        for each in cells
    ]
    return _table(view, (torch.cat(parts) - before).flatten().tolist())


def _replaced(view: View, base: Trace, sites: list[Site], edit: Edit) -> Trace:
    """A trace with what the edit writes at every token."""
    values = replacements(view, [site.hook for site in sites], edit)
    found: dict[str, list[Any]] = {
        name: [torch.zeros_like(each) for each in base[name]] for name in PATCHED_SITES
    }
    for site in sites:
        if site.hook in values:
            end = found[site.name][site.layer].shape[1]
            found[site.name][site.layer] = values[site.hook][None, :end]
    return Trace(sites=found)


def _places(view: View) -> list[tuple[Site, int, str]]:
    """Site, head and role of each cell, as `patch_pairs` orders them."""
    places = []
    for site in choose_sites(view.model, PATCHED_SITES):
        heads = range(view.model.n_heads) if site.name == "z" else [-1]
        places += [(site, head, str(role)) for role in view.roles for head in heads]
    return places


def _table(view: View, effects: list[float]) -> pd.DataFrame:
    places = _places(view)
    return pd.DataFrame(
        {
            "site": [site.name for site, _, _ in places],
            "layer": [site.layer for site, _, _ in places],
            "head": [head for _, head, _ in places],
            "role": [role for _, _, role in places],
            "effect": effects,
        }
    )
