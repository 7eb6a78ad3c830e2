"""What one checkpoint makes of one question: its answers, its attention, what the lens reads.

    view      the checkpoint, the question, and the same question about another alias
    reading   everything that one forward pass says, with some cells ablated or none
    tables    frames of one reading, or of two side by side: before and after an ablation

A cell of the patching grid is a site (of a head or whole) at a role.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from data.pairs import PairKind, PromptPair
from data.tokens import TokenizedRow
from interp.explorer.shelf import SeedRows
from interp.figures.places import site_words
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site, TokenRole, check_number
from interp.hooked.live_hooks import HookFunction
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site, choose_sites
from interp.interventions.ablation import AblationKind
from interp.lenses.analysis import lens_log_probs
from interp.patching.analysis import Direction, patch_pairs
from interp.patching.pair_batches import prompt_roles

TOP = 8
"""Number of the likeliest answers that are shown."""
PATTERN = "blocks.{layer}.attn.hook_pattern"
ABLATIONS = (AblationKind.MEAN, AblationKind.ZERO)
"""What a cell can be ablated to; the mean is over questions of the same layout."""


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """A cell of the patching grid."""

    site: Site
    role: TokenRole


@dataclass(frozen=True, kw_only=True)
class View:
    """A question to a checkpoint."""

    model: HookedModel
    rows: SeedRows
    question: TokenizedRow
    corrupted: TokenizedRow | None
    """The same question about another alias with another answer, if there is one."""

    @property
    def prompt(self) -> list[str]:
        """The tokens before the answer."""
        return self.rows.tokens(self.question.input_ids[: self.question.answer_positions[0]])


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one forward pass says; log-probabilities are in nats, at the prompt's last token."""

    log_probs: Float[Tensor, " d_vocab"]
    lens: Float[Tensor, "state d_vocab"]
    patterns: Float[Tensor, "layer head dest_pos src_pos"]


def read_view(
    view: View, cells: Sequence[GridCell] = (), ablation: AblationKind = AblationKind.MEAN
) -> Reading:
    """Runs the question once, with cells ablated if there are any; changes nothing.

    Raises:
        InputError: a cell is none of this question or model.
    """
    model, end = view.model, view.question.answer_positions[0]
    sites = choose_sites(model)
    patterns = [PATTERN.format(layer=layer) for layer in range(model.n_layers)]
    names = [*patterns, *(site.hook for site in sites)]
    tokens = torch.tensor([view.question.input_ids[:end]])
    with model.hooks(ablation_hooks(view, cells, ablation)):
        logits, cache = model.run_with_cache(tokens, names, device="cpu")
    assert logits is not None
    resid = torch.cat([cache[site.hook][:, -1] for site in sites])
    return Reading(
        log_probs=logits[0, -1].float().log_softmax(-1).cpu(),
        lens=lens_log_probs(model, resid.to(model.device)),
        patterns=torch.cat([cache[name] for name in patterns]).float(),
    )


def ablation_hooks(
    view: View, cells: Sequence[GridCell], ablation: AblationKind
) -> list[tuple[str, HookFunction]]:
    """Hooks that replace each cell's activation of one prompt.

    Raises:
        InputError: the question has no such role, or the model no such layer.
    """
    positions = {cell: cell.role.position(view.question) for cell in cells}
    for cell in cells:
        check_site(view.model, cell.site)
    hooks = list(dict.fromkeys(cell.site.hook for cell in cells))
    means: dict[str, Tensor] = {}
    if hooks and ablation is AblationKind.MEAN:
        tokens = pad_tokens([row.input_ids for row in view.rows.laid_out_alike(view.question)])
        _, cache = view.model.run_with_cache(tokens, hooks, stop_at_layer="auto")
        means = {name: activation.mean(0) for name, activation in cache.items()}
    return [
        (name, _replacing([(positions[c], c.site.head) for c in cells if c.site.hook == name],
                          means.get(name)))
        for name in hooks
    ]  # fmt: skip


def _replacing(places: Sequence[tuple[int, int | None]], mean: Tensor | None) -> HookFunction:
    """A hook that writes means, or zeros, at positions, of one head or of the whole site."""

    def replace(activation: Tensor, hook: nn.Module) -> Tensor:
        edited = activation.clone()
        for position, head in places:
            chosen = (position,) if head is None else (position, head)
            edited[(slice(None), *chosen)] = 0 if mean is None else mean[chosen]
        return edited

    return replace


def patch_grid_of_pair(view: View, direction: Direction = Direction.DENOISE) -> pd.DataFrame:
    """The exact patching grid of the question against the one about the other alias.

    Columns `site layer head role effect`: 0 where nothing changes, 1 where the difference of the
    two answers' logits is all restored (or all removed, noising). Empty without another alias.
    """
    columns = ["site", "layer", "head", "role", "effect"]
    if view.corrupted is None:
        return pd.DataFrame({name: [] for name in columns})
    row = view.question.row
    pair = PromptPair(
        kind=PairKind.ALIAS if row.subset.replaced else PairKind.ENTITY,
        subset=row.subset.name,
        clean=view.question,
        corrupted=view.corrupted,
        corrupted_is_answerable=True,
    )
    roles = prompt_roles([pair])
    table = patch_pairs(view.model, [pair], roles=roles, directions=[direction], control=False)
    return table.loc[:, columns]


