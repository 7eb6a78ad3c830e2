"""What are heads like, whatever they read? Scores on random tokens, and of the weights alone.

    induction        attention to the token after the previous occurrence, on random tokens that
                     are repeated once; control: to the same distance, where nothing is repeated
    previous_token   attention to the token before; control: even attention, 1 / (position + 1)
    composition_q    |W_V W_O W_Q W_K^T| / (|W_V W_O| |W_Q W_K^T|), Frobenius: how much of what an
                     earlier head writes a later one's queries can read; _k its keys, _v its values
                     (Elhage et al. 2021); control: 1 / sqrt(d_model), the root mean square over
                     random rotations between the two

Composition takes in the gains of norms, and leaves out what they take away (the mean, where they
are layer norms), rotary positions, and norms of queries and keys. The control has a dimension less
where a mean is taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import InputError
from interp.attention.cells import head_cells
from interp.attention.head_weights import HeadWeights, reading_weights
from interp.attention.patterns import BATCH_SIZE, PATTERN_HOOK, choose_layers, even_attention
from interp.hooked.model import HookedModel
from interp.hooked.unembedding import NormParts
from training.seeds import derive_seed

SEQUENCES, LONGEST = 256, 25
"""How many random sequences are read, and how many tokens at most are repeated in each."""
READERS = ("q", "k", "v")


@dataclass(frozen=True, kw_only=True)
class RandomTokens:
    """Random sequences: twice the same tokens, and as many without a repetition."""

    repeated: Int[Tensor, "sequence pos"]
    fresh: Int[Tensor, "sequence pos"]

    @property
    def period(self) -> int:
        """The number of tokens after which the sequence begins to repeat itself."""
        return self.repeated.shape[1] // 2


def random_tokens(
    model: HookedModel, *, n_sequences: int = SEQUENCES, longest: int = LONGEST, seed: int = 0
) -> RandomTokens:
    """Tokens of the vocabulary, special ones left out, none twice but by repetition.

    The period is `longest`, or less where context or vocabulary are small: a context of 8 tokens
    holds 4 tokens and their repetition.

    Args:
        model: Its vocabulary, and its tokenizer's special tokens where it has one.
        n_sequences: How many of either sort.
        longest: The longest period.
        seed: Fixes what is drawn; the global random state is left as it was.

    Raises:
        InputError: the context or the vocabulary is too small, or there would be no sequence.
    """
    special = set() if model.tokenizer is None else set(model.tokenizer.all_special_ids)
    usable = torch.tensor([i for i in range(model.d_vocab) if i not in special])
    period = min(longest, model.n_ctx // 2, len(usable) // 2)
    if period < 2 or n_sequences < 2:
        raise InputError(
            f"random repetitions take 2 sequences of 4 tokens; context {model.n_ctx}, "
            f"{len(usable)} usable tokens and {n_sequences} sequences are too few; use more"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, "attention/random tokens"))
    drawn = [torch.randperm(len(usable), generator=generator) for _ in range(n_sequences)]
    fresh = usable[torch.stack([order[: 2 * period] for order in drawn])]
    return RandomTokens(repeated=fresh[:, :period].repeat(1, 2), fresh=fresh)


def token_scores(
    model: HookedModel, tokens: RandomTokens, *, layers: Sequence[int] | None = None
) -> pd.DataFrame:
    """Induction and previous-token scores: columns `kind layer head value control n`.

    Heads and their ranks as in `interp.attention.cells`, sequences in place of aliases.
    """
    chosen = choose_layers(model, layers)
    back = tokens.period - 1
    second = slice(tokens.period, None)
    induction = _diagonal(model, tokens.repeated, chosen, back)[..., second].mean(-1)
    control = _diagonal(model, tokens.fresh, chosen, back)[..., second].mean(-1)
    previous = _diagonal(model, tokens.fresh, chosen, 1)[..., 1:].mean(-1)
    even = even_attention(tokens.fresh.shape[1]).diagonal(-1).mean().item()
    is_first = np.arange(len(induction)) % 2 == 0
    tables = {
        "induction": (induction, control),
        "previous_token": (previous, np.full_like(previous, even)),
    }
    return pd.concat(
        head_cells(*pair, is_first=is_first, layers=chosen).assign(kind=kind)
        for kind, pair in tables.items()
    ).reset_index(drop=True)


def composition_scores(model: HookedModel, reader: str) -> pd.DataFrame:
    """How much each head reads of each head of an earlier layer.

    Columns `layer head destination source value control`; layer and head are the reader's, who is
    the destination; heads are named as `layer.head`. A model of one layer has no rows.

    Args:
        model: Read only.
        reader: `q`, `k` or `v`: with what the later head reads.

    Raises:
        InputError: there is no such reader, or the architecture has more than weights between
            the stream and what a head reads.
    """
    if reader not in READERS:
        raise InputError(f"no composition {reader!r}; choose one of {', '.join(READERS)}")
    final = NormParts.of(model.unembed.norm, model.d_model)
    weights = reading_weights(model)
    layers = range(model.n_layers)
    W_O = torch.stack([HeadWeights.of(model, layer, final).W_O for layer in layers])
    W_V, W_in, values_out = weights["v"], weights[reader], W_O.transpose(-1, -2)
    W_out = {"q": weights["k"], "k": weights["q"], "v": values_out}[reader]
    norms = _factored_norm(_gram(W_V), _gram(values_out))
    reader_norms = _factored_norm(_gram(W_in), _gram(W_out))
    # Writers are head g of layer s, readers head h of layer t; the product of the two is
    # W_V (W_O W_in) W_out^T, whose norm needs the Gram matrices of its tall ends only.
    middle = torch.einsum("sgdm,thme->sgthde", W_O, W_in)
    squared = torch.einsum(
        "sgthde,sgdf,sgthfk,thek->sgth", middle, _gram(W_V), middle, _gram(W_out)
    )
    scores = squared.clamp(min=0).sqrt() / (norms[:, :, None, None] * reader_norms)
    control = (model.d_model - final.is_centred) ** -0.5
    return pd.DataFrame(
        [
            {
                "layer": layer,
                "head": str(head),
                "destination": f"{layer}.{head}",
                "source": f"{early}.{writer}",
                "value": scores[early, writer, layer, head].item(),
                "control": control,
            }
            for layer in range(model.n_layers)
            for head in range(model.n_heads)
            for early in range(layer)
            for writer in range(model.n_heads)
        ],
        columns=["layer", "head", "destination", "source", "value", "control"],
    )


def _diagonal(
    model: HookedModel, tokens: Int[Tensor, "sequence pos"], layers: Sequence[int], back: int
) -> Float[np.ndarray, "sequence layer head pos"]:
    """Attention from each position to the one so many before it; 0 where there is none."""
    hooks = [PATTERN_HOOK.format(layer=layer) for layer in layers]
    shape = (len(tokens), len(layers), model.n_heads, tokens.shape[1])
    found = np.zeros(shape)
    for start in range(0, len(tokens), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        _, cache = model.run_with_cache(tokens[batch], hooks, stop_at_layer="auto", device="cpu")
        for i, hook in enumerate(hooks):
            found[batch, i, :, back:] = cache[hook].double().diagonal(-back, -2, -1)
    return found


def _gram(
    weight: Float[Tensor, "*batch d_model d_head"],
) -> Float[Tensor, "*batch d_head d_head"]:
    return weight.transpose(-1, -2) @ weight


def _factored_norm(
    left: Float[Tensor, "*batch rank rank"], right: Float[Tensor, "*batch rank rank"]
) -> Float[Tensor, "*batch"]:
    """The Frobenius norm of A B^T from the Gram matrices A^T A and B^T B."""
    return (left * right).sum((-1, -2)).clamp(min=0).sqrt()
