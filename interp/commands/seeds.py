"""Which Stage-1 seeds a command trains: `--seeds` of `run` and `sweep`."""

import argparse
import re

from data.errors import InputError
from training.config import LARGEST_SEED, MOST_SEEDS

FIRST_SEED = 1000
"""Seeds below were used to choose hyper-parameters; reported figures use seeds from here on."""
DEFAULT_SEEDS, SMOKE_SEEDS = "8", "2"


def read_seeds(arguments: argparse.Namespace) -> tuple[int, ...]:
    """The seeds of `--seeds`, or the default: fewer under `--smoke`."""
    default = SMOKE_SEEDS if arguments.smoke else DEFAULT_SEEDS
    return parse_seeds(default if arguments.seeds is None else arguments.seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads `N` (seeds 1000 to 1000+N-1) or `A:B` (seeds A to B-1).

    Raises:
        InputError: the text is neither, or there is no seed in it.

    >>> parse_seeds("2"), parse_seeds("5:7")
    ((1000, 1001), (5, 6))
    """
    if re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        first, end = FIRST_SEED, FIRST_SEED + int(text)
    elif match := re.fullmatch(r"(\d{1,20}):(\d{1,20})", text, re.ASCII):
        first, end = int(match[1]), int(match[2])
    else:
        raise InputError(f"--seeds {text} is no number of seeds; write 8, or 1008:1016")
    if end <= first:
        raise InputError(f"--seeds {text} holds no seed; write 8, or 1008:1016")
    if end - first > MOST_SEEDS or end > LARGEST_SEED:
        raise InputError(
            f"--seeds {text} are {end - first:,} seeds up to {end - 1:,}; a run holds at most "
            f"{MOST_SEEDS:,}, numbered below {LARGEST_SEED:,}"
        )
    return tuple(range(first, end))
