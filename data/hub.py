"""Where the files of a model from elsewhere lie: in a local folder, or in a snapshot of the hub.

Models that were converted to a folder once are looked up in `data.kept_models`.

The network is used only where a hub model was named that is not in the local cache, and then only
JSON, text, tokenizer and safetensors files are downloaded: no format that can hold code.
"""

import json
import os
import re
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread

from data.errors import InputError, reason_of
from data.kept_models import kept_folder

HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]*[A-Za-z0-9_]", re.ASCII)
LONGEST_HUB_NAME = 96
PATIENCE = 1.2
"""Seconds within which the hub must answer at all."""

INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model")
"""Files of which any one makes a folder that of a tokenizer."""
TOKENIZER_SETTINGS = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("merges.txt", "vocab.txt"),
)
"""Files in which such a folder may say more of its tokenizer."""
CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
)
"""Files in which transformers looks for names of code to run."""
CODE_KEYS = ("auto_map", "custom_generate")
"""Keys under which a JSON file names code of its own."""
KERNEL_KEYS = ("attn_implementation", "_attn_implementation", "experts_implementation")
"""Keys under which a config names compiled code: of the hub where the name holds a slash."""


class ModelFiles(StrEnum):
    """Which files of a model's folder are needed."""

    CONFIG = "config"
    WEIGHTS = "weights"
    """The weights, with the config that they belong to."""
    TOKENIZER = "tokenizer"


def is_hub_name(text: str) -> bool:
    """Whether a text can be a name on the hub: `OWNER/NAME`, by the hub's own rules.

    >>> is_hub_name("EleutherAI/pythia-70m-deduped"), is_hub_name("a/../b"), is_hub_name("a..b/c")
    (True, False, False)
    """
    is_name = HUB_NAME.fullmatch(text) and len(text) <= LONGEST_HUB_NAME
    return bool(is_name) and not any(each in text for each in ("..", "--")) and text[-4:] != ".git"


def find_folder(location: str, files: ModelFiles) -> Path:
    """The folder that holds some of the files of a model.

    Args:
        location: A local folder, a GGUF file, a name of the catalogue, or one on the hub like
            `EleutherAI/pythia-70m-deduped`. A folder comes first, then what was converted, then
            the hub's local cache, then a download.
        files: What the folder must hold.

    Raises:
        InputError: there is no such folder, it lacks the files, or it would have to be converted
            first, or downloaded and cannot be.
    """
    folder = Path(location).expanduser()
    if not folder.is_dir():
        folder = kept_folder(location) or _from_hub(location, files)
    problem = lacking(folder, files)
    if problem:
        raise InputError(f"{folder} {problem}")
    refuse_code(folder)
    return folder


def lacking(folder: Path, files: ModelFiles) -> str:
    """Which of these files a folder lacks, and what to do about it; empty if none."""
    match files:
        case ModelFiles.TOKENIZER:
            if not any((folder / name).is_file() for name in TOKENIZER_FILES):
                return "holds no tokenizer (tokenizer.json); add it, or name another tokenizer"
            return ""
        case ModelFiles.CONFIG:
            if not (folder / "config.json").is_file():
                return "holds no config.json; give the folder of a Hugging Face model"
            return ""
        case ModelFiles.WEIGHTS:
            return lacking(folder, ModelFiles.CONFIG) or _lacking_weights(folder)


def paths_of(folder: Path, files: ModelFiles) -> list[Path]:
    """The paths of those of these files that a folder has."""
    match files:
        case ModelFiles.TOKENIZER:
            names = (*TOKENIZER_FILES, *TOKENIZER_SETTINGS)
        case ModelFiles.CONFIG:
            names = ("config.json",)
        case ModelFiles.WEIGHTS if (folder / "model.safetensors").is_file():
            names = ("config.json", "model.safetensors")
        case ModelFiles.WEIGHTS:
            names = ("config.json", INDEX, *_shards(folder))
    return [folder / name for name in names if (folder / name).is_file()]


def _shards(folder: Path) -> set[str]:
    names = json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values()
    return {os.fspath(name) for name in names}


def refuse_code(folder: Path) -> None:
    """Refuses a folder that wants code of its own, or of others, to run.

    `auto_map` alone, with no code beside it, is what the hub has of many families that transformers
    knows by now; nothing runs, as every call that loads says `trust_remote_code=False`.

    Raises:
        InputError: a JSON file names such code.
    """
    for path in (folder / name for name in CONFIG_FILES):
        named = _named_code(path)
        if named and (any(folder.glob("*.py")) or "--" in named or "/" in named):
            raise InputError(
                f"{path} names code to run ({named}), which is never done; take the entry out if "
                "transformers knows the model, or give another folder"
            )


def _named_code(path: Path) -> str:
    """What a JSON file names code by, with the name; empty if nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        return ""  # nor can what loads it read it, and that says so
    if not isinstance(content, dict):
        return ""
    for part in (content, *(value for value in content.values() if isinstance(value, dict))):
        for key in CODE_KEYS:
            if part.get(key):
                return f"{key}: {part[key]}"
        for key in KERNEL_KEYS:
            if "/" in str(part.get(key, "")):
                return f"{key}: {part[key]}"
    return ""


def _lacking_weights(folder: Path) -> str:
    if (folder / "model.safetensors").is_file():
        return ""
    if not (folder / INDEX).is_file():
        only = " but pickled ones (pytorch_model.bin)" if list(folder.glob("*.bin")) else ""
        return f"holds no weights{only}; save them as model.safetensors"
    try:
        shards = _shards(folder)
    except Exception:  # whatever JSON of any shape, size or depth can raise
        return f"has a damaged {INDEX}; copy the folder again"
    missing = sorted(shard for shard in shards if not (folder / shard).is_file())
    return f"lacks the weights {missing[0]} that {INDEX} lists; copy them too" if missing else ""


def _from_hub(name: str, files: ModelFiles) -> Path:
    if not is_hub_name(name):
        raise InputError(
            f"there is no folder {name}; give a model's folder or GGUF file, a name of iml models, "
            "or one on the hub like EleutherAI/pythia-70m-deduped"
        )
    return cached(name, files) or _downloaded(name, files)


def cached(name: str, files: ModelFiles) -> Path | None:
    """The snapshot in the local cache; None where it lacks the files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = _patterns(files)
    with suppress(LocalEntryNotFoundError):
        folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=patterns))
        if not lacking(folder, files):
            return folder
    return None


def _downloaded(name: str, files: ModelFiles) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    if not _answers(constants.ENDPOINT):
        raise InputError(
            f"there is no folder {name}, and {constants.ENDPOINT} cannot be reached; download "
            "the model elsewhere and give its folder: --set model=FOLDER"
        )
    try:
        # Files in subfolders are other formats of the same weights.
        folder = snapshot_download(name, allow_patterns=_patterns(files), ignore_patterns=["*/*"])
    except (HfHubHTTPError, OSError) as error:
        reason = reason_of(error)
        raise InputError(f"{name} cannot be downloaded ({reason}); check the name") from error
    return Path(folder)


def _patterns(files: ModelFiles) -> list[str]:
    weights = ["*.safetensors"] if files is ModelFiles.WEIGHTS else []
    return ["*.json", "*.txt", "*.model", *weights]


def _answers(endpoint: str) -> bool:
    """Whether the hub says anything in time; looking up its name alone can take much longer."""
    from huggingface_hub import get_session

    has_answered = Event()

    def ask() -> None:
        with suppress(Exception):
            get_session().head(endpoint, timeout=PATIENCE)
            has_answered.set()

    Thread(target=ask, daemon=True).start()
    return has_answered.wait(PATIENCE)
