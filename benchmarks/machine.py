"""What a benchmark ran on, and both sides of a comparison timed in turn."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version


def describe_machine(*packages: str) -> str:
    """One line: date, processor, cores, versions."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    date = datetime.now(UTC).date().isoformat()
    return f"{date}, {processor}, {os.cpu_count()} cores, one thread; {versions}"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Medians over the rounds, in seconds; CPU seconds suffer less from neighbours than wall."""

    wall: float
    cpu: float


def time_in_turn(sides: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, Timing]:
    """Runs every side once per round, in turn, so that a drifting machine is fair to all."""
    walls: dict[str, list[float]] = {name: [] for name in sides}
    cpus: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {
        name: Timing(wall=statistics.median(walls[name]), cpu=statistics.median(cpus[name]))
        for name in sides
    }
