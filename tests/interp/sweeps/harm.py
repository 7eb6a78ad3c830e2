"""What can befall the folder of a sweep, and what is said of it."""

import shutil
from collections.abc import Callable
from pathlib import Path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchange_cells(folder: Path) -> None:
    one, other = sorted((folder / "cells").iterdir())
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)


def first_cell(folder: Path) -> Path:
    return min((folder / "cells").iterdir())


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed sweep.json": (lambda f: flip(f / "sweep.json"), "sweep.json does not match"),
    "no sweep.json": (lambda f: (f / "sweep.json").unlink(), "sweep.json is missing"),
    "a changed joined table": (lambda f: flip(f / "lens.parquet"), "lens.parquet does not match"),
    "a lost joined table": (lambda f: (f / "cells.parquet").unlink(), "cells.parquet is missing"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
    "a manifest that is none": (lambda f: (f / "manifest.json").write_text("["), "is unreadable"),
    "a stray file": (lambda f: (f / "notes.txt").write_text(""), "notes.txt is not in the"),
    "a stray folder": (lambda f: shutil.copytree(f / "cells", f / "more"), "is not in the man"),
    "a stray file among cells": (
        lambda f: (f / "cells" / "notes.txt").write_text(""),
        "notes.txt is no cell of the sweep",
    ),
    "an extra cell": (
        lambda f: shutil.copytree(first_cell(f), f / "cells" / "extra"),
        "extra is no cell of the sweep",
    ),
    "a lost cell": (lambda f: shutil.rmtree(first_cell(f)), " is missing"),
    "no cells": (lambda f: shutil.rmtree(f / "cells"), " is missing"),
    "a hollow cell": (lambda f: (shutil.rmtree(c := first_cell(f)), c.mkdir()), "is no run folder"),
    "cells that changed places": (exchange_cells, " holds run "),
    "a changed run.json": (lambda f: flip(first_cell(f) / "run.json"), "run.json does not match"),
    "no run.json": (lambda f: (first_cell(f) / "run.json").unlink(), "run.json is missing"),
    "a changed table of a cell": (lambda f: flip(first_cell(f) / "lens.parquet"), "does not match"),
}
FOREIGN: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a run's": (lambda f, s: shutil.copytree(first_cell(s), f), "holds a run, not a sweep"),
    "a run's null twin's": (
        lambda f, s: shutil.copytree(first_cell(s) / "seed-1000", f),
        "is not empty and no sweep's",
    ),
    "another sweep's": (
        lambda f, s: (
            shutil.copytree(s, f),
            (f / "manifest.json").unlink(),
            (f / "sweep.json").write_text((f / "sweep.json").read_text().replace("two-o", "o")),
        ),
        "holds the sweep orders, not two-orders",
    ),
    "another sweep's, not finished": (
        lambda f, s: shutil.copytree(s / "cells", f / "cells" / "another"),
        "another is no cell of two-orders",
    ),
    "with other files": (
        lambda f, s: (f.mkdir(), (f / "thesis.tex").write_text("")),
        "is not empty and no sweep's",
    ),
    "with a file named cells": (
        lambda f, s: (f.mkdir(), (f / "cells").write_text("")),
        "is not empty and no sweep's",
    ),
    "a file": (lambda f, s: f.write_text(""), "is a file, not a folder"),
    "with stray files among its cells": (
        lambda f, s: (shutil.copytree(s, f), (f / "cells" / "notes.txt").write_text("")),
        "notes.txt is no cell of two-orders",
    ),
    "within a run's": (
        lambda f, s: shutil.copytree(first_cell(s), f.parent, dirs_exist_ok=True),
        r"which has a run.json",
    ),
    "within a sweep's": (
        lambda f, s: shutil.copytree(s, f.parent, dirs_exist_ok=True),
        "which has a sweep.json",
    ),
}
