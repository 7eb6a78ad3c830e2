"""What may be wrong with this machine: a function a check, each with its remedy.

Nothing large is imported: versions are read from the metadata of what is installed.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

PACKAGE = "iml-workbench"
SHOWN = ("torch", "transformers", "transformer-lens", "numpy", "pandas", "plotly")
"""Packages whose versions are told where nothing is wrong."""
LEAST_DISK_GB, LEAST_MEMORY_GB = 1.0, 1.0
EXTRAS = ("notebook", "docs")
"""What a person may want beyond what everything needs: notebooks; the site and stored pictures."""
PACKAGES = ("data", "training", "interp")


class State(StrEnum):
    """What a check came to."""

    OK = "ok"
    NOTE = "note"
    """Something to know that is not wrong."""
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one check found, and what to do about it."""

    name: str
    state: State
    found: str
    remedy: str = ""


def all_checks(folder: Path) -> list[Check]:
    """Every check; `folder` is where runs are to be written."""
    from data.user_cache import default_cache

    cache = default_cache()
    return [
        *([python_check(), *version_checks()] if _version(PACKAGE) else [absent_check()]),
        torchvision_check(),
        *([extra_check(extra) for extra in EXTRAS] if _version(PACKAGE) else []),
        disk_check("disk", folder),
        disk_check("cache disk", cache),
        cache_check(cache),
        cores_check(),
        memory_check(),
        gpu_check(),
        *shadow_checks(folder),
    ]


def absent_check() -> Check:
    """What is said where this program was not installed, so that nothing tells what it needs."""
    found = f"{PACKAGE} is not installed, so what it needs is not known"
    remedy = "pip install -e . in its folder"
    return Check(name="packages", state=State.PROBLEM, found=found, remedy=remedy)


def python_check() -> Check:
    """Is this Python new enough?"""
    from importlib.metadata import metadata

    from packaging.specifiers import SpecifierSet

    wanted, here = metadata(PACKAGE)["Requires-Python"], platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        return Check(name="python", state=State.OK, found=f"{here} ({wanted})")
    remedy = f"make an environment with Python {wanted}"
    return Check(name="python", state=State.PROBLEM, found=f"{here}, not {wanted}", remedy=remedy)


def version_checks() -> list[Check]:
    """Are the packages here that this one needs, in versions that it was tried with?"""
    wrong = [check for name, bounds in _requirements("") if (check := _misfit(name, bounds))]
    if wrong:
        return wrong
    shown = ", ".join(f"{name} {version(name)}" for name in SHOWN)
    n_packages = len(list(_requirements("")))
    found = f"{n_packages} packages fit: {shown} ..."
    return [Check(name="packages", state=State.OK, found=found)]


