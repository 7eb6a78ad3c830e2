"""Texts, the tokens of each at which activations are read, and those whose prediction is scored.

A reading says where an autoencoder looks, be it at questions of a run, at one role or at all
tokens, or at any text; vectors stand in the order of its texts, and of the tokens within each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.activations import check_rows, pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.live_hooks import HookFunction
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site
from training.models.contexts import similar_lengths

BATCH_TOKENS = 4096
"""Tokens of a batch, about: what a pass holds does not depend on how long texts are."""
MOST_LOGITS = 2**26
"""Logits of a batch that is scored, about: a quarter of a gigabyte, of which a few are held."""
ALL = "all"
"""In the place of a role: every token."""

Rebuild = Callable[[Float[Tensor, "vector width"]], Float[Tensor, "vector width"]]
"""Vectors that are put in the place of others."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """See the module's docstring; all three have an entry for each text."""

    texts: tuple[tuple[int, ...], ...]
    looked_at: tuple[tuple[int, ...], ...]
    """Positions at which activations are read."""
    scored: tuple[tuple[int, ...], ...]
    """Positions of the tokens that are to be predicted, by the logits of the one before."""

    @property
    def n_vectors(self) -> int:
        """How many vectors are read."""
        return sum(map(len, self.looked_at))

    def owners(self) -> Int[np.ndarray, " vector"]:
        """The text of each vector."""
        return np.repeat(np.arange(len(self.texts)), [len(each) for each in self.looked_at])


def read_rows(model: HookedModel, rows: Sequence[TokenizedRow], role: TokenRole | None) -> Reading:
    """Rows at one role, or at all tokens; their answers are scored.

    Args:
        model: Which is to read them.
        rows: Each must have the role.
        role: None for all tokens.

    Raises:
        InputError: there are no rows, or one lacks the role, or the model cannot read it.
    """
    if not rows:
        raise InputError("no rows to read; choose another run or role")
    check_rows(model, rows)
    positions = [
        range(len(row.input_ids)) if role is None else [role.position(row)] for row in rows
    ]
    return Reading(
        texts=tuple(row.input_ids for row in rows),
        looked_at=tuple(map(tuple, positions)),
        scored=tuple(row.answer_positions for row in rows),
    )


def read_texts(texts: Sequence[Sequence[int]]) -> Reading:
    """Texts at all tokens, of which all but the first are scored."""
    return Reading(
        texts=tuple(map(tuple, texts)),
        looked_at=tuple(tuple(range(len(text))) for text in texts),
        scored=tuple(tuple(range(1, len(text))) for text in texts),
    )


def collect(model: HookedModel, reading: Reading, site: Site) -> Float[Tensor, "vector width"]:
    """The vectors of a site, heads side by side, in float32 on the CPU.

    Raises:
        InputError: the model lacks the site, or an activation is not finite.
    """
    check_site(model, site)
    starts = np.cumsum([0, *map(len, reading.looked_at)])
    vectors: Tensor | None = None
    for chosen, tokens in _batches(model, reading, BATCH_TOKENS):
        _, cache = model.run_with_cache(tokens, [site.hook], stop_at_layer="auto")
        rows, positions = _spots([reading.looked_at[i] for i in chosen])
        found = cache[site.hook][rows, positions]
        found = (found if site.head is None else found[:, site.head]).flatten(1).float().cpu()
        if not found.isfinite().all():
            raise InputError(
                f"activations at {site.hook} are not finite; the model is damaged or diverged"
            )
        if vectors is None:
            vectors = torch.empty(reading.n_vectors, found.shape[1])
        places = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
        vectors[torch.from_numpy(places)] = found
    assert vectors is not None
    return vectors


@torch.no_grad()
def score_replaced(
    model: HookedModel, reading: Reading, site: Site, rebuilds: Mapping[str, Rebuild]
) -> dict[str, tuple[float, float]]:
    """What the model says where a site's vectors are replaced, at the tokens that are looked at.

    Returns:
        By name the mean loss of the scored tokens, in nats, and the mean divergence KL(as it is ||
        replaced) at them; under the name "" the loss of the model as it is.
    """
    sums = {name: np.zeros(2) for name in ("", *rebuilds)}
    most = min(BATCH_TOKENS, MOST_LOGITS // model.d_vocab)
    for chosen, tokens in _batches(model, reading, most):
        rows, positions = _spots([reading.scored[i] for i in chosen])
        wanted = tokens[rows, positions]

        def log_probs(
            tokens: Tensor = tokens, rows: Tensor = rows, positions: Tensor = positions
        ) -> Float[Tensor, "scored d_vocab"]:
            first = int(positions.min()) - 1
            logits = model.logits(tokens, logits_to_keep=tokens.shape[1] - first)
            return logits[rows, positions - 1 - first].float().log_softmax(-1).cpu()

        as_it_is = log_probs()
        told = as_it_is.gather(1, wanted[:, None])
        sums[""] += [-float(told.double().sum()), 0.0]
        spots = _spots([reading.looked_at[i] for i in chosen])
        for name, rebuild in rebuilds.items():
            with model.hooks(fwd_hooks=[(site.hook, replacing(site, spots, rebuild))]):
                replaced = log_probs()
            loss = -float(replaced.gather(1, wanted[:, None]).double().sum())
            apart = float((as_it_is.exp() * (as_it_is - replaced)).double().sum())
            sums[name] += [loss, apart]
    n_scored = sum(map(len, reading.scored))
    return {name: (both[0] / n_scored, both[1] / n_scored) for name, both in sums.items()}


def replacing(site: Site, spots: tuple[Tensor, Tensor], rebuild: Rebuild) -> HookFunction:
    """A hook that puts rebuilt vectors in the place of a site's, at rows and positions.

    Positions behind the last column that the model is given are left out.
    """

    def hook_function(activation: Tensor, hook: nn.Module) -> Tensor:
        inside = spots[1] < activation.shape[1]
        rows, positions = (each[inside].to(activation.device) for each in spots)
        edited = activation.clone()
        old = edited[rows, positions] if site.head is None else edited[rows, positions, site.head]
        new = rebuild(old.flatten(1).float().cpu()).to(old).reshape(old.shape)
        if site.head is None:
            edited[rows, positions] = new
        else:
            edited[rows, positions, site.head] = new
        return edited

    return hook_function


def _batches(
    model: HookedModel, reading: Reading, n_tokens: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Texts of similar length together, with their padded tokens: so many at most, if they can."""
    lengths = [len(text) for text in reading.texts]
    size = max(1, n_tokens // max(lengths))
    for chosen in similar_lengths(model.config, lengths, size):
        yield chosen, pad_tokens([reading.texts[i] for i in chosen])


def _spots(positions: Sequence[Sequence[int]]) -> tuple[Int[Tensor, " spot"], Int[Tensor, " spot"]]:
    """Rows and columns of positions that are given row by row."""
    rows = [row for row, each in enumerate(positions) for _ in each]
    return torch.tensor(rows, dtype=torch.long), torch.tensor(
        [position for each in positions for position in each], dtype=torch.long
    )
