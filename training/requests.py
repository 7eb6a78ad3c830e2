"""What a run folder is asked to hold, checked before anything is written or torch is loaded."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from data.vocabulary import LossPolicy
from training.checkpoints import checkpoint_damage, seed_folder
from training.config import RunConfig
from training.files import json_bytes, require_writable
from training.publication import Files, exists, listed, require_intact
from training.registry import find_recipe
from training.run_info import RUN_FILE, new_info, read_info
from training.runs import (
    METRICS_FILE,
    NULL_FOLDER,
    SUMMARY_FILE,
    Run,
    publish_runs,
)

TABLES = (RUN_FILE, METRICS_FILE, SUMMARY_FILE)
"""What `iml run` writes beside checkpoints."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run folder, what runs there, and the seeds that it is to have."""

    config: RunConfig
    folder: Path
    seeds: tuple[int, ...]
    _drawn: set[int] = field(default_factory=set, init=False, compare=False, repr=False)
    """Seeds whose rows are known to be fine: the command checks, and the runner once more."""

    def check(self) -> None:
        """Refuses what cannot be run; changes nothing on disk.

        Raises:
            InputError: the folder cannot be written to or holds something else, or the config
                draws no data.
            DamagedError: a checkpoint or a table in the folder is damaged.
        """
        require_writable(self.folder)
        if exists(self.folder / RUN_FILE):
            run = Run.load(self.folder)
            if run.config.run_id != self.config.run_id:
                raise InputError(
                    f"{self.folder} holds another run ({_difference(run.config, self.config)}); "
                    "choose another folder with --out"
                )
            self._check_files()
        elif self.folder.exists() and not is_blank(self.folder):
            raise InputError(
                f"{self.folder} is not empty and no run folder; choose another folder with --out"
            )
        else:
            is_null = self.folder.name == NULL_FOLDER
            require_outside(self.folder.parent if is_null else self.folder, RUN_FILE)
        if self.missing_seeds():
            self.config.model.check()
        self._check_rows()

    def _check_files(self) -> None:
        for seed in sorted(self.folder.glob("seed-*")):
            problems = checkpoint_damage(seed, self.config.run_id, interrupted=True)
            if problems:
                raise DamagedError(f"{problems[0]}; delete {seed} and run this again")
        require_intact(self.folder)

    def _check_rows(self) -> None:
        """Draws every seed to be trained, and under the policy `all` looks at its tokens."""
        for seed in self.missing_seeds():
            if seed not in self._drawn:
                self._check_seed(seed)
                self._drawn.add(seed)

    def _check_seed(self, seed: int) -> None:
        drawn = self.config.data.build(seed)
        if self.config.loss_policy is LossPolicy.ALL:
            from data.tokens import tokenize_rows

            trained = [r for r in drawn.rows if self.config.schedule.stage_of(r) is not None]
            rows = tokenize_rows(trained, self.config.data.tokenizer(drawn))
            is_answer_only = self.config.model.is_encoder_decoder
            lengths = [len(r.answer_positions if is_answer_only else r.input_ids) for r in rows]
            length, longest = max(zip(lengths, rows, strict=True), key=lambda pair: pair[0])
            length += 1  # the end token
            if length > self.config.block_size:
                raise InputError(
                    f"row {longest.row.row_id} and its end token are {length} tokens long, "
                    f"block_size is {self.config.block_size}; use block_size={length} or more"
                )

    def null_twin(self) -> "RunRequest":
        """The same seeds with tags shuffled in Stage 1, in the folder's `null`.

        Raises:
            InputError: the run is itself one with shuffled tags.
        """
        if self.config.parameters["shuffle_tags"]:
            raise InputError("shuffle_tags=true makes the null twin itself; leave out --with-null")
        recipe = find_recipe(self.config.recipe)
        config = recipe(**{**self.config.parameters, "shuffle_tags": True})
        return RunRequest(config=config, folder=self.folder / NULL_FOLDER, seeds=self.seeds)

    def info(self) -> dict[str, Any]:
        """`run.json` as it stands on disk, or a new one."""
        has_one = exists(self.folder / RUN_FILE)
        return read_info(self.folder) if has_one else new_info(self.config)

    def missing_seeds(self) -> list[int]:
        """Seeds asked for now or before that are not in the run's tables, or not on disk.

        If a table is gone, or in no manifest, the run was not written to its end: all are missing.
        What their checkpoints hold is not trained again.
        """
        info = self.info()
        in_tables = {
            int(seed)
            for seed in info["data_sha256"]
            if seed_folder(self.folder, int(seed)).is_dir()
        }
        vouched = listed(self.folder) or {}
        if not all(name in vouched and exists(self.folder / name) for name in TABLES):
            in_tables = set()
        return sorted({*self.seeds, *info["seeds"]} - in_tables)

    def begin(self) -> None:
        """Writes `run.json` before the first step, so that an interrupted run is known as one."""

        def make() -> dict[Path, Files]:
            info = self.info()
            info["seeds"] = sorted({*info["seeds"], *self.seeds})
            info["started"] = info["started"] or now()
            info["model"] = self.config.model.description
            info["finished"] = None
            return {self.folder: {RUN_FILE: json_bytes(info)}}

        publish_runs([self.folder], make)


def require_outside(folder: Path, *names: str) -> None:
    """Refuses a folder below one that has a file of these names, to which it would be a stray.

    Raises:
        InputError: it is one.
    """
    for parent in folder.resolve().parents:
        for name in names:
            if exists(parent / name):
                raise InputError(
                    f"{folder} lies in {parent}, which has a {name} and is not for other things; "
                    "choose another folder with --out"
                )


def is_blank(folder: Path) -> bool:
    """Whether it is a folder of hidden files and blank folders at most, as a run killed at once."""
    return folder.is_dir() and all(
        path.name.startswith(".") or is_blank(path) for path in folder.iterdir()
    )


def now() -> str:
    """The time as ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _difference(old: RunConfig, new: RunConfig) -> str:
    """The first thing in which two runs differ, in words."""
    if old.recipe != new.recipe:
        return f"recipe {old.recipe}, not {new.recipe}"
    changed = [name for name, value in new.parameters.items() if old.parameters[name] != value]
    name = changed[0]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{name}={old.parameters[name]}, not {new.parameters[name]}{more}"