def torchvision_check() -> Check:
    """Is torchvision absent, or made for the torch that is here? Else TransformerLens breaks."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    here, torch = _version("torchvision"), _version("torch")
    if here is None or torch is None:
        return Check(name="torchvision", state=State.OK, found="not installed, and not needed")
    wanted = [Requirement(each) for each in requires("torchvision") or ()]
    bounds = [each.specifier for each in wanted if each.name == "torch"]
    built_for, build = Version(here).local, Version(torch).local
    public = Version(torch).public
    fits = all(each.contains(public, prereleases=True) for each in bounds) and build == built_for
    found = f"torchvision {here} beside torch {torch}"
    if fits:
        return Check(name="torchvision", state=State.OK, found=found)
    remedy = "pip uninstall torchvision (nothing here needs it)"
    return Check(
        name="torchvision",
        state=State.PROBLEM,
        found=f"{found}, for which it was not built: TransformerLens cannot be imported",
        remedy=remedy,
    )


def extra_check(extra: str) -> Check:
    """Are the packages of an extra here?"""
    wrong = [check for name, bounds in _requirements(extra) if (check := _misfit(name, bounds))]
    if not wrong:
        return Check(name=f"extra {extra}", state=State.OK, found="installed")
    return Check(
        name=f"extra {extra}",
        state=State.NOTE,
        found="; ".join(f"{check.name} {check.found}" for check in wrong),
        remedy=f"for it: pip install '{PACKAGE}[{extra}]'",
    )


def disk_check(name: str, folder: Path) -> Check:
    """Is there room where something is to be written?"""
    existing = _existing(folder)
    free = shutil.disk_usage(existing).free / 2**30
    found = f"{free:.1f} GiB free at {existing}"
    if free >= LEAST_DISK_GB:
        return Check(name=name, state=State.OK, found=found)
    remedy = "free some space, or write elsewhere (--out)"
    if name != "disk":
        remedy = "free some space, or set XDG_CACHE_HOME"
    return Check(name=name, state=State.PROBLEM, found=found, remedy=remedy)


def cache_check(folder: Path) -> Check:
    """Can the cache of what was read of large files be written?"""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Check(name="cache", state=State.OK, found=str(folder))
    except OSError as error:
        return Check(
            name="cache",
            state=State.PROBLEM,
            found=f"{folder} cannot be written ({error.strerror}), so large tables are read anew",
            remedy="make it writable, or set XDG_CACHE_HOME to a folder that is",
        )


def cores_check() -> Check:
    """How many workers run side by side, and how many threads does the environment ask for?"""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "").strip()
    said = f"OMP_NUM_THREADS={threads}" if threads else "OMP_NUM_THREADS not set"
    return Check(name="cores", state=State.OK, found=f"{cores} usable, as many workers; {said}")


def memory_check() -> Check:
    """Is there memory for at least one worker?"""
    free = _free_memory()
    if free is None:
        found, remedy = "how much is free is not known", "look yourself if workers are killed"
        return Check(name="memory", state=State.NOTE, found=found, remedy=remedy)
    gib = free / 2**30
    if gib >= LEAST_MEMORY_GB:
        return Check(name="memory", state=State.OK, found=f"{gib:.1f} GiB free")
    return Check(
        name="memory",
        state=State.PROBLEM,
        found=f"{gib:.1f} GiB free, less than a worker takes",
        remedy="end other programs, or use --workers 1",
    )


def gpu_check() -> Check:
    """Is there a GPU, and a torch that can use it?"""
    torch = _version("torch") or ""
    has_driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")
    if has_driver and torch.endswith("+cpu"):
        return Check(
            name="gpu",
            state=State.NOTE,
            found=f"an NVIDIA driver, which torch {torch} cannot use",
            remedy="for --device cuda: install a CUDA build of torch",
        )
    if has_driver:
        return Check(name="gpu", state=State.OK, found="an NVIDIA driver: --device cuda")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Check(name="gpu", state=State.OK, found="Apple's: --device mps")
    return Check(name="gpu", state=State.OK, found="none: everything runs on the CPU")


def shadow_checks(folder: Path) -> list[Check]:
    """Does a module of the working folder, or of the search path, hide one of ours?"""
    home = Path(__file__).parents[2]
    checks = []
    for name in PACKAGES:
        spec = PathFinder.find_spec(name, [str(folder), *sys.path])
        place = Path(spec.origin).resolve() if spec and spec.origin else home / name
        if home / name not in (place, *place.parents):
            remedy = f"rename it: a script started beside it imports it instead of {PACKAGE}'s"
            found = f"{place} hides our package {name}"
            checks.append(Check(name="names", state=State.PROBLEM, found=found, remedy=remedy))
    return checks or [Check(name="names", state=State.OK, found="no module here hides ours")]


def _requirements(extra: str) -> "Iterator[tuple[str, str]]":
    """Names and bounds of what this package needs, of an extra or without any."""
    from packaging.requirements import Requirement

    for text in requires(PACKAGE) or ():
        each = Requirement(text)
        if extra:
            is_meant = each.marker is not None and each.marker.evaluate({"extra": extra})
        else:
            is_meant = each.marker is None or each.marker.evaluate({"extra": ""})
        if is_meant:
            yield each.name, str(each.specifier)


def _misfit(name: str, bounds: str) -> Check | None:
    """What is wrong with a package; None if nothing is."""
    from packaging.specifiers import SpecifierSet

    here = _version(name)
    if here is not None and SpecifierSet(bounds).contains(here, prereleases=True):
        return None
    found = "is missing" if here is None else f"{here}, not {bounds}"
    remedy = f"pip install '{name}{bounds}'"
    return Check(name=name, state=State.PROBLEM, found=found, remedy=remedy)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.resolve()
    return next(each for each in (folder, *folder.parents) if each.exists())


def _free_memory() -> int | None:
    """Bytes that programs may still take, also of a container; None where nobody says."""
    known = []
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        known += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        limit, used = (
            Path(f"/sys/fs/cgroup/memory.{each}").read_text() for each in ("max", "current")
        )
        known += [int(limit) - int(used)]
    except (OSError, ValueError):  # no Linux, or a container without a limit
        pass
    return min(known, default=None)
