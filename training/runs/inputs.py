"""Whether a run still reads what its seeds were trained on: table, model, tokenizer, rows.

`run.json` notes the sha256 of every input, each seed's folder that of its rows, as soon as they
are begun. What differs is refused before anything is written, with its name. Runs from before
contents were noted have no inputs in `run.json`; they are noted when such a run is extended.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from data.inputs import Input
from training.config import RunConfig
from training.files import read_json, write_json
from training.models.elsewhere import NamedModel

INPUTS = "inputs"
"""The key of `run.json` that has the inputs, by the parameter that names them."""
KNOWN = "known"
"""The key of `run.json` that has whom an exam found to be known, in the world's order."""
ROWS_FILE = "rows.json"
"""The file in a seed's folder that has the sha256 of the rows it was begun with."""


def input_records(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Name, sha256 and files of every input, for `run.json`."""
    return {name: each.record() for name, each in config.inputs.items()}


def are_records(value: object) -> bool:
    """Whether what `run.json` has as inputs can be read as such."""
    return isinstance(value, Mapping) and all(
        isinstance(each, Mapping)
        and all(isinstance(each.get(key), str) for key in ("name", "source", "sha256"))
        and isinstance(each.get("files"), Mapping)
        for each in value.values()
    )


def recorded(config: RunConfig, info: Mapping[str, Any]) -> RunConfig:
    """A config with what `run.json` notes: the run's id, its inputs' contents, its model's name.

    So all seeds of a run have one id and one model's name, wherever its inputs lie by now.
    """
    records = info.get(INPUTS, {})
    model = config.model
    if isinstance(model, NamedModel) and "model" in records:
        model = replace(model, label=records["model"]["name"])
    digests = {name: each["sha256"] for name, each in records.items() if name in config.inputs}
    config = with_known(config, info)
    return replace(config, model=model, digests=digests, recorded_id=info.get("run_id", ""))


def with_known(config: RunConfig, info: Mapping[str, Any]) -> RunConfig:
    """A config whose exam, if it has one, found those whom `run.json` notes."""
    return config.with_known(info[KNOWN]) if KNOWN in info else config


def placed(config: RunConfig, info: Mapping[str, Any]) -> dict[str, Any]:
    """`run.json` with every input that it knows nothing of yet, and with where they lie now.

    What lies where it was noted stays noted there.

    Raises:
        InputError: an input is not there.
    """
    if not config.inputs:
        return dict(info)
    noted, parameters = dict(info.get(INPUTS, {})), dict(info["parameters"])
    for name, each in config.inputs.items():
        if name not in noted:
            noted[name] = each.record()
        elif not _holds(replace(each, location=noted[name]["source"]), noted[name]["sha256"]):
            noted[name] = {**noted[name], "source": each.location}
            parameters[name] = config.parameters[name]
    return {**info, INPUTS: noted, "parameters": parameters}


def _holds(place: Input, digest: str) -> bool:
    try:
        return place.sha256() == digest
    except InputError:
        return False


def changed_input(config: RunConfig, info: Mapping[str, Any]) -> str:
    """The first input that is not what `run.json` notes, in words; empty if there is none.

    Raises:
        InputError: an input is not there.
    """
    for name, noted in info.get(INPUTS, {}).items():
        if name not in config.inputs:
            continue
        found = config.inputs[name].record()
        if found["sha256"] == noted["sha256"]:
            continue
        files = {**noted["files"], **found["files"]}
        differ = [n for n in sorted(files) if found["files"].get(n) != noted["files"].get(n)]
        where = f" in {', '.join(differ)}" if len(found["files"]) > 1 else ""
        return (
            f"{name} {config.inputs[name].location} differs{where} from what it was trained on "
            f"(sha256 {noted['sha256'][:12]} then, {found['sha256'][:12]} now)"
        )
    return ""


def require_inputs(config: RunConfig, *names: str) -> None:
    """Refuses named inputs that changed since the run was begun, be it a second ago.

    Raises:
        InputError: an input changed.
    """
    for name in names:
        digest = config.digests.get(name)
        if digest is not None and config.inputs[name].sha256() != digest:
            raise InputError(
                f"{name} {config.inputs[name].location} is not what its run was begun with (sha256 "
                f"{digest[:12]}); bring that back and repeat the command"
            )


def noted_rows(seed_folder: Path) -> str | None:
    """The sha256 of the rows that a seed was begun with; None if it was not, or notes none.

    Raises:
        DamagedError: the note cannot be read.
    """
    path = seed_folder / ROWS_FILE
    if not path.is_file():
        return None
    noted = read_json(path)
    if not isinstance(noted, Mapping) or not isinstance(noted.get("sha256"), str):
        raise DamagedError(f"{path} notes no sha256; delete {seed_folder} and run this again")
    return noted["sha256"]


def note_rows(seed_folder: Path, digest: str) -> None:
    """Notes the sha256 of the rows that a seed is begun with, in its folder.

    Raises:
        InputError: it was begun with other rows.
    """
    noted = noted_rows(seed_folder)
    if noted is None:
        write_json(seed_folder / ROWS_FILE, {"sha256": digest})
    elif noted != digest:
        raise InputError(
            f"{seed_folder} was begun with other rows than this version draws; install the "
            f"version that began it, or delete {seed_folder}"
        )
