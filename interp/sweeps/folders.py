"""The folder of a finished sweep: which sweep it is, its cells, what they say together."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from data.design import Design
from data.errors import DamagedError, InputError
from data.vocabulary import HELD_OUT
from interp.claims.verdicts import claims_of_sweep
from interp.sweeps.plans import CELLS, Sweep
from interp.sweeps.rungs import RUNGS, is_ladder_note, ladder_note
from interp.verdicts.across import Setting, comparable
from interp.verdicts.quantities import NotMeasured, level
from interp.verdicts.verdict import Verdict
from training.config import Value
from training.files import MANIFEST, read_json
from training.metrics import HEADLINE_METRICS
from training.runs.info import RUN_FILE
from training.runs.integrity import run_damage
from training.runs.old_rules import require_one_meaning
from training.runs.publication import (
    exists,
    listed,
    published_damage,
    read,
    read_unchecked,
    require_intact,
    settled,
)
from training.runs.requests import is_blank, require_outside
from training.runs.run import Run, files_outside
from training.statistics import estimate

SWEEP_FILE = "sweep.json"
RUN_ID = re.compile(r"[0-9a-f]{10}")
_KEYS = {"name": str, "question": str, "figures": list, "varies": str, "claims": list} | {
    "smoke": bool,
    "seeds": list,
    "cells": list,
}
"""The keys that a sweep cannot be read without, and their types."""


@dataclass(frozen=True, kw_only=True)
class FinishedSweep:
    """A sweep on disk. `FinishedSweep.load` opens one."""

    folder: Path
    info: dict[str, Any]
    """The contents of `sweep.json`."""
    runs: tuple[Run, ...]
    """The runs of the sweep, in the order of the plan."""

    @classmethod
    def load(cls, folder: Path) -> "FinishedSweep":
        """Opens the folder of a sweep.

        Raises:
            InputError: the sweep, or a cell of it, is not finished.
            DamagedError: `sweep.json` is damaged, or a cell is gone.
        """
        path = folder / SWEEP_FILE
        if not exists(path):
            if SWEEP_FILE in (listed(folder) or {}):
                raise DamagedError(f"{path} is missing; repeat the iml sweep command that made it")
            raise InputError(
                f"{folder} holds a sweep that is not finished (it has no {SWEEP_FILE}); "
                "repeat the iml sweep command that began it"
            )
        info = read_json(path, read=read)
        if (
            not isinstance(info, dict)
            or any(not isinstance(info.get(key), kind) for key, kind in _KEYS.items())
            or not all(isinstance(each, str) and RUN_ID.fullmatch(each) for each in info["cells"])
            or not all(isinstance(each, str) for each in (*info["claims"], *info["figures"]))
            or not all(type(seed) is int for seed in info["seeds"])
            or not is_ladder_note(info.get(RUNGS, []), len(info["cells"]))
        ):
            raise DamagedError(
                f"{path} lacks what a sweep needs; repeat the iml sweep command that made it"
            )
        runs = tuple(_cell(folder, run_id) for run_id in info["cells"])
        for run in runs:
            run.require_finished()
        require_one_meaning(runs)
        return cls(folder=folder, info=info, runs=runs)

    @property
    def varies(self) -> str:
        """The parameter whose values the sweep compares."""
        return self.info["varies"]

    @property
    def design(self) -> Design:
        """The design of the cells, which all compare the same."""
        return self.runs[0].design

    @cached_property
    def panels(self) -> dict[str, dict[Any, Run]]:
        """Runs by value of the parameter, apart where they differ in more; one group has ""."""
        if self.rungs:
            return {"": dict(zip([each["name"] for each in self.rungs], self.runs, strict=True))}
        read = Setting(name=self.varies, read=lambda run: run.config.parameters.get(self.varies))
        return comparable(self.runs, read)

    @property
    def rungs(self) -> list[dict[str, str]]:
        """What each run of a ladder is, in the order of the runs; empty of any other sweep."""
        return self.info.get(RUNGS, [])

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The claims that the sweep bears on, one group of runs after another."""
        return sorted(claims_of_sweep(self.runs, self.info["claims"]), key=lambda v: v.runs)

    def differing(self) -> list[str]:
        """The parameters that are not the same in all cells, the one looked at first."""
        names = [self.varies, *(n for n in self.runs[0].config.parameters if n != self.varies)]
        values = {name: {str(r.config.parameters.get(name)) for r in self.runs} for name in names}
        return [name for name in names if name == self.varies or len(values[name]) > 1]

    def shared(self) -> dict[str, Value]:
        """The parameters that are the same in all cells."""
        differing = self.differing()
        parameters = self.runs[0].config.parameters
        return {name: value for name, value in parameters.items() if name not in differing}

    def levels(self) -> pd.DataFrame:
        """Exact match of each subset in each cell, with its 95% t interval over Stage-1 seeds.

        Subsets of X1 are read at the end of X1's training, those of X2 at the end of the run.
        Columns `panel setting run_id recipe subset part stage mean ci_low ci_high n_seeds per_seed
        n_questions`; `part` is 1 for subsets of X1 and 2 for those of X2, `n_questions` is a
        seed's.
        """
        records = []
        for panel, runs in self.panels.items():
            for setting, run in runs.items():
                cell = {"panel": panel, "setting": setting, "run_id": run.config.run_id}
                cell["recipe"] = run.config.recipe
                for subset in self.design.subsets:
                    try:
                        found = estimate(level(run, subset).to_dict())
                    except NotMeasured:
                        continue
                    rows = run.metrics.loc[run.metrics["subset"] == subset.name]
                    n_questions = int(rows.loc[rows["question"] == HELD_OUT, "n"].to_numpy().max())
                    stage = int(run.config.schedule.read_at(subset.part))
                    place = {"subset": subset.name, "part": int(subset.part), "stage": stage}
                    numbers = {name: getattr(found, name) for name in _NUMBERS}
                    records.append({**cell, **place, **numbers, "n_questions": n_questions})
        return pd.DataFrame(records)

    def gaps(self) -> pd.DataFrame:
        """The main contrast of each cell, from its `summary.json`.

        Columns `panel setting run_id metric stage mean ci_low ci_high p_value p_smallest n_seeds
        per_seed`; `ci_low` and `ci_high` are None for one seed, `per_seed` maps seeds to values.
        """
        main = self.design.main
        records = [
            {
                "panel": panel,
                "setting": setting,
                "run_id": run.config.run_id,
                "metric": metric,
                "stage": int(run.config.schedule.read_at(main.part)),
                **run.summary[main.name][metric],
            }
            for panel, runs in self.panels.items()
            for setting, run in runs.items()
            for metric in HEADLINE_METRICS
        ]
        return pd.DataFrame(records)

    @property
    def seeds(self) -> list[int]:
        """The Stage-1 seeds of its cells."""
        return sorted({seed for run in self.runs for seed in run.seeds})

    def to_json(self) -> dict[str, Any]:
        """What `iml summary --json` prints."""
        names, main = self.differing(), self.design.main.name
        cells = [
            {
                "run_id": run.config.run_id,
                "parameters": {name: run.config.parameters.get(name) for name in names},
                main: run.summary[main],
            }
            for run in self.runs
        ]
        return {**self.info, "cells": cells, "claims": [v.to_json() for v in self.verdicts]}


