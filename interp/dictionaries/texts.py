"""Autoencoders of any model's activations on any text, a run's or not.

A text is cut into pieces of equally many tokens. Of every ten pieces one trains nothing and is what
everything is measured on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from data.errors import InputError
from data.tokens import encode
from interp.dictionaries.analysis import PCA, PCA_OWN, RANDOM
from interp.dictionaries.baselines import principal_components
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.quality import Coder, measure_quality
from interp.dictionaries.readings import collect, read_texts
from interp.dictionaries.training import FitSettings, fit_dictionary, require_fitting
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site

PIECE = 128
"""Tokens of a piece, unless the model reads fewer."""
EVERY = 10
"""Of so many pieces one is held out."""
MOST_HELD_OUT = 50
"""Pieces on which is measured, at most: each takes a pass for every autoencoder."""
FEWEST = 20
"""Pieces without which a text is too short."""
N_TOKENS = 200_000


@dataclass(frozen=True, kw_only=True)
class FittedOnText:
    """The autoencoders of one site by sparsity, and a table of how good they are."""

    dictionaries: dict[int, Dictionary]
    table: pd.DataFrame
    """Columns `dictionary k`, the qualities, and `n`, the vectors that they are measured on."""


def fit_on_text(
    model: HookedModel,
    text: str,
    site: Site,
    settings: Sequence[FitSettings],
    *,
    n_tokens: int = N_TOKENS,
    seed: int = 0,
    tell: Callable[[str], None] = lambda words: None,
) -> FittedOnText:
    """Trains an autoencoder for each of the settings, and measures it on pieces held out.

    Args:
        model: Read only.
        text: What it reads.
        site: Where activations are read, at all tokens but the first of each piece.
        settings: One for each sparsity.
        n_tokens: At most so many of the text's tokens are read.
        seed: Of training.
        tell: Told what is done next.

    Raises:
        InputError: the model lacks the site, the text is too short, or an autoencoder is too large.
    """
    check_site(model, site)
    pieces = cut(model, text, n_tokens)
    training = read_texts([piece for i, piece in enumerate(pieces) if i % EVERY])
    held_out = read_texts(pieces[::EVERY][:MOST_HELD_OUT])
    # The first token attracts attention; its vectors are much longer than any other's.
    training, held_out = (
        replace(each, looked_at=tuple(places[1:] for places in each.looked_at))
        for each in (training, held_out)
    )
    tell(f"reading {training.n_vectors:,} tokens")
    vectors = collect(model, training, site)
    for each in settings:
        require_fitting(each, width=vectors.shape[1], n_vectors=len(vectors))
    coders: dict[str, Coder] = {}
    fitted: dict[int, Dictionary] = {}
    for each in settings:
        tell(f"training {each.n_features:,} features, {each.k} a vector")
        fitted[each.k] = fit_dictionary(vectors, each, seed=seed)
        frozen = replace(each, learns_decoder=False, is_nested=False)
        coders |= {
            f"{each.kind}/{each.k}": fitted[each.k],
            f"{RANDOM}/{each.k}": fit_dictionary(vectors, frozen, seed=seed),
            f"{PCA}/{each.k}": principal_components(vectors, each.k),
            f"{PCA_OWN}/{each.k}": principal_components(vectors, each.k, chooses=True),
        }
    tell(f"measuring {len(coders)} on {held_out.n_vectors:,} tokens held out")
    found = measure_quality(model, held_out, site, collect(model, held_out, site), coders)
    return FittedOnText(dictionaries=fitted, table=pd.DataFrame(_rows(found, held_out.n_vectors)))


def cut(model: HookedModel, text: str, n_tokens: int) -> list[tuple[int, ...]]:
    """The text's first tokens in pieces of equally many.

    Raises:
        InputError: it has too few for training and measuring.
    """
    tokenizer = model.fast_tokenizer()
    # Tokens are rarely more than characters; what is not read need not be tokenized.
    ((ids, _),) = encode([text[: 16 * n_tokens]], tokenizer)
    length = min(PIECE, model.n_ctx)
    pieces = [tuple(ids[i : i + length]) for i in range(0, min(len(ids), n_tokens), length)]
    pieces = [piece for piece in pieces if len(piece) == length]
    if len(pieces) < FEWEST:
        raise InputError(
            f"the text has {len(ids):,} tokens, of which {min(len(ids), n_tokens):,} are read; "
            f"give one of {FEWEST * length:,} or more"
        )
    return pieces


def _rows(found: dict[str, dict[str, float]], n: int) -> Iterator[dict[str, object]]:
    for name, qualities in found.items():
        kind, _, k = name.partition("/")
        yield {"dictionary": kind, "k": int(k), **qualities, "n": n}
