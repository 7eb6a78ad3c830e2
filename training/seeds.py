"""Seeds derived from a run's seed, for one purpose each."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that no two uses of a seed share a random stream."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
