"""Which hooks fire on a model, when, and does an edit there count?

A bridge accepts hooks at points that its forward pass never reaches (rotary queries on GPT-NeoX,
the middle residual of a parallel block), and at points whose value nothing reads any more
(attention patterns of GPT-Neo, which Hugging Face has used already). `LiveHooks` is found by one
real pass, so both are errors instead of empty or ineffective results, and a pass that only reads
can end once all that was asked for has fired.
"""

import difflib
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from data.errors import InputError

HookFunction = Callable[..., Tensor | None]
"""Called as `fn(activation, hook=hook_point)`; a tensor that it returns replaces the activation."""

Positions = int | Int[Tensor, " row"] | Int[Tensor, "row chosen"]
"""One position for all rows, one for each row, or several for each row."""

StopAtLayer = int | Literal["auto"] | None


class EarlyExit(Exception):
    """Raised by a hook to leave the forward pass once everything asked for is there."""


class DeadHookError(InputError):
    """A hook name was asked for that never fires on this model."""


@dataclass(frozen=True, kw_only=True)
class LiveHooks:
    """The hooks of a model that fire in a forward pass."""

    moments: Mapping[str, int]
    """Rank of each hook in the order of (last) firing."""
    editable: frozenset[str]
    """The hooks whose value the logits depend on."""
    architecture: str
    n_layers: int

    def check(self, names: Sequence[str]) -> None:
        """Raise `DeadHookError` for the first name that never fires."""
        for name in names:
            if name not in self.moments:
                near = difflib.get_close_matches(name, sorted(self.moments), n=3, cutoff=0.0)
                raise DeadHookError(
                    f"hook {name!r} never fires on {self.architecture} with {self.n_layers} layers;"
                    f" the nearest that do are {', '.join(near)} (all of them: `live_hooks`)"
                )

    def check_editable(self, names: Sequence[str]) -> None:
        """Raise `DeadHookError` for the first name at which an edit would change nothing."""
        self.check(names)
        for name in names:
            if name not in self.editable:
                raise DeadHookError(
                    f"hook {name!r} can only be read on {self.architecture}: no logit depends on"
                    " its value; edit another site (all that count: `editable_hooks`)"
                )

    def guarded(self, name: str, hook_function: HookFunction) -> HookFunction:
        """The hook function, made to raise if it edits where edits change nothing.

        An edit in place does what returning the edited tensor does, neither less (layer norms look
        whether they get another tensor) nor more (what shares its memory keeps the old values).
        """

        def watched(activation: Tensor, hook: nn.Module) -> Tensor | None:
            is_edited, restore = _watch(activation)
            result = hook_function(activation, hook=hook)
            edits_in_place = is_edited()
            if edits_in_place or result is not None:
                self.check_editable([name])
            if edits_in_place:
                result = activation.clone() if result is None or result is activation else result
                restore()
            return result

        return watched

    def exit_for(self, names: Sequence[str], stop_at_layer: StopAtLayer) -> str | None:
        """Hook at which a pass that wants `names` may end; None if it must run through.

        Exits lie before each block and before the final layer norm.
        """
        if stop_at_layer is None:
            return None
        exits = [f"blocks.{layer}.hook_in" for layer in range(self.n_layers)] + ["ln_final.hook_in"]
        last = max(names, key=self.moments.__getitem__)
        if stop_at_layer == "auto":
            late = (name for name in exits if self.moments[name] >= self.moments[last])
            return next(late, None)
        if not 0 <= stop_at_layer <= self.n_layers:
            raise InputError(f"stop_at_layer is {stop_at_layer}; choose 0 to {self.n_layers}")
        if self.moments[exits[stop_at_layer]] < self.moments[last]:
            raise InputError(f"hook {last!r} fires after stop_at_layer={stop_at_layer}; stop later")
        return exits[stop_at_layer]


def _watch(activation: object) -> tuple[Callable[[], bool], Callable[[], object]]:
    """Tells later whether an activation was changed in place since now, and undoes it."""
    if not isinstance(activation, Tensor):
        return lambda: False, lambda: None
    before = activation.clone()
    version = None if activation.is_inference() else activation._version

    def is_edited() -> bool:
        if version is not None and activation._version != version:
            return True
        # Edits through `.data`, and of inference tensors, are not counted.
        return not torch.equal(activation, before) and not torch.equal(
            activation.nan_to_num(), before.nan_to_num()
        )

    return is_edited, lambda: activation.copy_(before)


