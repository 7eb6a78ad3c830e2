"""The run folder: what was run, its tables, its checkpoints; how to read them."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype

from data.design import Contrast, Design
from data.errors import DamagedError, InputError, reading
from data.vocabulary import Stage
from training.config import RunConfig
from training.files import json_bytes, read_json, visible_files
from training.models.folders import read_config
from training.recipes import find_recipe
from training.runs.checkpoints import find_checkpoint, saved_steps, stage_folder
from training.runs.info import RUN_FILE, read_info
from training.runs.inputs import INPUTS, changed_input, recorded
from training.runs.publication import Files, exists, publish, read
from training.summary import headlines_of, is_stage1_learned, is_summary, null_equivalence

if TYPE_CHECKING:
    from datasets import DatasetDict
    from transformers import PreTrainedConfig

    from data.tokens import TokenizedRow

METRICS_FILE = "metrics.parquet"
SUMMARY_FILE = "summary.json"
NULL_FOLDER = "null"
NUMBER_COLUMNS = ("seed", "stage2_seed", "stage", "step", "value", "n")
TEXT_COLUMNS = ("subset", "question", "metric")
"""The columns of text that no measurement can do without."""


@dataclass(frozen=True)
class Run:
    """A run on disk. `Run.load` opens one."""

    folder: Path
    info: dict[str, Any]
    """The contents of `run.json`."""
    config: RunConfig
    given_metrics: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """Measurements that count in place of those in the folder: of a run that was made up."""
    given_null: "Run | None" = field(default=None, repr=False, compare=False)
    """The null twin that counts in place of the folder's."""
    given_tables: Mapping[str, pd.DataFrame] | None = field(default=None, repr=False, compare=False)
    """By analysis the tables that count in place of those in the folder."""

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Opens a run folder; its tables and checkpoints are read when they are asked for.

        Raises:
            InputError: the folder is no run, or one of a newer format or an unknown recipe.
            DamagedError: `run.json` is unreadable.
        """
        folder = Path(folder)
        info = read_info(folder)
        recipe = find_recipe(info["recipe"])
        config = recipe(**info["parameters"])
        if info["format_version"] == 1 and "bos" in recipe.parameters:
            # Its texts stood bare; its run id knew nothing of that.
            bare = recipe(**{**info["parameters"], "bos": "none"})
            config = replace(bare, unsaid=config.unsaid)
        return cls(folder=folder, info=info, config=recorded(config, info))

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
        if self.given_metrics is not None:
            return self.given_metrics
        self.require_finished()
        table = read_table(self.folder / METRICS_FILE)
        _require_measurements(table, self.folder / METRICS_FILE)
        return table

    def table(self, analysis: str) -> pd.DataFrame | None:
        """What an analysis left, as `read_table` gives it; None where it left nothing."""
        if self.given_tables is not None:
            return self.given_tables.get(analysis)
        path = self.folder / f"{analysis}.parquet"
        return read_table(path) if exists(path) else None

    @property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: the headline gaps with their intervals.

        Raises:
            DamagedError: the file is unreadable, or lacks a gap that the run has the subsets for.
        """
        self.require_finished()
        path = self.folder / SUMMARY_FILE
        content = read_json(path, read=read)
        if not is_summary(content, [c.name for c in headlines_of(self.metrics, self.design)]):
            raise DamagedError(f"{path} lacks a gap of the run; restore it from a copy")
        return content

    @property
    def design(self) -> Design:
        """What the run compares: its subsets, its contrasts, its control."""
        return self.config.design

    def compared_at(self, stage: int) -> Contrast:
        """What the end of a stage is about: the first contrast of the part trained last."""
        return self.design.compared(self.config.schedule.part_at(stage))

    @property
    def stops_answers(self) -> bool:
        """Whether an exact match includes the token that ends its texts.

        It does where the loss policy trains that token, and did not in format 1.
        """
        return self.config.loss_policy.trains_stop and self.info["format_version"] > 1

    @property
    def null(self) -> "Run | None":
        """The control twin that was run beside the run, if any; for most designs a null twin."""
        if self.given_null is not None:
            return self.given_null
        folder = self.folder / NULL_FOLDER
        return Run.load(folder) if exists(folder / RUN_FILE) else None

    @property
    def finished_null(self) -> "Run | None":
        """The control twin beside the run, if it was run to its end."""
        twin = self.null
        return twin if twin is not None and twin.is_finished else None

    @property
    def folders(self) -> list[Path]:
        """The folders that are read to tell of a run: its own, and that of a null twin."""
        return [self.folder, *([] if self.null is None else [self.null.folder])]

    @cached_property
    def shape(self) -> "PreTrainedConfig":
        """What transformers knows of the run's models: layers, heads, architecture ..."""
        return read_config(self.checkpoint(self.seeds[0], 1, 0))

    @property
    def n_layers(self) -> int:
        """Number of blocks of the run's models, of an encoder-decoder those of the encoder."""
        return self.shape.num_hidden_layers

    def require_finished(self) -> None:
        """Refuses a run that was interrupted.

        Raises:
            InputError: not all seeds that were asked for are trained.
        """
        if not self.is_finished:
            raise InputError(
                f"{self.folder} is not finished; repeat the iml run command that began it"
            )

    def require_seed(self, seed: int) -> None:
        """Refuses a seed that the run lacks.

        Raises:
            InputError: the run has no such seed.
        """
        if seed not in self.info["seeds"]:
            seeds = ", ".join(map(str, self.seeds))
            raise InputError(f"{self.folder} has no seed {seed}; choose one of {seeds}")

    def tokenized_rows(self, seed: int) -> "list[TokenizedRow]":
        """The rows of a seed, drawn anew and checked against those that it was trained on.

        Raises:
            InputError: the run has no such seed, its table, model or tokenizer has changed, or this
                version draws other rows.
        """
        from data.tokens import tokenize_rows

        self.require_seed(seed)
        try:
            drawn = self.config.data.build(seed)
            rows = tokenize_rows(drawn.rows, self.config.data.tokenizer(drawn))
        except InputError:
            self._require_same_inputs()
            raise
        digest = self.info["data_sha256"].get(str(seed))
        if digest is not None and digest != rows_digest(rows):
            self._require_same_inputs()
            raise InputError(
                f"this version draws other rows for seed {seed} than {self.folder} was trained on; "
                f"install iml-workbench {self.info['versions'].get('iml-workbench')}"
                + self._doubtful_inputs()
            )
        return rows

    def _require_same_inputs(self) -> None:
        changed = changed_input(self.config, self.info)
        if changed:
            raise InputError(f"{self.folder}: {changed}; bring that back")

    def _doubtful_inputs(self) -> str:
        """The inputs that may have changed unnoticed, in words, as old runs note no contents."""
        unknown = [
            f"{n} {i.location}" for n, i in self.config.inputs.items() if INPUTS not in self.info
        ]
        return f", or bring back its {', '.join(unknown)} if changed since" if unknown else ""

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
            DamagedError: a file of it is damaged, or it is another one's.
        """
        self.require_seed(seed)
        folder = self._stage_folder(seed, stage, stage2_seed)
        return find_checkpoint(folder, step, run_id=self.config.run_id)

    def _stage_folder(self, seed: int, stage: int, stage2_seed: int) -> Path:
        stages = [int(each) for each in self.config.schedule.stages]
        if stage not in stages:
            listed = " or ".join(map(str, stages))
            raise InputError(f"{self.folder} has no stage {stage}; choose {listed}")
        return stage_folder(self.folder, seed, Stage(stage), stage2_seed)


def rows_digest(rows: "list[TokenizedRow]") -> str:
    """The sha256 of everything that a seed's rows say."""
    from data.tables import row_record

    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row_record(row, 0), sort_keys=True).encode())
    return digest.hexdigest()


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of a run folder or of a sweep's.

    Raises:
        DamagedError: the file is missing, unreadable, or not what was written.
    """
    with reading(path, "repeat the command that made it"):
        return pd.read_parquet(BytesIO(read(path)))


def _require_measurements(table: pd.DataFrame, path: Path) -> None:
    """Refuses a table that is none of measurements, whatever its checksum says.

    Raises:
        DamagedError: it lacks columns or rows, or a column is of another type.
    """
    wrong = [name for name in (*NUMBER_COLUMNS, *TEXT_COLUMNS) if name not in table]
    wrong += [n for n in NUMBER_COLUMNS if n in table and not is_numeric_dtype(table[n])]
    wrong += [n for n in TEXT_COLUMNS if n in table and not is_string_dtype(table[n])]
    if wrong or table.empty:
        what = f"column {wrong[0]} is missing or of another type" if wrong else "it has no rows"
        raise DamagedError(f"{path} holds no measurements ({what}); restore it from a copy")


def analysis_files(folder: Path) -> list[Path]:
    """Every file that a run folder's own manifest lists: all outside checkpoints and null twin."""
    return files_outside(folder, lambda name: name.startswith("seed-") or name == NULL_FOLDER)


