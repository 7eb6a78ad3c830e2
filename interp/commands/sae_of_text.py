"""`iml sae MODEL --text FILE`: autoencoders of a model that is no run, on a text."""

import argparse
import sys
from pathlib import Path

from data.errors import InputError, reading
from interp.commands.output import print_json
from interp.commands.selectors import refuse, unique

KS = (16, 32, 64)
"""Features a vector that are tried unless others are asked for."""
EXPANSION, STEPS, BATCH = 4, 600, 1024
"""Features for each dimension; steps and vectors a step of training."""


def run_on_text(arguments: argparse.Namespace) -> int:
    """Trains and prints; with `--out` also writes the table and the autoencoders."""
    for flag in ("role", "seed", "stage", "step"):
        refuse(getattr(arguments, flag), f"--{flag}", "a text has no roles, seeds or stages")
    for flag, given in (("--site", arguments.site), ("--layer", arguments.layer)):
        if given is not None and len(given) != 1:
            raise InputError(f"{flag} was given {len(given)} times; a text is read at one site")
    text = _text(arguments.text)

    from interp.dictionaries.texts import N_TOKENS, fit_on_text
    from interp.dictionaries.training import FitSettings, require_fitting
    from interp.hooked.addresses import Site, check_site_name
    from interp.hooked.devices import CPU
    from interp.hooked.model import load_hooked_folder
    from training.files import require_writable

    if arguments.out is not None:
        require_writable(arguments.out)
    name = (arguments.site or ["resid_post"])[0]
    check_site_name(name)
    model = load_hooked_folder(arguments.folders[0], device=arguments.device or CPU)
    site = Site(name, (arguments.layer or [model.n_layers // 2])[0])
    settings = [
        FitSettings(
            n_features=arguments.features or EXPANSION * model.d_model,
            k=k,
            sparsity=arguments.kind,
            is_nested=arguments.matryoshka,
            n_steps=arguments.steps or STEPS,
            batch_size=BATCH,
        )
        for k in unique(sorted(arguments.k or KS))
    ]
    for each in settings:
        require_fitting(each, width=model.d_model, n_vectors=2)
    fitted = fit_on_text(
        model, text, site, settings,
        n_tokens=arguments.tokens or N_TOKENS,
        tell=lambda words: print(f"sae: {words}", file=sys.stderr, flush=True),
    )  # fmt: skip
    if arguments.out is not None:
        _write(arguments.out, fitted)
    if arguments.json:
        print_json({"analysis": "dictionaries", "table": fitted.table.to_dict("records")})
        return 0
    print(f"{site.name} of layer {site.layer} on tokens held out:")
    print(fitted.table.round(3).to_string(index=False))
    return 0


def _text(path: Path) -> str:
    with reading(path, "give a text in UTF-8", InputError):
        return path.read_text("utf-8")


def _write(folder: Path, fitted: object) -> None:
    """Table and autoencoders, together or not at all."""
    from safetensors.numpy import save

    from interp.dictionaries.texts import FittedOnText
    from training.files import table_bytes
    from training.runs.publication import publish

    assert isinstance(fitted, FittedOnText)
    arrays = {
        f"{k}/{part}": array
        for k, dictionary in fitted.dictionaries.items()
        for part, array in dictionary.arrays().items()
    }
    files = {
        "dictionaries.parquet": table_bytes(fitted.table),
        "dictionaries_vectors.safetensors": save(arrays),
    }
    publish([folder], lambda: {folder: files})
