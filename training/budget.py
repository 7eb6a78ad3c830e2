"""What a run would take at the least, by arithmetic on its sizes, before anything of it is made.

The counts are lower bounds: a run that passes may still be slow or large, but one that this machine
could never hold is refused at once, with the sum that says so, and not after it has eaten its
memory.
"""

import os
import shutil
from pathlib import Path

from data.errors import InputError
from data.rows import DataSize
from data.vocabulary import LossPolicy
from training.config import RunConfig
from training.models.scratch import ModelConfig

BYTES_PER_ROW = 5_000
"""Bytes of a tokenized row in memory; measured on `alias-toy` (5,073)."""
BYTES_PER_WORD = 100
BYTES_PER_WEIGHT = 16
"""Bytes of a weight in training: float32 weight, gradient and two moments of the optimizer."""
BYTES_PER_PROCESS = 400_000_000
"""Bytes of a process that has imported what trains and measures; measured (410 to 450 million)."""
BYTES_IN_FILE = 4
"""Bytes of a float32 weight in a checkpoint."""
BYTES_PER_LAYER = 50_000
"""Bytes of the Python objects of one transformer block, however narrow."""
BYTES_PER_TOKEN = 9
"""Bytes of a token: an int64 id, and whether it is a target."""
SHORTEST_ROW = 3
"""Tokens of the shortest text that states or asks anything."""
SECONDS_PER_STEP = 1e-4
"""Seconds of a step that is faster than any of any model here."""
YEAR = 365.25 * 24 * 3600


def require_affordable(config: RunConfig) -> None:
    """Refuses a run that this machine cannot hold, or that would not end.

    Raises:
        InputError: the machine cannot hold the run; the message has the arithmetic.
    """
    memory, size = machine_memory(), size_of(config)
    parts = _parts(config, size)
    what, most = max(parts.items(), key=lambda part: part[1])
    if sum(parts.values()) > memory:
        raise InputError(
            f"the run needs {in_bytes(sum(parts.values()))} of memory or more ({what} make "
            f"{in_bytes(most)}), this machine has {in_bytes(memory)}; lower the size"
        )
    _require_end(config, size.shown)


def process_bytes(config: RunConfig) -> int:
    """Bytes of memory that a process which trains a seed needs at the least."""
    return BYTES_PER_PROCESS + sum(_parts(config, size_of(config)).values())


def _parts(config: RunConfig, size: DataSize) -> dict[str, int]:
    """Bytes of data and model, by what they are of."""
    parts = {f"{size.rows:,} rows of {BYTES_PER_ROW:,} bytes": size.rows * BYTES_PER_ROW}
    parts[f"{size.words:,} words of {BYTES_PER_WORD} bytes"] = size.words * BYTES_PER_WORD
    length = config.block_size if config.loss_policy is LossPolicy.ALL else SHORTEST_ROW
    parts[f"{size.shown:,} examples of {length:,} tokens"] = size.shown * length * BYTES_PER_TOKEN
    if (model := _described(config)) is not None:
        parts |= _model_parts(model, size.words)
    return parts


def size_of(config: RunConfig) -> DataSize:
    """What the data says of its own size; a size of nothing if it says none."""
    told = getattr(config.data, "size", None)
    return DataSize(rows=0, shown=0) if told is None else told()


def _described(config: RunConfig) -> ModelConfig | None:
    """The sizes of a model from scratch, taught in Stage 0 or not; None of one from elsewhere."""
    model = getattr(config.model, "sizes", config.model)
    return model if isinstance(model, ModelConfig) else None


def _model_parts(model: ModelConfig, n_words: int) -> dict[str, int]:
    blocks, rows = _weights_of(model, n_words)
    return {
        f"{model.n_layers:,} blocks of d_model {model.d_model:,} and d_mlp {model.d_mlp:,}": (
            blocks * BYTES_PER_WEIGHT + model.n_layers * BYTES_PER_LAYER
        ),
        f"{n_words:,} embedding rows of d_model {model.d_model:,}": rows * BYTES_PER_WEIGHT,
    }


def _weights_of(model: ModelConfig, n_words: int) -> tuple[int, int]:
    """Weights of the blocks' matrices and of the embeddings; biases and norms are left out."""
    blocks = model.n_layers * (4 * model.d_model**2 + 2 * model.d_model * model.d_mlp)
    return blocks, n_words * model.d_model * (1 if model.tied_embeddings else 2)


def _require_end(config: RunConfig, shown: int) -> None:
    """Refuses a training of more steps than years have room for."""
    for stage in (config.stage1, config.stage2):
        steps = stage.epochs * max(1, shown // stage.batch_size)
        years = steps * SECONDS_PER_STEP / YEAR
        if years > 1:
            raise InputError(
                f"{stage.epochs:,} epochs are {steps:,} steps or more, {years:,.0f} years at "
                f"{SECONDS_PER_STEP * 1e3:g} ms a step; lower the epochs"
            )


def seed_bytes(config: RunConfig) -> int:
    """Bytes of the checkpoints of a seed: at least the first and last of each stage.

    Counted for models that are described by their sizes; 0 for others.
    """
    model = _described(config)
    if model is None:
        return 0
    n_checkpoints = 2 * (1 + config.seeds_stage2)
    return BYTES_IN_FILE * sum(_weights_of(model, size_of(config).words)) * n_checkpoints


def require_disk(folder: Path, n_seeds: int, bytes_per_seed: int) -> None:
    """Refuses more seeds than the disk has room for.

    Raises:
        InputError: the disk has no room; the message has the arithmetic.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    disk = shutil.disk_usage(existing)
    free = disk.free
    if disk.total and n_seeds * bytes_per_seed > free:
        raise InputError(
            f"{n_seeds:,} seeds of {in_bytes(bytes_per_seed)} of checkpoints or more make "
            f"{in_bytes(n_seeds * bytes_per_seed)}, {existing} has {in_bytes(free)} left; ask for "
            "fewer seeds, or choose another disk with --out"
        )


def require_room(workers: int, each: int, memory: int, place: str) -> None:
    """Refuses more workers than there is memory for.

    Args:
        workers: At once.
        each: Bytes that one needs, 0 if that is not known.
        memory: Bytes that there are.
        place: Where, in words.

    Raises:
        InputError: the memory does not suffice; the message has the arithmetic.
    """
    if workers > 1 and workers * each > memory:
        raise InputError(
            f"{workers:,} workers of {in_bytes(each)} need {in_bytes(workers * each)} of memory, "
            f"{place} has {in_bytes(memory)}; use --workers {max(1, memory // each)} or fewer"
        )


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def in_bytes(n: int) -> str:
    """A number of bytes as a person reads it.

    >>> in_bytes(950), in_bytes(25_000_000_000), in_bytes(10**19)
    ('950 B', '25 GB', '10,000 PB')
    """
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = min(max((len(str(n)) - 1) // 3, 0), len(units) - 1)
    return f"{n // 1000**power:,} {units[power]}"
