"""Ray Core on a real cluster of several nodes, all on this machine's loopback."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.errors import CellsFailedError, InputError
from training.executors.executor import Cell, Tally
from training.executors.ray import Ray

ray: Any = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.slow
STORE = {"object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without cores, so that cells run on the nodes that tests add."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, **STORE},
    )
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def two_nodes(cluster: Cluster) -> Iterator[tuple[Any, Any]]:
    nodes = [cluster.add_node(num_cpus=1, wait=True, **STORE) for _ in range(2)]
    yield nodes[0], nodes[1]
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)


def cells(tasks: list[Any], **sizes: int) -> list[Cell[Any]]:
    return [Cell(name=f"cell {i}", task=task, **sizes) for i, task in enumerate(tasks)]


def square(number: int, report: Callable[[int], None]) -> tuple[int, int]:
    report(1)
    return number**2, os.getpid()


def leave_a_mark(place: tuple[Path, float], report: Callable[[int], None]) -> str:
    """Notes that it began, and on which node; waits; notes that it ended."""
    path, seconds = place
    with path.open("a") as file:
        file.write(f"begun {ray.get_runtime_context().get_node_id()}\n")
    time.sleep(seconds)
    with path.open("a") as file:
        file.write("ended\n")
    return path.name


def fail(number: int, report: Callable[[int], None]) -> int:
    if number == 1:
        raise ValueError(f"no cell {number}")
    return number


def test_cells_run_elsewhere_and_results_are_in_their_order(two_nodes) -> None:
    told: list[tuple[int, int]] = []
    tallies: list[Tally] = []
    found = Ray().run(
        square, cells([3, 1, 2]), progress=lambda *both: told.append(both), watch=tallies.append
    )
    assert [number for number, _ in found] == [9, 1, 4]
    assert os.getpid() not in {pid for _, pid in found}
    assert told[-1] == (3, 3)
    assert tallies[-1] == Tally(done=3, running=0, failed=0, cells=3)
    assert max(tally.running for tally in tallies) == 2


def test_a_node_that_dies_loses_the_cell_that_it_was_at_and_no_other(
    cluster: Cluster, two_nodes, tmp_path: Path
) -> None:
    paths = [tmp_path / str(i) for i in range(6)]
    victim = two_nodes[0]
    killed: list[str] = []

    def kill_in_the_middle() -> None:
        """Once two cells are done and the node is at another."""
        end = time.monotonic() + 60
        while time.monotonic() < end and not killed:
            lines = [path.read_text().splitlines() for path in paths if path.exists()]
            if sum("ended" in each for each in lines) >= 2 and [f"begun {victim.node_id}"] in lines:
                killed.append(victim.node_id)
                cluster.remove_node(victim, allow_graceful=False)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    found = Ray().run(leave_a_mark, cells([(p, 1.0) for p in paths]))
    killer.join()
    assert found == [path.name for path in paths]
    assert killed
    marks = {path.name: path.read_text().splitlines() for path in paths}
    again = [name for name, lines in marks.items() if sum("begun" in x for x in lines) > 1]
    assert len(again) == 1  # it had one core
    assert marks[again[0]][0] == f"begun {victim.node_id}"
    assert marks[again[0]][1] != f"begun {victim.node_id}"
    assert all(lines.count("ended") == 1 for lines in marks.values())


def test_an_error_comes_back_as_it_was_and_others_go_on_where_tries_are_stated(two_nodes) -> None:
    with pytest.raises(ValueError, match="no cell 1"):
        Ray().run(fail, cells([0, 1, 2]))
    tallies: list[Tally] = []
    with pytest.raises(CellsFailedError, match="1 of 3 cells failed, tried 2 times each") as found:
        Ray().run(fail, cells([0, 1, 2]), retries=1, watch=tallies.append)
    assert found.value.failures == {"cell 1": "ValueError: no cell 1"}
    assert tallies[-1] == Tally(done=2, running=0, failed=1, cells=3)


def test_what_no_node_has_is_refused_at_once(two_nodes) -> None:
    with pytest.raises(InputError, match=r"a cell needs 0.5 GPU, no node .* leave out --gpus"):
        Ray(gpus=0.5).run(square, cells([1]))
    with pytest.raises(InputError, match="a cell needs 4 CPU, no node"):
        Ray().run(square, cells([1], threads=4))
    with pytest.raises(InputError, match=r"2 workers of 9 TB need 18 TB of memory, .* --workers 1"):
        Ray().run(square, cells([1, 2], memory=9 * 10**12), workers=2)


def test_an_interrupted_caller_leaves_no_cell_running(two_nodes, tmp_path: Path) -> None:
    def interrupt(tally: Tally) -> None:
        if tally.running == 2:
            time.sleep(0.5)
            signal.raise_signal(signal.SIGINT)

    paths = [tmp_path / str(i) for i in range(2)]
    with pytest.raises(KeyboardInterrupt):
        Ray().run(leave_a_mark, cells([(p, 3.0) for p in paths]), watch=interrupt)
    time.sleep(3.2)
    assert not any("ended" in path.read_text() for path in paths if path.exists())
