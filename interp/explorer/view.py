"""What one model makes of one prompt: its answers, its attention, what the lens reads.

    view      the model, the prompt, and another prompt to patch with
    reading   everything that one forward pass says, with some cells changed or none

A cell of the grid is a site (of a head or whole) at a role: a token by its meaning in a run's
question, `token3_last` and the like in a person's own prompt, whose every token has a role.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from data.errors import InputError
from data.pairs import PairKind, PromptPair
from data.partners import first_answer_token
from data.rows import PROMPTS
from data.tokens import TokenizedRow
from interp.explorer.background import Rows
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import AnyTokenRole, OwnTokenRole, Site
from interp.hooked.live_hooks import HookFunction
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site, choose_sites
from interp.lenses.analysis import lens_log_probs
from interp.patching.pair_batches import prompt_roles

PATTERN = "blocks.{layer}.attn.hook_pattern"


class Edit(StrEnum):
    """What a click on a cell puts there."""

    MEAN = "mean"
    """The mean over questions of the same layout; of own prompts, over all tokens of them all."""
    ZERO = "zero"
    CORRUPTED = "corrupted"
    """What the corrupted prompt has there."""


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """A cell of the grid."""

    site: Site
    role: AnyTokenRole


@dataclass(frozen=True, kw_only=True)
class View:
    """A prompt to a model."""

    model: HookedModel
    rows: Rows
    question: TokenizedRow
    corrupted: TokenizedRow | None
    """A prompt of as many tokens with another answer, if there is one."""

    @property
    def is_own(self) -> bool:
        """Whether the prompt is a person's own, not a question of a run."""
        return self.question.row.subset == PROMPTS

    @property
    def prompt(self) -> list[str]:
        """The tokens before the answer."""
        return self.rows.tokens(self.question.input_ids[: self.question.answer_positions[0]])

    @property
    def answer(self) -> int:
        """The token that should come next."""
        return first_answer_token(self.question)

    @cached_property
    def roles(self) -> tuple[AnyTokenRole, ...]:
        """The grid's columns: the roles of a question, every token of a person's own prompt."""
        if self.is_own:
            return tuple(_token_role(i) for i in range(len(self.prompt)))
        return prompt_roles([self.pair])

    @property
    def pair(self) -> PromptPair:
        """The two prompts as patching takes them; without another one, the prompt with itself."""
        row = self.question.row
        return PromptPair(
            kind=PairKind.ALIAS if row.subset.replaced else PairKind.ENTITY,
            subset=row.subset.name,
            clean=self.question,
            corrupted=self.corrupted or self.question,
            corrupted_is_answerable=True,
        )


def own_view(
    model: HookedModel, rows: Rows, prompt: TokenizedRow, corrupted: TokenizedRow | None
) -> View:
    """A view of a person's own prompt: each of its tokens gets a role, `token0` and so on."""
    both = [None if row is None else _with_token_roles(row) for row in (prompt, corrupted)]
    assert both[0] is not None
    return View(model=model, rows=rows, question=both[0], corrupted=both[1])


def _with_token_roles(row: TokenizedRow) -> TokenizedRow:
    tokens = {f"token{i}": (i, i) for i in range(row.answer_positions[0])}
    return replace(row, spans=row.spans | tokens)


def _token_role(place: int) -> OwnTokenRole:
    return OwnTokenRole(f"token{place}_last")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one forward pass says; log-probabilities are in nats."""

    log_probs: Float[Tensor, " d_vocab"]
    """At the prompt's last token, as `lens`."""
    lens: Float[Tensor, "state d_vocab"]
    patterns: Float[Tensor, "layer head dest_pos src_pos"]
    said: Int[Tensor, "state pos"]
    """The token that the lens reads as the likeliest next one, at every token."""
    said_log_probs: Float[Tensor, "state pos"]
    answer_log_probs: Float[Tensor, "state pos"]


