"""`run.json`: what was run, with which versions, and how far it got."""

import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from training.config import LARGEST_SEED, MOST_SEEDS, Precision, RunConfig
from training.files import read_json
from training.runs.inputs import INPUTS, KNOWN, are_records, input_records
from training.runs.publication import exists, read_unchecked

FORMAT_VERSION = 2
"""The format rises when a number in a table comes to mean something else (`old_rules`)."""
RUN_FILE = "run.json"
RUN_KEYS = {"recipe": str, "parameters": dict, "seeds": list, "data_sha256": dict} | {
    "versions": dict,
    "started": str | None,
    "finished": str | None,
}
"""The keys that a run cannot be read without, and their types."""
RECORDED_PACKAGES = (
    "iml-workbench",
    "torch",
    "transformers",
    "transformer-lens",
    "datasets",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "tokenizers",
)


def read_info(folder: Path) -> dict[str, Any]:
    """The contents of `run.json`.

    Raises:
        InputError: there is no `run.json`, or it is of a newer format.
        DamagedError: `run.json` is unreadable.
    """
    path = folder / RUN_FILE
    if not exists(path):
        raise InputError(f"{folder} is no run folder (it has no {RUN_FILE}); make one: iml run")
    info = read_json(path, read=read_unchecked)  # of a newer format, say, which has to be told
    format_version = info.get("format_version") if isinstance(info, dict) else None
    if isinstance(format_version, int) and format_version > FORMAT_VERSION:
        raise InputError(
            f"{folder} has format {format_version}, this program reads up to {FORMAT_VERSION}; "
            "install a newer iml-workbench"
        )
    if (
        not isinstance(format_version, int)
        or any(key not in info or not isinstance(info[key], kind) for key, kind in RUN_KEYS.items())
        or not are_records(info.get(INPUTS, {}))
        or not _are_names(info.get(KNOWN, []))
        or not _are_seeds(info["seeds"])
        or not _are_digests(info["data_sha256"])
    ):
        raise DamagedError(f"{path} lacks what a run needs; restore it from a copy")
    return info


def _are_seeds(value: list[Any]) -> bool:
    """Whether a list is one of so many different seeds as a run may have."""
    return (
        all(type(seed) is int and 0 <= seed < LARGEST_SEED for seed in value)
        and len(set(value)) == len(value) <= MOST_SEEDS
    )


def _are_names(value: object) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_digests(value: dict[str, Any]) -> bool:
    """Whether seeds, written out, are given texts."""
    return all(seed.isdecimal() and isinstance(each, str) for seed, each in value.items())


def new_info(config: RunConfig) -> dict[str, Any]:
    """What `run.json` says of a run without seeds yet."""
    return {
        "format_version": FORMAT_VERSION,
        "recipe": config.recipe,
        "run_id": config.run_id,
        "parameters": dict(config.parameters),
        **({INPUTS: input_records(config)} if config.inputs else {}),
        **({KNOWN: list(config.exam.known())} if config.exam else {}),
        "seeds": [],
        "versions": installed_versions(),
        "git_commit": git_commit(),
        "threads": config.threads,
        "device": _device(config),
        **_multiplied_in(config),
        "data_sha256": {},
        "started": None,
        "finished": None,
    }


def _device(config: RunConfig) -> str:
    """What the run is trained on, by name."""
    if not config.uses_accelerator:
        return "cpu"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _multiplied_in(config: RunConfig) -> dict[str, str]:
    """What a run in bfloat16 is multiplied in, which is float32 where that is faster."""
    if config.stage1.precision is not Precision.BF16:
        return {}
    import torch

    from training.working_copy import multiplies_bfloat16

    on_gpu = config.uses_accelerator and torch.cuda.is_available()
    is_rounded = multiplies_bfloat16(torch.device("cuda" if on_gpu else "cpu"))
    return {"multiplied_in": Precision.BF16 if is_rounded else Precision.FP32}


def installed_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that the numbers depend on."""
    import platform

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def git_commit() -> str | None:
    """The commit that this program was run from, `-dirty` if files differ; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
