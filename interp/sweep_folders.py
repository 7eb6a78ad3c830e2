"""The folder of a finished sweep: which sweep it is, its cells, what they say together."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import DamagedError, InputError
from data.vocabulary import D5_CONS, D6_CONS, HELD_OUT, SUBSETS
from interp.sweep_plans import CELLS, Sweep
from training.claims.across import Setting, comparable
from training.claims.per_seed import NotMeasured, level
from training.claims.verdicts import Verdict, claims_of_sweep
from training.config import Value
from training.files import read_json
from training.old_rules import require_one_meaning
from training.runs import Run
from training.statistics import estimate
from training.summary import HEADLINE_METRICS

SWEEP_FILE = "sweep.json"
_KEYS = {"name": str, "question": str, "figures": list, "varies": str, "claims": list} | {
    "smoke": bool,
    "seeds": list,
    "cells": list,
}
"""What a sweep cannot be read without, and of which type each is."""


@dataclass(frozen=True, kw_only=True)
class FinishedSweep:
    """A sweep on disk. `FinishedSweep.load` opens one."""

    folder: Path
    info: dict[str, Any]
    """The contents of `sweep.json`."""
    runs: tuple[Run, ...]
    """Its cells, in the order of the plan."""

    @classmethod
    def load(cls, folder: Path) -> "FinishedSweep":
        """Opens the folder of a sweep.

        Raises:
            InputError: the sweep, or a cell of it, is not finished or not there.
            DamagedError: `sweep.json` is unreadable.
        """
        path = folder / SWEEP_FILE
        if not path.is_file():
            raise InputError(
                f"{folder} holds a sweep that is not finished (it has no {SWEEP_FILE}); "
                "repeat the iml sweep command that began it"
            )
        info = read_json(path)
        if not isinstance(info, dict) or any(
            not isinstance(info.get(key), kind) for key, kind in _KEYS.items()
        ):
            raise DamagedError(
                f"{path} lacks what a sweep needs; repeat the iml sweep command that made it"
            )
        runs = tuple(Run.load(folder / CELLS / run_id) for run_id in info["cells"])
        for run in runs:
            run.require_finished()
        require_one_meaning(runs)
        return cls(folder=folder, info=info, runs=runs)

    @property
    def varies(self) -> str:
        """The parameter that is looked at."""
        return self.info["varies"]

    @cached_property
    def panels(self) -> dict[str, dict[Any, Run]]:
        """Runs by value of the parameter, apart where they differ in more; one group has ""."""
        read = Setting(name=self.varies, read=lambda run: run.config.parameters.get(self.varies))
        return comparable(self.runs, read)

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
        Columns `panel setting run_id subset part stage mean ci_low ci_high n_seeds n_questions`;
        `part` is 1 for subsets of X1 and 2 for those of X2, `n_questions` is a seed's.
        """
        records = []
        for panel, runs in self.panels.items():
            for setting, run in runs.items():
                cell = {"panel": panel, "setting": setting, "run_id": run.config.run_id}
                for subset in SUBSETS.values():
                    try:
                        found = estimate(level(run, subset).to_dict())
                    except NotMeasured:
                        continue
                    rows = run.metrics.loc[run.metrics["subset"] == subset.name]
                    n_questions = int(rows.loc[rows["question"] == HELD_OUT, "n"].to_numpy().max())
                    stage = int(run.config.schedule.read_at(subset.stage))
                    place = {"subset": subset.name, "part": int(subset.stage), "stage": stage}
                    numbers = {name: getattr(found, name) for name in _NUMBERS}
                    records.append({**cell, **place, **numbers, "n_questions": n_questions})
        return pd.DataFrame(records)

    def gaps(self) -> pd.DataFrame:
        """The IML gap of each cell, from its `summary.json`.

        Columns `panel setting run_id metric stage mean ci_low ci_high p_value p_smallest n_seeds
        per_seed`; `ci_low` and `ci_high` are None for one seed, `per_seed` maps seeds to values.
        """
        records = [
            {
                "panel": panel,
                "setting": setting,
                "run_id": run.config.run_id,
                "metric": metric,
                "stage": int(run.config.schedule.read_at(D5_CONS.stage)),
                **run.summary["iml_gap"][metric],
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
        names = self.differing()
        cells = [
            {
                "run_id": run.config.run_id,
                "parameters": {name: run.config.parameters.get(name) for name in names},
                "iml_gap": run.summary["iml_gap"],
            }
            for run in self.runs
        ]
        return {**self.info, "cells": cells, "claims": [v.to_json() for v in self.verdicts]}


_NUMBERS = ("mean", "ci_low", "ci_high", "n_seeds")
GAP_WORDS = f"{D5_CONS.name} − {D6_CONS.name}"


def is_sweep(folder: Path) -> bool:
    """Whether a folder is one of a sweep, finished or not."""
    return (folder / SWEEP_FILE).is_file() or (folder / CELLS).is_dir()


def sweep_info(plan: Sweep, runs: list[Run], *, smoke: bool) -> dict[str, Any]:
    """What `sweep.json` says."""
    return {
        "name": plan.name,
        "question": plan.question,
        "figures": list(plan.figures),
        "varies": plan.varies,
        "claims": list(plan.claims),
        "smoke": smoke,
        "seeds": sorted({seed for run in runs for seed in run.seeds}),
        "cells": [run.config.run_id for run in runs],
    }
