'''Sweeps that people write: a Python file with a function `sweep` of cells and analyses.

    """Does the gap need a wide model?"""

    from interp.probes.analysis import ProbeAnalysis
    from interp.sweeps.plans import SweepCell

    def sweep():
        cells = [SweepCell(recipe="alias-toy", arguments={"d_model": n}) for n in (32, 64, 128)]
        return cells, [ProbeAnalysis(quick=True)]

The first line of the file's docstring is the sweep's question. What the cells differ in is found
out. The analyses look at the end of Stage 1; a function that returns a `Sweep` says more.
'''

import sys
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from data.errors import InputError, reason_of
from interp.sweeps.plans import Sweep, SweepCell
from training.recipes import find_recipe

if TYPE_CHECKING:
    from interp.grids.grid import Analysis

ENDING = ".py"
FUNCTION = "sweep"
STAGE = 1


def own_sweep(path: Path) -> Sweep:
    """The sweep that a file is about; the file is executed.

    Its folder joins the places where modules are looked for, so that workers find it, too.

    Raises:
        InputError: there is no such file, or it gives no sweep.
    """
    module = _imported(path)
    make = getattr(module, FUNCTION, None)
    if not callable(make):
        raise InputError(f"{path} has no function {FUNCTION}(); see iml-workbench's run-many page")
    try:
        made = make()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{FUNCTION}() of {path} raised {type(error).__name__} ({reason_of(error)}); mend the "
            "file, or repeat with --debug for the traceback"
        ) from error
    if isinstance(made, Sweep):
        sweep = replace(made, file=str(path))
    else:
        cells, analyses = _parts(path, made)
        sweep = Sweep(
            name=path.stem,
            question=(module.__doc__ or path.stem).strip().splitlines()[0],
            figures=(),
            varies=_varies(path, cells),
            cells=cells,
            analyses=lambda: analyses,
            stage=STAGE,
            file=str(path),
        )
    _require_different(path, sweep.cells)
    return sweep


def _imported(path: Path) -> ModuleType:
    """The module of a file, known to this process and to workers by the file's name."""
    if not path.is_file():
        raise InputError(f"there is no file {path}; name a sweep or a file of one")
    name, folder = path.stem, str(path.resolve().parent)
    if not name.isidentifier():
        raise InputError(f"{path.name} is no name of a module; call it {_as_module(name)}.py")
    there = sys.modules.get(name)
    known = getattr(there, "__file__", None) if there else _found(name, folder)
    if known is None or Path(known).resolve() != path.resolve():
        raise InputError(f"{path.name} has the name of another module; call it otherwise")
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return import_module(name)
    except Exception as error:
        raise InputError(
            f"{path} cannot be imported ({type(error).__name__}: {reason_of(error)}); mend it, or "
            "repeat with --debug for the traceback"
        ) from error


def _found(name: str, folder: str) -> str | None:
    """The file that a module of this name would be imported from, if the folder is the last."""
    if name in sys.builtin_module_names:
        return None
    spec = PathFinder.find_spec(name, [*sys.path, folder])
    return None if spec is None else spec.origin


def _as_module(name: str) -> str:
    words = "".join(each if each.isalnum() else "_" for each in name)
    return words if words.isidentifier() else f"sweep_{words}"


def _parts(path: Path, made: object) -> "tuple[tuple[SweepCell, ...], tuple[Analysis, ...]]":
    """Cells and analyses of what the function returned."""
    from interp.grids.grid import Analysis

    wanted = "return a list of SweepCell and a list of analyses"
    if not isinstance(made, tuple) or len(made) != 2:
        raise InputError(f"{FUNCTION}() of {path} returned no pair; {wanted}")
    cells, analyses = (tuple(part) if isinstance(part, Sequence) else () for part in made)
    if not cells or not all(isinstance(cell, SweepCell) for cell in cells):
        raise InputError(f"{FUNCTION}() of {path} returned no cells; {wanted}")
    if not all(isinstance(each, Analysis) and is_dataclass(each) for each in analyses):
        raise InputError(f"{FUNCTION}() of {path} returned what is no analysis; {wanted}")
    return cells, analyses


def _varies(path: Path, cells: Sequence[SweepCell]) -> str:
    """The first parameter in which cells differ."""
    whole = [find_recipe(cell.recipe).defaults | dict(cell.arguments) for cell in cells]
    names = dict.fromkeys(name for cell in cells for name in cell.arguments)
    for name in names:
        if len({str(values.get(name)) for values in whole}) > 1:
            return name
    if len(cells) == 1:
        return next(iter(names or whole[0]))
    raise InputError(
        f"the cells of {path} differ in no parameter; compare runs of several recipes with "
        "iml report DIR DIR"
    )


def _require_different(path: Path, cells: Sequence[SweepCell]) -> None:
    """Refuses a cell that is there twice."""
    known: dict[str, Any] = {}
    for number, cell in enumerate(cells, start=1):
        run_id = cell.config(smoke=False).run_id
        if run_id in known:
            raise InputError(
                f"cells {known[run_id]} and {number} of {path} are the same run; leave one out"
            )
        known[run_id] = number
