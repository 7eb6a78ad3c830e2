"""Executes notebooks and stores their outputs, so that a reader of the repository sees figures.

    python -m notebooks.store              all of them, as `make notebooks` does
    python -m notebooks.store 02 05        those whose names begin so

Beside each plotly figure stands a PNG, which GitHub and `nbconvert` show without a script; kaleido
draws it, with a Chromium that is on PATH or that BROWSER_PATH names. Stored are no times, paths or
progress, so that storing twice on one machine gives the same bytes. A notebook's metadata names the
runs that it read, with a sha256 of their measurements: from others come other numbers.
"""

import base64
import hashlib
import io
import json
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import numpy as np
import plotly.io
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from interp.figures.room import PAGE
from training.runs.ledger import VARIABLE
from training.runs.run import Run

FOLDER = Path(__file__).parent
PLOTLY, PNG = "application/vnd.plotly.v1+json", "image/png"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDTH, DEFAULT_HEIGHT = int(PAGE), 450
"""Of a PNG, in pixels: what texts have room in. A figure says its height itself."""
MOST_COLORS = 256
DIGITS = 5
"""Significant ones of the numbers of a stored figure."""
MOST_JSON = 200_000
"""A figure with more characters is stored as a PNG only."""
SECONDS = 1800
"""The most that one cell may take, as the one that trains a run."""
STAND_IN = "for figure in Out[{}].figures.values():\n    display(figure)"
"""What is shown in a widget's place, which needs a kernel: the figures that it begins with."""


def main(names: list[str]) -> None:
    """Stores the notebooks whose names begin with one of the names; all without a name."""
    import kaleido  # of the extra `docs`; whoever only compares needs none

    kaleido.start_sync_server()  # one browser for all figures
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.name.startswith(tuple(names)):
            notebook = nbformat.read(path, as_version=4)
            execute(notebook, path.parent)
            stored(notebook, path.parent)
            path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n")
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    kaleido.stop_sync_server()


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Runs all cells in a new kernel, in a folder; figures come out as plotly's JSON only."""
    os.environ |= {"PLOTLY_RENDERER": "plotly_mimetype", "TQDM_DISABLE": "1"}
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,  # where a kernel cuts what is printed is chance
    )
    with TemporaryDirectory() as own, client.setup_kernel(env=_with_own_ledger(own)):
        for place, cell in enumerate(notebook.cells):
            client.execute_cell(cell, place)
        shown = [cell for cell in notebook.cells if _has(WIDGET, cell)]
        for cell in shown:
            notebook.cells.append(new_code_cell(STAND_IN.format(cell.execution_count)))
            client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            cell.outputs = notebook.cells.pop().outputs


def _with_own_ledger(folder: str) -> dict[str, str]:
    """The environment of a kernel: no stored verdict hangs on what one person froze and read."""
    return {**os.environ, VARIABLE: str(Path(folder) / "ledger.jsonl")}


def _has(kind: str, cell: NotebookNode) -> bool:
    return any(kind in output.get("data", {}) for output in cell.get("outputs", []))


def stored(notebook: NotebookNode, folder: Path) -> None:
    """Turns the outputs of an executed notebook into what is stored.

    Args:
        notebook: Changed in place.
        folder: In which it was executed.
    """
    notebook.metadata["runs"] = runs_of(notebook, folder)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # What is told on stderr is how far training is.
            kept = [each for each in cell.outputs if each.get("name") != "stderr"]
            cell.outputs = [_stored_output(each) for each in kept]


def runs_of(notebook: NotebookNode, folder: Path) -> dict[str, dict[str, str]]:
    """The runs that a notebook names as `"../runs/NAME"`: id, and sha256 of their measurements."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    names = dict.fromkeys(re.findall(r'"\.\./runs/([\w.-]+)"', code))
    runs = {name: Run.load(folder / "../runs" / name) for name in names}
    return {
        name: {"run_id": run.config.run_id, "measurements": _digest(run)}
        for name, run in runs.items()
    }


def _digest(run: Run) -> str:
    """Of values, not of bytes of a file, in which a version of pyarrow stands, too."""
    return hashlib.sha256(run.metrics.to_csv(index=False).encode()).hexdigest()


def _stored_output(output: NotebookNode) -> NotebookNode:
    """An output with a PNG beside each figure, and the figure's JSON if it is small."""
    found: dict[str, Any] = output.get("data", {})
    if PLOTLY in found:
        figure = readable(found[PLOTLY])
        figure = {"data": figure["data"], "layout": figure["layout"]}
        found[PNG] = base64.b64encode(png_of(figure)).decode()
        found.pop("text/html", None)
        found["text/plain"] = "A figure of plotly's"
        found[PLOTLY] = figure
        if len(json.dumps(figure)) > MOST_JSON:
            del found[PLOTLY]
    return output


def png_of(figure: dict[str, Any]) -> bytes:
    """A figure as it is first seen."""
    height = figure["layout"].get("height", DEFAULT_HEIGHT)
    drawn = plotly.io.to_image(figure, format="png", width=WIDTH, height=height, scale=1)
    return shrunk(drawn)


def shrunk(png: bytes) -> bytes:
    """The same picture in a palette of its own: charts have few colours, and it is much smaller."""
    from PIL import Image  # of the extra `docs`, as kaleido

    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        opaque = picture.convert("RGB")
    opaque.quantize(MOST_COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        small, "png", optimize=True
    )
    return small.getvalue()


def readable(value: Any) -> Any:
    """Plotly's JSON with numbers as numbers: it packs arrays into bytes, which none can compare."""
    if isinstance(value, dict):
        if set(value) >= {"dtype", "bdata"}:
            array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            shape = [int(n) for n in str(value.get("shape", len(array))).split(",")]
            return readable(array.reshape(shape).tolist())
        return {name: readable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