def find_live_hooks(
    run: Callable[[HookFunction], Float[Tensor, "..."]],
    points: Mapping[str, nn.Module],
    architecture: str,
    n_layers: int,
) -> LiveHooks:
    """Learn from one forward and backward pass what fires and what counts.

    Args:
        run: Makes a forward pass with a function hooked at every point; returns the logits.
        points: Hook points by name; several names may share one.
        architecture: Name of the model's class, for messages.
        n_layers: Number of blocks.
    """
    clock, moments, added = itertools.count(), {}, {}

    def record(activation: object, hook: nn.Module) -> Tensor | None:
        moments[id(hook)] = next(clock)
        if not isinstance(activation, Tensor) or not activation.is_floating_point():
            return None
        # A zero of its own is added to each activation: no gradient, no influence.
        added[id(hook)] = activation.new_zeros(()).requires_grad_()
        return activation + added[id(hook)]

    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about hooks that are switched off: they are not live
        total = run(record).sum()
    gradients = torch.autograd.grad(total, list(added.values()), allow_unused=True)
    ignored = {key for key, gradient in zip(added, gradients, strict=True) if gradient is None}
    return LiveHooks(
        moments={name: moments[id(hook)] for name, hook in points.items() if id(hook) in moments},
        editable=frozenset(
            name for name, hook in points.items() if id(hook) in moments.keys() - ignored
        ),
        architecture=architecture,
        n_layers=n_layers,
    )


def capturing_hooks(
    cache: dict[str, Tensor],
    names: Sequence[str],
    *,
    positions: Positions | None,
    device: torch.device | str | None,
    exit_at: str | None,
) -> list[tuple[str, HookFunction]]:
    """Hooks that fill `cache` and then, at `exit_at`, raise `EarlyExit`."""

    def keep(name: str) -> HookFunction:
        def hook_function(activation: Tensor, hook: nn.Module) -> None:
            chosen = at_positions(activation, positions, position_axis(name, hook))
            cache[name] = chosen.detach().to(device)

        return hook_function

    def leave(_activation: Tensor, hook: nn.Module) -> None:
        raise EarlyExit

    hooks: list[tuple[str, HookFunction]] = [(name, keep(name)) for name in names]
    return hooks if exit_at is None else [*hooks, (exit_at, leave)]


def check_positions(positions: Positions | None, tokens: Int[Tensor, "batch pos"]) -> None:
    """Raise ValueError unless every position lies inside the prompts.

    Only an int may be negative: counted from the end of a row, a position would mean padding.
    """
    n_rows, length = tokens.shape
    if positions is None:
        return
    if isinstance(positions, int):
        is_inside = -length <= positions < length
    else:
        if len(positions) != n_rows:
            raise InputError(f"{len(positions)} rows of positions for {n_rows} prompts; give each")
        is_inside = bool(((positions >= 0) & (positions < length)).all())
    if not is_inside:
        shown = positions if isinstance(positions, int) else positions.tolist()
        raise InputError(f"positions {shown} do not lie inside prompts of {length} tokens")


def position_axis(name: str, hook: nn.Module) -> int:
    """Axis that counts positions; that of the query for attention patterns and scores."""
    declared = getattr(hook, "pos_dim", None)
    if declared is not None:
        return declared
    return -2 if name.endswith(("hook_pattern", "hook_attn_scores")) else 1


def at_positions(
    activation: Shaped[Tensor, "..."], positions: Positions | None, axis: int
) -> Shaped[Tensor, "..."]:
    """The activation at the chosen positions, as a copy that does not pin the rest in memory."""
    if positions is None:
        return activation
    if isinstance(positions, int):
        return activation.select(axis, positions).clone()
    if len(activation) != len(positions):
        raise InputError(f"a hook of shape {list(activation.shape)} has no rows; give one position")
    chosen = positions.to(activation.device)
    by_position = activation.movedim(axis, 1)
    rows = torch.arange(len(chosen), device=chosen.device)
    if chosen.ndim == 1:
        return by_position[rows, chosen]
    return by_position[rows[:, None], chosen].movedim(1, axis)
