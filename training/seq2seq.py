"""Examples for encoder-decoders such as T5 (Appendix C.7): a text is cut where its answer begins.

The encoder reads the text before the answer and an end token, as T5's own tokenizer ends a text.
The decoder says the answer. What it is started with belongs to the model, not to the tokenizer, so
the first column of the tokens only keeps its place: here, too, a target is predicted from what
stands before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.examples import Examples, at_targets, make_examples, n_used_columns
from training.models.architectures import decoder_starts


@dataclass(frozen=True, kw_only=True)
class Seq2SeqExamples(Examples):
    """What the decoder says, in the columns of `tokens` after the first; what the encoder reads."""

    prompts: Int[Tensor, "example prompt_pos"]
    """The tokens that the encoder reads, right-padded."""
    prompt_mask: Bool[Tensor, "example prompt_pos"]
    """Where a prompt has a token and no padding."""

    @property
    def lengths(self) -> Int[Tensor, " example"]:
        """Tokens of each prompt, which take most of the time."""
        return self.prompt_mask.sum(1)

    def logits(self, model: PreTrainedModel) -> Float[Tensor, "target d_vocab"]:
        """Logits from which the targets are predicted, in row-major order of the targets.

        Columns behind the last target, or the last token of a prompt, are not run.
        """
        read = int(self.prompt_mask.sum(1).max())
        starts = self.tokens.new_tensor(decoder_starts(model.config, model.generation_config))
        said = self.tokens[:, 1 : n_used_columns(self.targets)]
        logits = model(
            input_ids=self.prompts[:, :read],
            attention_mask=self.prompt_mask[:, :read].long(),
            decoder_input_ids=torch.cat([starts.expand(len(self), -1), said], dim=1),
            use_cache=False,
        ).logits
        return at_targets(logits[:, len(starts) - 1 :], self.targets)


def make_seq2seq_examples(
    rows: Sequence[TokenizedRow],
    policy: LossPolicy,
    *,
    end_token: int,
    pad_token: int,
    block_size: int = 0,
    repeat: bool = True,
) -> Seq2SeqExamples:
    """Lays rows out for an encoder-decoder; see `training.examples.make_examples`.

    Under `answer` the decoder is trained on the answer's tokens, under `text` also on what follows
    them and an end token, under `all` also on the padding behind that, as in the paper's code.

    Args:
        rows: What to lay out.
        policy: Which of the decoder's tokens are targets.
        end_token: Ends a text.
        pad_token: Pads what the decoder says; T5's is not its end token.
        block_size: Length of answer, end token and padding under `all`.
        repeat: Whether rows count as often as they repeat in an epoch.

    Raises:
        InputError: under `all`, an answer and its end token are longer than the block.
    """
    repeated = [row for row in rows for _ in range(row.row.repeats if repeat else 1)]
    prompts = [[*row.input_ids[: row.answer_positions[0]], end_token] for row in repeated]
    said = [_said(row, policy, end_token) for row in repeated]
    longest = max(map(len, said))
    if policy is LossPolicy.ALL:
        if longest > block_size:
            raise InputError(
                f"an answer has {longest} tokens with its end token, block_size is {block_size}; "
                f"use block_size={longest} or more"
            )
        longest = block_size
    tokens, is_said = _padded([[pad_token, *ids] for ids in said], pad_token, longest + 1)
    prompt_tokens, prompt_mask = _padded(prompts, pad_token, max(map(len, prompts)))
    targets = torch.ones_like(is_said) if policy is LossPolicy.ALL else is_said
    targets[:, 0] = False
    return Seq2SeqExamples(
        tokens=tokens, targets=targets, prompts=prompt_tokens, prompt_mask=prompt_mask
    )


@runtime_checkable
class Layout(Protocol):
    """How rows become examples for one architecture and tokenizer."""

    def __call__(
        self,
        rows: Sequence[TokenizedRow],
        policy: LossPolicy,
        *,
        block_size: int = 0,
        repeat: bool = True,
    ) -> Examples:
        """Lays rows out; see `training.examples.make_examples`."""
        ...


def layout_for(tokenizer: PreTrainedTokenizerFast, *, is_encoder_decoder: bool) -> Layout:
    """The layout of an architecture; the tokenizer knows what ends and pads a text."""
    end_token, pad_token = tokenizer.eos_token_id, tokenizer.pad_token_id
    assert isinstance(end_token, int)
    if not is_encoder_decoder:
        return partial(make_examples, end_token=end_token)
    assert isinstance(pad_token, int)
    return partial(make_seq2seq_examples, end_token=end_token, pad_token=pad_token)


def _said(row: TokenizedRow, policy: LossPolicy, end_token: int) -> list[int]:
    first, last = row.answer_positions[0], row.answer_positions[-1]
    if policy is LossPolicy.ANSWER:
        return list(row.input_ids[first : last + 1])
    return [*row.input_ids[first:], end_token]


def _padded(
    texts: Sequence[Sequence[int]], pad_token: int, length: int
) -> tuple[Int[Tensor, "example pos"], Bool[Tensor, "example pos"]]:
    """Right-padded ids, and where they are no padding."""
    tokens = torch.full((len(texts), length), pad_token)
    is_real = torch.zeros(len(texts), length, dtype=torch.bool)
    for i, ids in enumerate(texts):
        tokens[i, : len(ids)] = torch.tensor(ids)
        is_real[i, : len(ids)] = True
    return tokens, is_real
