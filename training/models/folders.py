"""Reading a model's folder: nothing in it runs, and no weight of it is made up.

Weights are read as float32, whatever they are stored in: every measurement and every further
training step then has the same precision, at twice the memory of a folder in bfloat16 or float16.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError, reading
from data.hub import ModelFiles, lacking, refuse_code
from training.budget import BYTES_IN_FILE, BYTES_PER_LAYER, in_bytes, machine_memory
from training.models.own import enter_all
from training.models.scratch import language_model_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

_BUFFERS = (".attn.bias", ".attention.bias", ".masked_bias", ".inv_freq")
"""Endings of what old versions of transformers stored beside the weights: masks and frequencies."""
_SHOWN = 4
_LAYERS = (
    *("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers"),
    *("encoder_layers", "decoder_layers"),
)
_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
_ROWS = ("vocab_size", "n_positions", "n_ctx")
"""What architectures call the number of blocks, their width, and what has a row of that width."""


def read_config(folder: Path) -> "PreTrainedConfig":
    """The architecture of a model's folder.

    Raises:
        InputError: there is no config, it cannot be read, or it wants to run code of its own.
    """
    _require(folder, ModelFiles.CONFIG)
    _refuse_giant(folder / "config.json")
    from transformers import AutoConfig

    enter_all()
    with one_line_errors(folder):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def read_weights(folder: Path) -> "PreTrainedModel":
    """A folder's language model, every weight of it its own, in float32 and evaluation mode.

    The global random state is left as it was.

    Raises:
        InputError: the folder cannot be read, wants to run code of its own, or its weights are not
            exactly those that its config describes.
    """
    config = read_config(folder)
    _require(folder, ModelFiles.WEIGHTS)
    import torch

    with one_line_errors(folder), torch.random.fork_rng(devices=[]):
        model, report = language_model_class(config).from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Only so that they are reported: they are refused below.
            ignore_mismatched_sizes=True,
        )
    refuse_other_weights(folder, config.model_type, report)
    return model.eval()


def read_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer of a model's folder.

    Raises:
        InputError: the tokenizer cannot be read, or wants to run code of its own.
    """
    _require(folder, ModelFiles.TOKENIZER)
    from transformers import AutoTokenizer

    with one_line_errors(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keeps transformers from drawing a bar for every checkpoint; restores its setting."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


@contextmanager
def one_line_errors(
    folder: Path, remedy: str = "give a complete folder of a language model that transformers knows"
) -> Iterator[None]:
    """Says what is wrong with a model's files in a line, in place of transformers' reports."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with (
            no_progress_bars(),
            reading(f"the model in {folder}", remedy, InputError, fault="cannot be loaded"),
        ):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _refuse_giant(path: Path) -> None:
    """Refuses a config of more weights than memory has room for, before anything is made of it.

    Raises:
        InputError: there are too many weights, or it is no config; the message has the arithmetic.
    """
    with reading(path, "give the folder of a Hugging Face model", InputError):
        content = json.loads(path.read_bytes().decode())
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no config; give the folder of a Hugging Face model")
    for part in (content, *(each for each in content.values() if isinstance(each, dict))):
        layers, width, rows = (_largest(part, names) for names in (_LAYERS, _WIDTHS, _ROWS))
        n_bytes = layers * (2 * width**2 * BYTES_IN_FILE + BYTES_PER_LAYER)
        n_bytes += rows * width * BYTES_IN_FILE
        if n_bytes > machine_memory():
            raise InputError(
                f"{path} describes {layers:,} layers of width {width:,} and {rows:,} embedding "
                f"rows, {in_bytes(n_bytes)} or more; this machine has {in_bytes(machine_memory())}"
                "; use a smaller model"
            )


def _largest(config: dict[str, Any], names: tuple[str, ...]) -> int:
    """The largest whole number that a config has under these names; 0 for none."""
    values = (config.get(name) for name in names)
    return max((value for value in values if type(value) is int), default=0)


def _require(folder: Path, files: ModelFiles) -> None:
    problem = lacking(folder, files)
    if problem:
        raise InputError(f"{folder} {problem}")
    refuse_code(folder)


def refuse_other_weights(folder: Path, family: str, report: dict[str, Any]) -> None:
    """Refuses weights that transformers would draw at random, or leave unread.

    Args:
        folder: Where they were read from.
        family: The name of the architecture.
        report: What transformers says of its reading, its `output_loading_info`.

    Raises:
        InputError: there are such weights.
    """
    unread = [name for name in report["unexpected_keys"] if not name.endswith(_BUFFERS)]
    wrong = [
        f"{name} as {list(stored)} where the config says {list(wanted)}"
        for name, stored, wanted in sorted(report["mismatched_keys"])
    ]
    for verb, names in (
        ("lack", sorted(report["missing_keys"])),
        ("hold", wrong),
        ("hold", [f"{name}, which the config has no place for" for name in sorted(unread)]),
    ):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise InputError(
                f"the weights in {folder} {verb} {', '.join(names[:_SHOWN])}{more}; give a "
                f"complete checkpoint of a {family} language model"
            )