def read_view(view: View, cells: Sequence[GridCell] = (), edit: Edit = Edit.MEAN) -> Reading:
    """Runs the prompt once, with cells changed if there are any; changes nothing of the model.

    Raises:
        InputError: a cell is none of this prompt or model.
    """
    model, end = view.model, view.question.answer_positions[0]
    sites = choose_sites(model)
    patterns = [PATTERN.format(layer=layer) for layer in range(model.n_layers)]
    names = [*patterns, *(site.hook for site in sites)]
    tokens = torch.tensor([view.question.input_ids[:end]])
    with model.hooks(edit_hooks(view, cells, edit)):
        logits, cache = model.run_with_cache(tokens, names, device="cpu")
    assert logits is not None
    # State by state: all of them at all tokens would be too much of a large vocabulary.
    states = [lens_log_probs(model, cache[site.hook][0].to(model.device)) for site in sites]
    likeliest = [state.max(-1) for state in states]
    return Reading(
        log_probs=logits[0, -1].float().log_softmax(-1).cpu(),
        lens=torch.stack([state[-1] for state in states]),
        patterns=torch.cat([cache[name] for name in patterns]).float(),
        said=torch.stack([each.indices for each in likeliest]),
        said_log_probs=torch.stack([each.values for each in likeliest]),
        answer_log_probs=torch.stack([state[:, view.answer] for state in states]),
    )


def edit_hooks(view: View, cells: Sequence[GridCell], edit: Edit) -> list[tuple[str, HookFunction]]:
    """Hooks that replace each cell's activation of one prompt.

    Raises:
        InputError: the prompt has no such role, the model no such layer, or there is no corrupted
            prompt to take activations from.
    """
    positions = {cell: cell.role.position(view.question) for cell in cells}
    for cell in cells:
        check_site(view.model, cell.site)
    hooks = list(dict.fromkeys(cell.site.hook for cell in cells))
    values = replacements(view, hooks, edit)
    return [
        (name, _replacing([(positions[c], c.site.head) for c in cells if c.site.hook == name],
                          values.get(name)))
        for name in hooks
    ]  # fmt: skip


def replacements(view: View, hooks: Sequence[str], edit: Edit) -> dict[str, Tensor]:
    """What an edit writes at each hook, `[pos, ...]`; for zeros nothing.

    Raises:
        InputError: there is no corrupted prompt to take activations from.
    """
    if not hooks or edit is Edit.ZERO:
        return {}
    if edit is Edit.CORRUPTED:
        if view.corrupted is None:
            raise InputError("there is no corrupted prompt to patch from; choose mean or zero")
        tokens = torch.tensor([view.corrupted.input_ids[: view.corrupted.answer_positions[0]]])
        _, cache = view.model.run_with_cache(tokens, hooks, stop_at_layer="auto")
        return {name: activation[0] for name, activation in cache.items()}
    alike = view.rows.laid_out_alike(view.question)
    rows = alike or view.rows.sample()
    tokens = pad_tokens([row.input_ids for row in rows])
    _, cache = view.model.run_with_cache(tokens, hooks, stop_at_layer="auto")
    if alike:
        return {name: activation.mean(0) for name, activation in cache.items()}
    is_read = torch.zeros_like(tokens, dtype=torch.bool)
    for i, row in enumerate(rows):
        is_read[i, : row.answer_positions[0]] = True
    n_tokens = view.question.answer_positions[0]
    return {
        name: activation[is_read.to(activation.device)].mean(0)[None].expand(
            n_tokens, *activation.shape[2:]
        )
        for name, activation in cache.items()
    }  # fmt: skip


def _replacing(places: Sequence[tuple[int, int | None]], values: Tensor | None) -> HookFunction:
    """A hook that writes values, or zeros, at positions, of one head or of the whole site."""

    def write(activation: Tensor, hook: nn.Module) -> Tensor:
        edited = activation.clone()
        for position, head in places:
            chosen = (position,) if head is None else (position, head)
            edited[(slice(None), *chosen)] = 0 if values is None else values[chosen]
        return edited

    return write
