"""Where models lie that were converted once: GGUF files, and those of packages in the catalogue.

What converts them is `training.models`; here they are only looked up, so that a tokenizer is found
where its model is.
"""

import os
from pathlib import Path

from data.catalogue import in_catalogue
from data.digests import file_sha256
from data.errors import InputError
from data.user_cache import default_cache

VARIABLE = "IML_MODELS"
"""Environment variable that names another folder for converted models."""
GGUF = ".gguf"
_DIGITS = 16
"""Hexadecimal digits of a GGUF file's sha256 that its folder is named by."""


def models_folder() -> Path:
    """Where converted models are kept: what `IML_MODELS` names, or in the user's cache."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return default_cache() / "models"


def is_gguf(location: str) -> bool:
    """Whether a location means a GGUF file, by its name."""
    return location.lower().endswith(GGUF)


def place_of(location: str) -> Path | None:
    """Where the converted model of a location is kept, converted or not.

    A GGUF file is known by its content: its folder is found whatever it is called by now.

    Args:
        location: A GGUF file, or the name of a package's model in the catalogue; of anything else
            nothing is kept here.

    Raises:
        InputError: there is no such GGUF file.
    """
    if is_gguf(location):
        path = Path(location).expanduser()
        if not path.is_file():
            raise InputError(f"there is no file {location}; give the path of a GGUF file")
        return models_folder() / f"gguf-{file_sha256(path)[:_DIGITS]}"
    model = in_catalogue(location)
    return None if model is None or model.package is None else models_folder() / location


def kept_folder(location: str) -> Path | None:
    """The Hugging Face folder of a converted model; None where none can be kept.

    Raises:
        InputError: there is no such GGUF file, or the model was not converted yet.
    """
    folder = place_of(location)
    if folder is not None and not folder.is_dir():
        raise InputError(
            f"the model {location} is not in {folder.parent}; fetch it: iml models get {location}"
        )
    return folder
