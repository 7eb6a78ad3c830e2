"""GGUF files, converted once to a plain Hugging Face folder in float32.

transformers reads these files, but gives back a model that it refuses to save, and leaves out what
it has no place for without a word. So the model is rebuilt without its quantisation, and a file of
which anything would be lost is refused.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from data.digests import file_sha256
from data.errors import InputError, reading
from data.hub import ModelFiles, find_folder
from data.kept_models import VARIABLE, is_gguf, kept_folder, place_of
from training.budget import BYTES_IN_FILE, in_bytes, machine_memory
from training.files import new_folder, require_writable, wait_for_lock
from training.models.folders import one_line_errors, refuse_other_weights
from training.models.gguf_tokenizers import read_gguf_tokenizer, require_same_tokens, unknown_split
from training.models.scratch import language_model_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

PRE = "tokenizer.ggml.pre"
"""The key under which a file says how its texts are split into words."""
CARD = "README.md"
"""The model card, under the name that the hub gives it."""
_REMEDY = "give a GGUF file of a language model that transformers reads"
ALONE = "model.gguf"
_BESIDE_WEIGHTS = 20_000_000
"""Bytes of a folder's tokenizer and other files, at the most."""


@dataclass(frozen=True)
class GgufFile:
    """What a GGUF file says of itself."""

    path: Path

    @cached_property
    def _reader(self) -> Any:
        import gguf

        with reading(self.path, _REMEDY, InputError, fault="is no readable GGUF file"):
            return gguf.GGUFReader(self.path)

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the architecture."""
        return str(self.says("general.architecture", ""))

    @cached_property
    def tensors(self) -> Mapping[str, int]:
        """Number of weights of each tensor, by llama.cpp's name for it."""
        return {tensor.name: int(tensor.n_elements) for tensor in self._reader.tensors}

    @property
    def quantised(self) -> str:
        """The types that its tensors are stored in, the one of most weights first."""
        sizes: dict[str, int] = {}
        for tensor in self._reader.tensors:
            name = tensor.tensor_type.name
            sizes[name] = sizes.get(name, 0) + int(tensor.n_elements)
        return ", ".join(sorted(sizes, key=lambda name: -sizes[name]))

    def says(self, key: str, otherwise: Any = None) -> Any:
        """The value of a key of its metadata; something else where it has none."""
        field = self._reader.get_field(key)
        return otherwise if field is None else field.contents()


def opened(location: str, files: ModelFiles) -> Path:
    """The folder that holds some files of a model; a GGUF file is converted to one at first.

    Raises:
        InputError: as `data.hub.find_folder` and `convert`.
    """
    if is_gguf(location):
        folder = place_of(location)
        assert folder is not None
        if not folder.is_dir():
            convert(Path(location).expanduser(), folder)
    return find_folder(location, files)


def local_folder(location: Path | str) -> Path:
    """The folder of a model on this machine, for which nothing is downloaded.

    Args:
        location: A folder, a GGUF file, which is converted at first, or a name of the catalogue.

    Raises:
        InputError: as `data.kept_models.kept_folder` and `convert`.
    """
    if is_gguf(str(location)):
        return opened(str(location), ModelFiles.WEIGHTS)
    folder = Path(location)
    return folder if folder.exists() else kept_folder(str(location)) or folder


def convert(path: Path, folder: Path, *, about: str = "") -> None:
    """Writes the model of a GGUF file as a Hugging Face folder, whole or not at all.

    Args:
        path: The GGUF file.
        folder: Where the model will be; left as it is if it is there by then.
        about: What the model card says besides what the file says of itself.

    Raises:
        InputError: transformers cannot read the file, something of it would be lost, or there is
            no room for the model.
    """
    file = GgufFile(path)
    n_weights = sum(file.tensors.values())
    require_room(folder.parent, f"the model of {path.name}", n_weights * BYTES_IN_FILE)
    if n_weights * BYTES_IN_FILE > machine_memory():
        raise InputError(
            f"{path} holds {n_weights:,} weights, {in_bytes(n_weights * BYTES_IN_FILE)} in float32;"
            f" this machine has {in_bytes(machine_memory())}; use a smaller model"
        )
    with wait_for_lock(folder.parent):
        if folder.is_dir():
            return
        # transformers draws bars of its own, on a terminal or not.
        with new_folder(folder) as unfinished, _alone(path) as place, redirect_stderr(StringIO()):
            model = _plain_model(file, place)
            with one_line_errors(path, _remedy(file)):
                tokenizer = read_gguf_tokenizer(place / ALONE, pre=file.says(PRE))
                model.save_pretrained(unfinished)
                tokenizer.save_pretrained(unfinished)
            require_same_tokens(unfinished, tokenizer)
            card = _card(file, model, about, note=unknown_split(tokenizer, file.says(PRE)))
            (unfinished / CARD).write_text(card, encoding="utf-8")


