"""What was measured of single checkpoints, kept as soon as it is, until a whole grid is there.

A grid of hours may be killed in the middle; what it had measured by then is found again by the
name of its folder, a hash of everything that the numbers follow from: the analysis with all its
settings, the run's config, the seed and the checkpoint.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.files import MANIFEST, damage, new_folder, table_bytes

TABLE, VECTORS, WITHDRAWN = "table.parquet", "vectors.safetensors", "withdrawn.json"


def place_of(folder: Path, follows_from: Mapping[str, Any]) -> Path:
    """Where a measurement is kept.

    Args:
        folder: Of all that is kept.
        follows_from: All that the numbers depend on, as JSON has it.
    """
    text = json.dumps(follows_from, sort_keys=True, default=str)
    return folder / hashlib.sha256(text.encode()).hexdigest()[:20]


def is_kept(place: Path) -> bool:
    """Whether a measurement is there, and is what was written; a damaged one is made anew."""
    return (place / MANIFEST).is_file() and not damage(place)


def keep(
    place: Path,
    table: pd.DataFrame,
    vectors: Mapping[str, np.ndarray],
    withdrawn: Sequence[Mapping[str, object]],
) -> None:
    """Writes a measurement, in one step; one that another process has just written stays."""
    from safetensors.numpy import save

    if place.is_dir() and not is_kept(place):
        shutil.rmtree(place)
    try:
        with new_folder(place) as new:
            (new / TABLE).write_bytes(table_bytes(table))
            (new / WITHDRAWN).write_text(json.dumps(list(withdrawn)))
            arrays = {name: np.ascontiguousarray(vector) for name, vector in vectors.items()}
            (new / VECTORS).write_bytes(save(arrays))
    except OSError:
        if not is_kept(place):
            raise


def load_kept(
    place: Path,
) -> tuple[pd.DataFrame, dict[str, np.ndarray], tuple[dict[str, object], ...]]:
    """Table, vectors and withdrawn coordinates of a measurement that is kept."""
    from safetensors.numpy import load

    table = pd.read_parquet(place / TABLE)
    withdrawn = json.loads((place / WITHDRAWN).read_text())
    return table, load((place / VECTORS).read_bytes()), tuple(withdrawn)
