"""On which device does an analysis compute, and is it there?"""

import re

import torch

from data.errors import InputError

CPU = "cpu"
_NAME = re.compile(r"cpu|mps|cuda(?::(\d{1,3}))?")


def require_device(name: str) -> None:
    """Refuses a device that this machine lacks.

    Raises:
        InputError: it is no device's name, or there is none of it here.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name} is no device; use cpu, cuda, cuda:N or mps")
    if name.startswith("cuda"):
        n_gpus, place = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
        if place >= n_gpus:
            known = f"it has {n_gpus}" if n_gpus else "torch sees none"
            raise InputError(f"this machine has no device {name} ({known}); use --device cpu")
    elif name == "mps" and not torch.backends.mps.is_available():
        raise InputError("this machine has no device mps; use --device cpu")
