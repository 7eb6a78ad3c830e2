"""Run folders with one spoiled file, some re-vouched for by a rewritten manifest."""

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from tests.hostile.trials import SPOILERS, Trial, Workshop, spoil, spoiled_json

RUN_KEYS = ["recipe", "parameters", "seeds", "data_sha256", "versions", "format_version"]
READ_BY = {
    "run.json": ("summary", "data", "verify", "report", "lens"),
    "summary.json": ("summary", "verify"),
    "metrics.parquet": ("summary", "verify", "report"),
    "manifest.json": ("verify",),
}
"""The commands that cannot do without a file."""
CHECKPOINT_FILES = ("config.json", "model.safetensors", "manifest.json")


def with_spoiled_file(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A file that the command needs, gone or unreadable."""
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    name = rng.choice(sorted(READ_BY))
    command = rng.choice(READ_BY[name])
    spoil(run / name, rng.choice(SPOILERS), rng)
    return Trial(words=_words(command, run))


def with_spoiled_json(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A `run.json` or `summary.json` that is no JSON, or not what it should be."""
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    name = rng.choice(["run.json", "summary.json"])
    content = json.loads((run / name).read_text())
    required = RUN_KEYS if name == "run.json" else ["iml_gap", "stage1_gap", "ocl_gap"]
    (run / name).write_bytes(spoiled_json(content, required, rng))
    command = rng.choice(READ_BY[name][:2])
    if (
        rng.random() < 0.5 and command != "verify"
    ):  # which compares with the manifest, and reads not
        vouch(run, name)
    return Trial(words=_words(command, run))


def with_spoiled_checkpoint(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A checkpoint whose config, weights or manifest cannot be read."""
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    checkpoints = sorted(run.glob("seed-*/stage-1/step-*"), key=lambda p: int(p.name[5:]))
    checkpoint = checkpoints[-1]
    name = rng.choice(CHECKPOINT_FILES)
    if name == "config.json" and rng.random() < 0.6:
        config = json.loads((checkpoint / name).read_text())
        keys = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
        (checkpoint / name).write_bytes(spoiled_json(config, [*keys, "intermediate_size"], rng))
    else:
        spoil(checkpoint / name, rng.choice(SPOILERS), rng)
    if name != "manifest.json" and (checkpoint / name).is_file() and rng.random() < 0.5:
        vouch(checkpoint, name)
        return Trial(words=_words("lens", run))
    return Trial(words=_words(rng.choice(["lens", "verify"]), run))


def with_spoiled_table(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A table of another shape than it should have; its manifest says that it is right."""
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    path = run / "metrics.parquet"
    table = pd.read_parquet(path)
    column = rng.choice(["seed", "stage", "step", "subset", "metric", "value"])
    ways: list[Any] = [
        lambda: table.drop(columns=column),
        lambda: table.iloc[:0],
        lambda: table.assign(**{column: [[1, 2]] * len(table)}),
        lambda: table.assign(**{column: b"\x00\xff"}),
        lambda: table[["value"]],
    ]
    rng.choice(ways)().to_parquet(path, index=False)
    vouch(run, path.name)
    return Trial(words=_words("summary", run))


def under_a_strange_name(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A run that is fine, in a folder whose name holds control characters."""
    name = rng.choice(
        ["esc\x1b[2Jape", "two\nlines", "bell\x07", "tab\tbed", "ünï", "a b", "x" * 200]
    )
    run = Path(shutil.copytree(workshop.run, folder / name))
    words = [rng.choice(["summary", "verify", "data"]), str(run)]

    def check(printed: str) -> None:
        assert not set(printed) & {"\x1b", "\x07", "\r", "\x00"}
        assert "two\nlines" not in printed

    return Trial(words=words, check=check)


def _words(command: str, run: Path) -> list[str]:
    few = ["--layer", "0", "--role", "alias_last"] if command == "lens" else []
    return [command, str(run), *few]


def vouch(folder: Path, name: str) -> None:
    """Rewrites a file's checksum in the manifest beside it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    for home in (manifest, manifest.get("files")):
        if isinstance(home, dict) and name in home:
            home[name] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))