def files_outside(folder: Path, is_apart: Callable[[str], bool]) -> list[Path]:
    """The files in a folder at any depth, but for hidden ones and child folders with own manifests.

    Args:
        folder: Of a run or a sweep.
        is_apart: Whether a child folder of this name has manifests of its own.
    """
    files = visible_files(folder)
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith(".") and not is_apart(child.name):
            files += [path for path in sorted(child.rglob("*")) if path.is_file()]
    return files


def publish_runs(folders: Sequence[Path], make: Callable[[], Mapping[Path, Files]]) -> None:
    """Changes tables of run folders; see `publish`. Each one's manifest tells of its null twin."""

    def about(folder: Path) -> dict[str, str]:
        null = folder / NULL_FOLDER
        return {NULL_FOLDER: Run.load(null).config.run_id} if exists(null / RUN_FILE) else {}

    publish(folders, make, about=about)


def write_null_verdict(run: Run) -> None:
    """Writes into `summary.json` whether the gap of the null twin beside the run is none.

    Of a control that is to show something there is no such verdict.
    """

    def make() -> dict[Path, Files]:
        null = run.finished_null
        if null is None:
            return {}
        twin, margin, schedule = run.design.null_twin, run.config.null_margin, run.config.schedule
        if twin is None or margin is None:
            return {}
        contrast = run.design.contrast(twin.contrast)
        verdict = null_equivalence(null.metrics, contrast, margin.value, schedule).to_json()
        # A twin that learned nothing shows nothing, not even that there is no gap.
        learned = is_stage1_learned(null.metrics, run.design, schedule)
        verdict["passed"] = verdict["passed"] and learned
        before = run.summary
        content = {**before, "null_equivalence": verdict}
        return {} if content == before else {run.folder: {SUMMARY_FILE: json_bytes(content)}}

    publish_runs(run.folders, make)