_NUMBERS = ("mean", "ci_low", "ci_high", "n_seeds", "per_seed")


def is_sweep(folder: Path) -> bool:
    """Whether a folder is one of a sweep, finished or not."""
    return exists(folder / SWEEP_FILE) or (folder / CELLS).is_dir()


def sweep_damage(folder: Path) -> list[str]:
    """What is damaged in a sweep's folder and in its cells, one line each.

    Raises:
        InputError: the sweep, or a cell of it, is not finished.
    """
    return settled([folder], lambda: _damage(folder))


def _damage(folder: Path) -> list[str]:
    if not exists(folder / MANIFEST):  # was it lost, or never written?
        FinishedSweep.load(folder)
    present = files_outside(folder, lambda name: name == CELLS)
    problems = published_damage(folder, present=present)
    found = sorted(path for path in (folder / CELLS).glob("*") if not path.name.startswith("."))
    if not problems:  # only an intact sweep.json tells which cells there should be
        wanted = [
            folder / CELLS / name for name in read_json(folder / SWEEP_FILE, read=read)["cells"]
        ]
        problems += [f"{path} is missing" for path in wanted if not path.is_dir()]
        problems += [f"{path} is no cell of the sweep" for path in found if path not in wanted]
        found = [path for path in found if path in wanted]
    for cell in found:
        problems += _cell_damage(cell)
    return problems