def require_room(folder: Path, what: str, n_bytes: int) -> None:
    """Refuses to begin what the disk of a folder has no room for.

    Raises:
        InputError: there is no room, or the folder cannot be written to.
    """
    require_writable(folder)
    n_bytes += _BESIDE_WEIGHTS
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if n_bytes > free:
        raise InputError(
            f"{what} needs {in_bytes(n_bytes)}, {folder} has {in_bytes(free)} left; free some "
            f"space, or name another folder with the variable {VARIABLE}"
        )


@contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """A folder with nothing but the file, since transformers also reads what lies beside one."""
    with TemporaryDirectory(prefix="iml-") as place:
        (Path(place) / ALONE).symlink_to(path.resolve())
        yield Path(place)


def _plain_model(file: GgufFile, place: Path) -> "PreTrainedModel":
    """The model without its quantisation, with every weight of the file and no other."""
    import torch
    from transformers import AutoConfig

    source: dict[str, Any] = {"gguf_file": ALONE, "local_files_only": True}
    with one_line_errors(file.path, _remedy(file)), torch.random.fork_rng(devices=[]):
        config = AutoConfig.from_pretrained(place, trust_remote_code=False, **source)
        _refuse_lost_scaling(file, config)
        loader: Any = language_model_class(config)
        read, report = loader.from_pretrained(
            place,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            # Only so that they are reported: they are refused below.
            ignore_mismatched_sizes=True,
            **source,
        )
        for name in ("quantization_config", "_model_name_or_path"):
            if hasattr(config, name):
                delattr(config, name)
        config.dtype = torch.float32
        with torch.device("meta"):
            plain = loader.from_config(config, trust_remote_code=False)
        plain.load_state_dict(read.state_dict(), assign=True)
        plain.tie_weights()
        plain.generation_config = read.generation_config
    refuse_other_weights(file.path, config.model_type, report)
    _refuse_lost_weights(file, plain)
    return plain


def _remedy(file: GgufFile) -> str:
    return f"{_REMEDY}; this one's architecture is {file.architecture or 'not said'}"


def _refuse_lost_scaling(file: GgufFile, config: "PreTrainedConfig") -> None:
    """Refuses a file that stretches its rotary embedding where transformers reads nothing of it."""
    kind = file.says(f"{file.architecture}.rope.scaling.type", "none")
    read = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if kind != "none" and read == "default":
        raise InputError(
            f"{file.path} scales its rotary embedding ({kind}), which transformers does not read "
            "from a GGUF file; give the Hugging Face folder of the model"
        )


def _refuse_lost_weights(file: GgufFile, model: "PreTrainedModel") -> None:
    """Refuses a file of which weights were left unread, such as those of a scaled embedding."""
    given = dict(file.tensors)
    if model.config.tie_word_embeddings:
        given.pop("output.weight", None)  # the embedding once more
    n_given, n_read = sum(given.values()), model.num_parameters()
    if n_given != n_read:
        blocks = ("blk.", "token_embd", "output")
        others = [name for name in given if not name.startswith(blocks)]
        named = f" ({', '.join(others[:3])})" if others else ""
        raise InputError(
            f"{file.path} holds {n_given:,} weights{named}, of which transformers reads "
            f"{n_read:,}; give the Hugging Face folder of the model"
        )


def _card(file: GgufFile, model: "PreTrainedModel", about: str, note: str) -> str:
    """What the converted model is, in Markdown."""
    from importlib.metadata import version

    said = {
        "Name in the file": file.says("general.name"),
        "Licence in the file": file.says("general.license"),
        "Converted from": f"{file.path.name}, sha256 {file_sha256(file.path)}",
        "Architecture": f"{model.config.model_type}, {model.num_parameters():,} parameters",
        "Stored as": file.quantised,
        "Converted with": f"transformers {version('transformers')}, gguf {version('gguf')}",
    }
    lines = [f"- {key}: {value}" for key, value in said.items() if value]
    rounded = (
        "The weights are those of the GGUF file in float32. What it rounded stays rounded, so they "
        "are not the weights of the model that was stored in it."
    )
    return (
        "\n\n".join(filter(None, [f"# {file.path.stem}", about, "\n".join(lines), rounded, note]))
        + "\n"
    )
