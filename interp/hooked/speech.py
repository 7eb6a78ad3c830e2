"""Text in, text out: what does the model go on to say, and how sure is it?

    model.to_tokens(["Once upon", "Lily"])     as every analysis reads them
    model.generate("Once upon a time,")        the most likely words, or drawn ones
    model.top_tokens("The cat sat on the")     the most likely next tokens, as a table

Texts are tokenized by the rule of `data.tokens.encode`, which rows follow, too: a beginning token
stands in front, once, where the model's own tokenizer puts one; nothing is put behind. Padding is
on the right, whatever the tokenizer would do, so that position 3 is the fourth token of every text.
Here only texts of equally many tokens share a pass, so that nothing is padded.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.errors import InputError
from data.tokens import encode
from training.models.architectures import stop_tokens
from training.seeds import derive_seed

if TYPE_CHECKING:
    from transformers import (
        LogitsProcessorList,
        PreTrainedTokenizerBase,
        PreTrainedTokenizerFast,
    )

BATCH_SIZE = 64


class Speech(ABC):
    """What a hooked model does with text; hooks that are on the model act here, too."""

    tokenizer: "PreTrainedTokenizerBase | None"
    n_ctx: int
    bridge: Any

    @abstractmethod
    def logits(
        self,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        *,
        logits_to_keep: int = 0,
    ) -> Float[Tensor, "batch kept d_vocab"]:
        """Logits without a graph."""

    def fast_tokenizer(self) -> "PreTrainedTokenizerFast":
        """The model's tokenizer.

        Raises:
            InputError: the model has none, or one that reports no characters.
        """
        if self.tokenizer is None:
            raise InputError(
                "the model has no tokenizer; open a folder that has one, or give it one with "
                "HookedModel.from_hf(model, tokenizer)"
            )
        if not self.tokenizer.is_fast:
            raise InputError("the model's tokenizer reports no characters; use a fast tokenizer")
        return self.tokenizer  # pyright: ignore[reportReturnType]

    def to_tokens(self, texts: str | Sequence[str]) -> Int[Tensor, "text pos"]:
        """Token ids, padded on the right; the logits of a text are those at its own last token.

        Args:
            texts: One text or several.

        Raises:
            InputError: there are none, one has no token, or more than the model reads.
        """
        ids = self._ids(_listed(texts))
        tokenizer, longest = self.fast_tokenizer(), max(map(len, ids))
        padding: Any = tokenizer.pad_token_id
        padded = [[*each, *[padding or 0] * (longest - len(each))] for each in ids]
        return torch.tensor(padded, dtype=torch.long)

    def top_tokens(self, texts: str | Sequence[str], k: int = 10) -> pd.DataFrame:
        """The k most likely next tokens of each text.

        Columns `text token token_id probability log_prob rank`: log-probabilities in nats, ranks
        from 1 on, tokens with the space that they begin with.

        Args:
            texts: One text or several.
            k: How many tokens.

        Raises:
            InputError: as `to_tokens`; or k is not a number of tokens that the model has.
        """
        texts = _listed(texts)
        ids, tables = self._ids(texts), {}
        for chosen, tokens in _of_one_length(ids):
            log_probs = self.logits(tokens, logits_to_keep=1)[:, -1].float().log_softmax(-1).cpu()
            if not 1 <= k <= log_probs.shape[1]:
                raise InputError(f"k is {k}; choose from 1 to {log_probs.shape[1]}, the vocabulary")
            values, found = log_probs.topk(k)
            for i, best, of_token in zip(chosen, found.tolist(), values, strict=True):
                tables[i] = pd.DataFrame(
                    {
                        "text": texts[i],
                        "token": [self._added(ids[i], [token]) for token in best],
                        "token_id": best,
                        "probability": of_token.exp().numpy(),
                        "log_prob": of_token.numpy(),
                        "rank": range(1, k + 1),
                    }
                )
        return pd.concat([tables[i] for i in range(len(texts))], ignore_index=True)

    def generate(
        self,
        texts: str | Sequence[str],
        max_new_tokens: int = 20,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> str | list[str]:
        """The texts and what the model says next, up to an end token.

        Every token is computed anew from all tokens before it, without a cache, so that a hook
        sees the whole text at each step.

        Args:
            texts: One text, then one is returned; or several.
            max_new_tokens: The most tokens to say.
            temperature: 0 always says the most likely token. Above it tokens are drawn: 1 from the
                model's own distribution, less from a sharper one.
            top_k: Draw among so many of the most likely tokens only.
            top_p: Draw among the most likely tokens that have this probability together.
            seed: Of the draws, which are a text's own, whatever stands beside it; no global random
                state is used or changed.

        Raises:
            InputError: as `to_tokens`; text and new tokens are more than the model reads; or how
                to draw is said but nothing is drawn.
        """
        if max_new_tokens < 1 or temperature < 0:
            raise InputError(
                f"max_new_tokens is {max_new_tokens} and temperature {temperature}; say at least "
                "one token, at 0 or above"
            )
        warpers = _warpers(temperature, top_k, top_p)
        listed = _listed(texts)
        ids, said = self._ids(listed, room=max_new_tokens), {}
        for chosen, tokens in _of_one_length(ids):
            seeds = [derive_seed(seed, f"text {i}") for i in chosen]
            draws = [torch.Generator().manual_seed(each) for each in seeds]
            new = self._say(tokens, max_new_tokens, warpers, draws)
            said |= {
                i: listed[i] + self._added(ids[i], each, hide_special=True)
                for i, each in zip(chosen, new, strict=True)
            }
        return said[0] if isinstance(texts, str) else [said[i] for i in range(len(listed))]

    def _say(
        self,
        tokens: Int[Tensor, "text pos"],
        n_new: int,
        warpers: "LogitsProcessorList | None",
        draws: Sequence[torch.Generator],
    ) -> list[list[int]]:
        """The new tokens of texts of one length, each up to its end token."""
        end: Any = self.fast_tokenizer().eos_token_id
        ends = {*stop_tokens(self.bridge.original_model), end}
        n_old = tokens.shape[1]
        for _ in range(n_new):
            scores = self.logits(tokens, logits_to_keep=1)[:, -1].float().cpu()
            if warpers is None:
                following = scores.argmax(-1)
            else:
                weights = warpers(tokens, scores).softmax(-1)  # pyright: ignore[reportArgumentType]
                drawn = [
                    torch.multinomial(each, 1, generator=generator)
                    for each, generator in zip(weights, draws, strict=True)
                ]
                following = torch.cat(drawn)
            tokens = torch.cat([tokens, following[:, None]], dim=1)
            if all(ends & set(each) for each in tokens[:, n_old:].tolist()):
                break
        new = tokens[:, n_old:].tolist()
        stops = [next((i for i, t in enumerate(each) if t in ends), n_new) for each in new]
        return [each[:stop] for each, stop in zip(new, stops, strict=True)]

    def _ids(self, texts: Sequence[str], *, room: int = 0) -> list[list[int]]:
        """The tokens of each text, which leave room for so many more."""
        if not texts:
            raise InputError("there are no texts; give one or more")
        found = [ids for ids, _ in encode(texts, self.fast_tokenizer())]
        for i, (text, ids) in enumerate(zip(texts, found, strict=True)):
            if not ids:
                raise InputError(f"text {i} ({text!r}) has no token; give a word at least")
            if len(ids) + room > self.n_ctx:
                more = f" and {room} are to come" if room else ""
                raise InputError(
                    f"text {i} ({text[:40]!r}) has {len(ids)} tokens{more}, this model reads "
                    f"{self.n_ctx}; give a shorter one"
                )
        return found

    def _added(
        self, before: Sequence[int], new: Sequence[int], *, hide_special: bool = False
    ) -> str:
        """What tokens add to a text; by themselves some tokenizers drop their first space."""
        tokenizer = self.fast_tokenizer()

        def text(ids: Sequence[int]) -> str:
            return str(
                tokenizer.decode(
                    list(ids), skip_special_tokens=hide_special, clean_up_tokenization_spaces=False
                )
            )

        old, whole = text(before), text([*before, *new])
        return whole[len(old) :] if whole.startswith(old) else text(new)


def _listed(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _of_one_length(ids: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor]]:
    """Places of texts that have equally many tokens, and these tokens."""
    by_length: dict[int, list[int]] = {}
    for i, each in enumerate(ids):
        by_length.setdefault(len(each), []).append(i)
    for places in by_length.values():
        for start in range(0, len(places), BATCH_SIZE):
            chosen = places[start : start + BATCH_SIZE]
            yield chosen, torch.tensor([ids[i] for i in chosen])


def _warpers(
    temperature: float, top_k: int | None, top_p: float | None
) -> "LogitsProcessorList | None":
    """How logits are changed before a token is drawn; None where none is drawn."""
    if temperature == 0:
        if (top_k, top_p) != (None, None):
            raise InputError("top_k and top_p are for draws; give a temperature above 0, such as 1")
        return None
    from transformers import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    if (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise InputError(f"top_k is {top_k} and top_p {top_p}; give 1 or more, and from 0 to 1")
    chosen: list[Any] = [TemperatureLogitsWarper(float(temperature))]
    chosen += [] if top_k is None else [TopKLogitsWarper(top_k)]
    chosen += [] if top_p is None else [TopPLogitsWarper(float(top_p))]
    return LogitsProcessorList(chosen)