def _cell_damage(cell: Path) -> list[str]:
    if not (exists(cell / RUN_FILE) or exists(cell / MANIFEST)):
        return [f"{cell} is no run folder (it has no {RUN_FILE})"]
    problems = run_damage(cell)
    if problems or (run_id := Run.load(cell).config.run_id) == cell.name:
        return problems
    return [f"{cell} holds run {run_id}, not {cell.name}"]


def _cell(folder: Path, run_id: str) -> Run:
    """A cell of a sweep that was finished, so that it must be there."""
    cell = folder / CELLS / run_id
    if not exists(cell / RUN_FILE):
        raise DamagedError(f"{cell} is missing; repeat the iml sweep command that made it")
    run = Run.load(cell)
    if run.config.run_id != run_id:
        raise DamagedError(
            f"{cell} holds run {run.config.run_id}; delete it and repeat the iml sweep command"
        )
    return run


def require_place_for(plan: Sweep, folder: Path, *, smoke: bool) -> None:
    """Refuses to run a sweep in a folder that holds anything else; changes nothing.

    Raises:
        InputError: the folder holds anything else, or cannot be written to.
        DamagedError: a table of the sweep in it is damaged.
    """
    require_intact(folder)
    elsewhere = "choose another folder with --out"
    require_outside(folder, RUN_FILE, SWEEP_FILE)
    if exists(folder / RUN_FILE):
        raise InputError(f"{folder} holds a run, not a sweep; {elsewhere}")
    if exists(folder / SWEEP_FILE):
        info = read_json(folder / SWEEP_FILE, read=read_unchecked)
        name = info.get("name") if isinstance(info, dict) else None
        if name != plan.name:
            raise InputError(f"{folder} holds the sweep {name}, not {plan.name}; {elsewhere}")
    elif folder.is_dir() and not all(
        path.name.startswith(".") or is_blank(path) or (path == folder / CELLS and path.is_dir())
        for path in folder.iterdir()
    ):
        raise InputError(f"{folder} is not empty and no sweep's; {elsewhere}")
    cells = {request.folder.name for request in plan.requests(folder, (), smoke=smoke)}
    for path in sorted((folder / CELLS).glob("*")):
        if path.name not in cells and not path.name.startswith("."):
            kind = " with --smoke" if smoke else " without --smoke"
            raise InputError(f"{path} is no cell of {plan.name}{kind}; {elsewhere}")


def sweep_info(plan: Sweep, runs: list[Run], *, smoke: bool) -> dict[str, Any]:
    """What `sweep.json` says."""
    rungs = [cell.rung for cell in plan.cells if cell.rung]
    info = {
        "name": plan.name,
        "question": plan.question,
        "figures": list(plan.figures),
        "varies": plan.varies,
        "claims": list(plan.claims),
        "smoke": smoke,
        "seeds": sorted({seed for run in runs for seed in run.seeds}),
        "cells": [run.config.run_id for run in runs],
    }
    info |= {"file": plan.file} if plan.file else {}
    return {**info, RUNGS: ladder_note(rungs)} if rungs else info
