"""The executor `ray`: the nodes of a Ray cluster, or the cores of this machine through Ray.

All nodes see the folders of the runs under the same paths, as on a shared disk. A cell whose
process or node dies is begun again, on whatever node has room; like every cell, it goes on from
what is on disk. Results are fetched as soon as they are there, so a node that dies costs the cells
that it was at.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from data.errors import InputError, WorkerDiedError, reason_of
from training.budget import require_room
from training.carried import Done, Failed, Grouped, attempt, packed, unpacked
from training.cell_book import Book
from training.executors.executor import (
    Cell,
    Progress,
    Report,
    Result,
    Task,
    Watch,
    largest,
    optional_package,
    tell_nobody,
    watch_nothing,
)

LOSSES = 3
"""How often a cell is begun again that was lost with its process or node."""
LOOKS_EVERY_S = 0.5
ANSWERS_WITHIN_S = 5.0
"""So long the head of a cluster may take to be reached, and cells to be stopped."""
OBJECT_STORE = 200_000_000
"""Bytes for results on the way, of a cluster on this machine; more than that goes to the disk."""


@dataclass(frozen=True, kw_only=True)
class Ray:
    """A Ray cluster: one that is there, or one on this machine for as long as it is needed."""

    address: str = ""
    """HOST:PORT of the head of a cluster that is there, or `auto` on one of its nodes."""
    gpus: float = 0.0
    """GPUs for each cell; .25 for four cells on one."""

    def run(
        self,
        work: Callable[[Task, Report], Result],
        cells: Sequence[Cell[Task]],
        *,
        workers: int | None = None,
        progress: Progress = tell_nobody,
        retries: int | None = None,
        watch: Watch = watch_nothing,
    ) -> list[Result]:
        """Carries out cells as `Executor.run` says; as many at once as the cluster has room for."""
        book = Book[Task, Result](
            cells, progress=progress, retries=retries, watch=watch, losses=LOSSES
        )
        if cells:
            self.require_there()
            ray = optional_package("ray")
            with _connected(ray, self.address):
                _carry_out_all(ray, work, book, self.gpus, workers)
        return book.results

    def require_there(self) -> None:
        """See `training.executors.executor.Elsewhere`."""
        if find_spec("ray") is None:
            optional_package("ray")
        _require_head(self.address)


EXECUTOR = Ray()


# ---- in the process that was asked -----------------------------------------------------------


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Ray as this process has it already, else the cluster of the address, else one of its own.

    Ray puts a handler of its own in the place of that for SIGTERM, which is given back.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    own = {
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE,
        "_node_ip_address": "127.0.0.1",
    }
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or "local", **quiet, **({} if address else own))
    except Exception as error:
        raise InputError(
            f"no Ray cluster at {address or 'this machine'} ({reason_of(error)}); start one with "
            "ray start --head, or leave out --address"
        ) from error
    finally:
        with suppress(ValueError):  # not the main thread, whose handlers are not ours
            signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _require_head(address: str) -> None:
    """Refuses an address where nobody answers, for which Ray would wait a minute.

    Raises:
        InputError: nobody answers, or the address is none.
    """
    if address in ("", "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        raise InputError(f"--address {address} is no HOST:PORT; name the head of a Ray cluster")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster at {address} ({reason_of(error)}); start one there with ray start "
            "--head, or leave out --address"
        ) from None


def _carry_out_all(
    ray: Any,
    work: Callable[[Task, Report], Result],
    book: Book[Task, Result],
    gpus: float,
    workers: int | None,
) -> None:
    """Keeps as many cells running as there is room for; begins again what is lost."""
    threads = max(cell.threads for cell in book.cells)
    needs = {"CPU": float(threads), "GPU": gpus}
    _require_resources(ray, needs)
    require_room(
        min(workers or 1, len(book.cells)),
        largest(book.cells),
        int(ray.cluster_resources().get("memory", 0)),
        "the cluster",
    )
    heard = ray.remote(num_cpus=0)(_Heard).options(scheduling_strategy=_here(ray)).remote()
    remote = ray.remote(
        num_cpus=threads, num_gpus=gpus, memory=largest(book.cells) or None, max_retries=0
    )(_carry_out)
    running: dict[Any, int] = {}
    places = [os.path.abspath(place) for place in sys.path]
    try:
        while book.waiting or running:
            room = _slots(ray, needs, workers) - len(running)
            for _ in range(min(room, len(book.waiting))):
                index = book.take()
                order = packed((work, book.cells[index].task))
                running[remote.remote(order, places, index, heard)] = index
            if not running:
                raise WorkerDiedError(
                    "no node of the cluster that has room for a cell is left; start nodes and "
                    "repeat the command: no finished cell is run again"
                )
            ended, _ = ray.wait(list(running), timeout=LOOKS_EVERY_S)
            for index, units in ray.get(heard.drain.remote()):
                if index in book.running:
                    book.add(index, units)
            for reference in ended:
                _enter(ray, book, running.pop(reference), reference)
    finally:
        _stop(ray, list(running))
        ray.kill(heard)


def _enter(ray: Any, book: Book[Any, Any], index: int, reference: Any) -> None:
    """Puts what became of a cell into the book."""
    try:
        said = ray.get(reference)
    except ray.exceptions.RayError as error:
        return book.lose(index, f"its process or node died ({type(error).__name__})")
    if isinstance(said, Failed):
        return book.fail(index, said.error)
    return book.finish(index, said.result)


def _require_resources(ray: Any, needs: dict[str, float]) -> None:
    """Refuses a cell for which no node is large enough.

    Raises:
        InputError: there is no such node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, least in needs.items():
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if least > most:
            remedy = "leave out --gpus" if name == "GPU" else "use fewer threads"
            raise InputError(
                f"a cell needs {least:g} {name}, no node of the Ray cluster has more than "
                f"{most:g}; start larger nodes, or {remedy}"
            )


def _slots(ray: Any, needs: dict[str, float], workers: int | None) -> int:
    """Cells for which the nodes that are alive have room."""
    slots = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            slots += min(int(has.get(name, 0.0) / n) for name, n in needs.items() if n)
    return min(slots, workers) if workers else slots


def _here(ray: Any) -> Any:
    """Puts an actor onto the node of this process, which outlives the call."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _stop(ray: Any, running: list[Any]) -> None:
    """Ends the processes of cells, and waits until they are gone."""
    for reference in running:
        ray.cancel(reference, force=True)
    if running:
        ray.wait(running, num_returns=len(running), timeout=ANSWERS_WITHIN_S)


# ---- on a node -------------------------------------------------------------------------------


class _Heard:
    """Keeps what cells report until it is asked for."""

    def __init__(self) -> None:
        self._units: list[tuple[int, int]] = []

    def add(self, index: int, units: int) -> None:
        """A cell has done so many units more."""
        self._units.append((index, units))

    def drain(self) -> list[tuple[int, int]]:
        """All that was reported since this was last asked."""
        units, self._units = self._units, []
        return units


def _carry_out(order: bytes, places: list[str], index: int, heard: Any) -> Done | Failed:
    """Does a cell's work; what it raises is a result, too, so that its type and text stay.

    Args:
        order: The work and its task.
        places: Where the process that asks finds modules, such as a file that somebody wrote.
        index: Of the cell.
        heard: What its units are reported to.
    """
    sys.path += [place for place in places if place not in sys.path]
    work, task = unpacked(order)
    return attempt(work, task, Grouped(lambda units: heard.add.remote(index, units)))
