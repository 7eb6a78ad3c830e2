"""The run folder: what was run, its tables, its checkpoints; how to read them."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.errors import DamagedError, InputError
from data.vocabulary import Stage
from training.checkpoints import find_checkpoint, saved_steps, stage_folder, step_folder
from training.config import RunConfig
from training.files import MANIFEST, damage, read_json, visible_files, write_json, write_manifest
from training.registry import find_recipe

if TYPE_CHECKING:
    from datasets import DatasetDict

    from data.tokens import TokenizedRow

FORMAT_VERSION = 1
RUN_FILE = "run.json"
METRICS_FILE = "metrics.parquet"
SUMMARY_FILE = "summary.json"
NULL_FOLDER = "null"
RECORDED_PACKAGES = (
    "iml-workbench",
    "torch",
    "transformers",
    "transformer-lens",
    "datasets",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "tokenizers",
)


@dataclass(frozen=True)
class Run:
    """A run on disk. `Run.load` opens one."""

    folder: Path
    info: dict[str, Any]
    """The contents of `run.json`."""
    config: RunConfig

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Opens a run folder; its tables and checkpoints are read when they are asked for.

        Raises:
            InputError: the folder is no run, or one of a newer format or an unknown recipe.
            DamagedError: `run.json` is unreadable.
        """
        folder = Path(folder)
        path = folder / RUN_FILE
        if not path.is_file():
            raise InputError(f"{folder} is no run folder (it has no {RUN_FILE}); make one: iml run")
        info = read_json(path)
        try:
            format_version = int(info["format_version"])
            name, parameters = info["recipe"], dict(info["parameters"])
        except (KeyError, TypeError, ValueError):
            raise DamagedError(f"{path} lacks what a run needs; restore it from a copy") from None
        if format_version > FORMAT_VERSION:
            raise InputError(
                f"{folder} has format {format_version}, this program reads up to "
                f"{FORMAT_VERSION}; install a newer iml-workbench"
            )
        return cls(folder=folder, info=info, config=find_recipe(name)(**parameters))

    @property
    def seeds(self) -> list[int]:
        """The Stage-1 seeds of the run, in order."""
        return sorted(self.info["seeds"])

    @property
    def is_finished(self) -> bool:
        """Whether every seed is trained and the tables are written."""
        return self.info["finished"] is not None

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """`metrics.parquet`: one row a measurement.

        Columns `recipe run_id model word_order seed stage2_seed stage epoch step subset question
        metric value n`; Stage-1 rows, which all Stage-2 seeds share, have `stage2_seed` 0.
        """
        self.require_finished()
        return read_table(self.folder / METRICS_FILE)

    @property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: the headline gaps with their intervals."""
        self.require_finished()
        return read_json(self.folder / SUMMARY_FILE)

    @property
    def null(self) -> "Run | None":
        """The null twin that was run beside it, if any."""
        folder = self.folder / NULL_FOLDER
        return Run.load(folder) if (folder / RUN_FILE).is_file() else None

    def require_finished(self) -> None:
        """Refuses a run that was interrupted.

        Raises:
            InputError: it was.
        """
        if not self.is_finished:
            raise InputError(
                f"{self.folder} is not finished; repeat the iml run command that began it"
            )

    def require_seed(self, seed: int) -> None:
        """Refuses a seed that the run lacks.

        Raises:
            InputError: it does.
        """
        if seed not in self.info["seeds"]:
            seeds = ", ".join(map(str, self.seeds))
            raise InputError(f"{self.folder} has no seed {seed}; choose one of {seeds}")

    def tokenized_rows(self, seed: int) -> "list[TokenizedRow]":
        """The rows of a seed, drawn anew and checked against those that it was trained on.

        Raises:
            InputError: the run has no such seed, or this version draws other rows.
        """
        from data.tokens import tokenize_rows, word_tokenizer

        self.require_seed(seed)
        drawn = self.config.data.build(seed)
        rows = tokenize_rows(drawn.rows, word_tokenizer(drawn.words))
        digest = self.info["data_sha256"].get(str(seed))
        if digest is not None and digest != rows_digest(rows):
            raise InputError(
                f"this version draws other rows for seed {seed} than {self.folder} was trained on; "
                f"install iml-workbench {self.info['versions'].get('iml-workbench')}"
            )
        return rows

    def rows(self, seed: int) -> pd.DataFrame:
        """The rows of a seed as a table; see `data.tables.COLUMNS`."""
        from data.tables import COLUMNS, row_record

        records = [row_record(row, seed) for row in self.tokenized_rows(seed)]
        return pd.DataFrame(records, columns=list(COLUMNS))

    def dataset(self, seed: int) -> "DatasetDict":
        """The rows of a seed as datasets `stage1`, `stage2` and `evaluation`."""
        from data.tables import dataset_dict

        return dataset_dict(self.tokenized_rows(seed), seed)

    def steps(self, seed: int, stage: int, *, stage2_seed: int = 0) -> list[int]:
        """Steps at which a stage of a seed has checkpoints, counted within the stage."""
        self.require_seed(seed)
        return saved_steps(self._stage_folder(seed, stage, stage2_seed))

    def checkpoint(
        self, seed: int, stage: int, step: int | None = None, *, stage2_seed: int = 0
    ) -> Path:
        """The folder of a checkpoint, the last of its stage unless `step` says another; verified.

        Raises:
            InputError: there is no such seed, stage or step.
            DamagedError: a file of it is damaged.
        """
        self.require_seed(seed)
        return find_checkpoint(self._stage_folder(seed, stage, stage2_seed), step)

    def _stage_folder(self, seed: int, stage: int, stage2_seed: int) -> Path:
        if stage not in (1, 2):
            raise InputError(f"there is no stage {stage}; choose 1 or 2")
        return stage_folder(self.folder, seed, Stage(stage), stage2_seed)


def rows_digest(rows: "list[TokenizedRow]") -> str:
    """The sha256 of everything that a seed's rows say."""
    from data.tables import row_record

    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row_record(row, 0), sort_keys=True).encode())
    return digest.hexdigest()


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of a run folder.

    Raises:
        DamagedError: the file is missing or unreadable.
    """
    try:
        return pd.read_parquet(path)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise DamagedError(
            f"{path} is unreadable ({reason}); repeat the command that made it"
        ) from error


def new_info(config: RunConfig) -> dict[str, Any]:
    """What `run.json` says of a run without seeds yet."""
    return {
        "format_version": FORMAT_VERSION,
        "recipe": config.recipe,
        "run_id": config.run_id,
        "parameters": dict(config.parameters),
        "seeds": [],
        "versions": installed_versions(),
        "git_commit": git_commit(),
        "threads": 1,
        "device": "cpu",
        "data_sha256": {},
        "started": None,
        "finished": None,
    }


def installed_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that the numbers depend on."""
    import platform

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def git_commit() -> str | None:
    """The commit that this program was run from, `-dirty` if files differ; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def analysis_files(folder: Path) -> list[Path]:
    """Every file that a run folder's own manifest lists: all outside checkpoints and null twin."""
    files = visible_files(folder)
    for child in sorted(folder.iterdir()):
        outside = child.name.startswith(("seed-", ".")) or child.name == NULL_FOLDER
        if child.is_dir() and not outside:
            files += [path for path in sorted(child.rglob("*")) if path.is_file()]
    return files


def write_run_manifest(folder: Path) -> None:
    """Rewrites the manifest of a run folder; the last act of every command that writes there."""
    write_manifest(folder, analysis_files(folder))


def run_damage(folder: Path) -> list[str]:
    """What is damaged in a run folder, its checkpoints and its null twin, one line each."""
    problems = damage(folder, present=analysis_files(folder)) + checkpoint_damage(folder)
    if (folder / NULL_FOLDER / MANIFEST).is_file() or (folder / NULL_FOLDER / RUN_FILE).is_file():
        problems += run_damage(folder / NULL_FOLDER)
    return problems


def checkpoint_damage(folder: Path) -> list[str]:
    """What is damaged in the checkpoints of a run folder, one line each."""
    stages = sorted(folder.glob("seed-*/stage-*"))
    steps = [step_folder(stage, step) for stage in stages for step in saved_steps(stage)]
    return [problem for step in steps for problem in damage(step)]


def save_info(folder: Path, info: dict[str, Any]) -> None:
    """Writes `run.json`."""
    write_json(folder / RUN_FILE, info)