def cells_of_rows(grid: pd.DataFrame) -> list[GridCell]:
    """The cell of each row of a grid."""
    columns = (grid[name] for name in ("site", "layer", "head", "role"))
    return [
        GridCell(site=Site(site, int(layer), None if head < 0 else int(head)), role=TokenRole(role))
        for site, layer, head, role in zip(*columns, strict=True)
    ]


def logit_differences(view: View, reading: Reading) -> tuple[float, float] | None:
    """The question's answer minus the other alias's, in logits, of both questions."""
    if view.corrupted is None:
        return None
    both = (view.question, view.corrupted)
    answer, foil = (row.input_ids[row.answer_positions[0]] for row in both)
    end = view.corrupted.answer_positions[0]
    logits = view.model.logits(torch.tensor([view.corrupted.input_ids[:end]]))[0, -1].float()
    # The softmax normaliser cancels in a difference.
    return float(reading.log_probs[answer] - reading.log_probs[foil]), float(
        logits[answer] - logits[foil]
    )


def answers_table(view: View, before: Reading, after: Reading | None = None) -> pd.DataFrame:
    """The likeliest next tokens, before or after; the answer is always among them.

    Columns `token before after is_answer is_stated`: probabilities (`after` is NaN without an
    ablation), whether the token begins the true answer, and whether it begins another one that the
    alias's definition implies. Likeliest first, as before.
    """
    readings = [before, before if after is None else after]
    answer = view.rows.answer_token(view.question.row)
    stated_row = view.rows.stated(view.question.row)
    stated = answer if stated_row is None else view.rows.answer_token(stated_row)
    shown = {answer, stated}
    for reading in readings:
        shown |= set(reading.log_probs.topk(min(TOP, len(reading.log_probs))).indices.tolist())
    most = torch.stack([reading.log_probs for reading in readings]).amax(0)
    kept = sorted(shown, key=lambda i: (i not in (answer, stated), -float(most[i])))[:TOP]
    kept.sort(key=lambda i: (-float(before.log_probs[i]), i))
    probabilities = [reading.log_probs[kept].exp().tolist() for reading in readings]
    return pd.DataFrame(
        {
            "token": view.rows.tokens(kept),
            "before": probabilities[0],
            "after": np.nan if after is None else probabilities[1],
            "is_answer": [i == answer for i in kept],
            "is_stated": [i == stated != answer for i in kept],
        }
    )


def chance(view: View) -> float:
    """The probability of guessing among everything that the same question is answered with."""
    return 1 / len(set(view.rows.answer_tokens(view.question.row)))


def lens_table(view: View, before: Reading, after: Reading | None = None) -> pd.DataFrame:
    """What the logit lens reads at the prompt's last token, by state of the residual stream.

    Columns `state quantity before after`, log-probabilities in nats. Quantities: the `answer`, the
    `entity` that it follows, what a false definition states (`stated answer`, `stated entity`), and
    as controls the means over all other answers to the question and over all other entities.
    """
    states = [site_words(site.name, site.layer) for site in choose_sites(view.model)]
    tables = []
    for quantity, tokens in lens_quantities(view).items():
        read = [None if r is None else r.lens[:, tokens].mean(1).numpy() for r in (before, after)]
        measured = {"before": read[0], "after": np.nan if read[1] is None else read[1]}
        tables.append(pd.DataFrame({"state": states, "quantity": quantity, **measured}))
    return pd.concat(tables, ignore_index=True)


def lens_quantities(view: View) -> dict[str, list[int]]:
    """The tokens of each quantity of `lens_table`; several stand for the mean over them."""
    rows, row = view.rows, view.question.row
    stated_row, entities = rows.stated(row), rows.entity_tokens()
    answer = rows.answer_token(row)
    stated = answer if stated_row is None else rows.answer_token(stated_row)
    named = rows.stated_entity(row)
    found: dict[str, list[int]] = {"answer": [answer]}
    if row.entity in entities:
        found["entity"] = [entities[row.entity]]
    if stated != answer:
        found["stated answer"] = [stated]
    if named is not None and named != row.entity and named in entities:
        found["stated entity"] = [entities[named]]
    others = sorted(set(rows.answer_tokens(row)) - {answer, stated})
    found |= {"other answers (mean)": others} if others else {}
    away = sorted({t for name, t in entities.items() if name not in (row.entity, named)})
    found |= {"other entities (mean)": away} if away and "entity" in found else {}
    return found


def attention_table(reading: Reading, *, head: tuple[int, int] | None = None) -> pd.DataFrame:
    """The pattern as `interp.report.plots.plot_attention` takes it.

    Columns `layer head dest_pos src_pos attention`.

    Args:
        reading: What a forward pass over the prompt says.
        head: Layer and number of one head; all unless given.

    Raises:
        InputError: there is no such head.
    """
    places = np.indices(reading.patterns.shape).reshape(4, -1)
    columns: dict[str, Any] = dict(
        zip(("layer", "head", "dest_pos", "src_pos"), places, strict=True)
    )
    table = pd.DataFrame(columns | {"attention": reading.patterns.flatten().numpy()})
    if head is None:
        return table
    for kind, number, count in zip(("layer", "head"), head, reading.patterns.shape, strict=False):
        check_number(kind, number, count)
    chosen = (table["layer"] == head[0]) & (table["head"] == head[1])
    return table.loc[chosen].reset_index(drop=True)
