"""Whether rows fit into a run's blocks and its model, which is known before anything is trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.errors import InputError
from training.config import RunConfig
from training.models.elsewhere import NamedModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from data.tokens import TokenizedRow


def check_model(
    config: RunConfig, rows: "Sequence[TokenizedRow]", tokenizer: "PreTrainedTokenizerFast"
) -> None:
    """Loads a model from elsewhere once, so that what is wrong with it is known beforehand.

    Raises:
        InputError: it cannot be loaded, or reads fewer tokens than a row has.
    """
    model = config.model
    if not isinstance(model, NamedModel) or model.is_tiny:
        return
    longest = config.longest_text(rows)
    if model.random_weights:
        model.require_fit(tokenizer, longest)
    else:
        model.make(tokenizer, seed=0, max_length=longest)


def check_lengths(config: RunConfig, rows: "Sequence[TokenizedRow]") -> None:
    """Looks whether every trained row, or its answer alone, fits into a block.

    Raises:
        InputError: a row is longer than the block.
    """
    trained = [row for row in rows if config.schedule.stage_of(row.row) is not None]
    is_answer_only = config.model.is_encoder_decoder
    lengths = [len(r.answer_positions if is_answer_only else r.input_ids) for r in trained]
    length, longest = max(zip(lengths, trained, strict=True), key=lambda pair: pair[0])
    length += 1  # the end token
    if length > config.block_size:
        raise InputError(
            f"row {longest.row.row_id} and its end token are {length} tokens long, "
            f"block_size is {config.block_size}; use block_size={length} or more"
        )
