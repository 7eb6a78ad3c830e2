"""What can befall a file of a run."""

import random
from pathlib import Path


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def add(path: Path, rng: random.Random) -> None:
    path.with_name(rng.choice(["pytorch_model.bin", "notes.txt", "step-5"])).write_text("new")
