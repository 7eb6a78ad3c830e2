"""What a run folder is asked to hold, checked before anything is written or torch is loaded."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from data.vocabulary import LossPolicy
from training.budget import require_disk, seed_bytes
from training.checkpoints import checkpoint_damage, seed_folder
from training.config import RunConfig
from training.files import MANIFEST, differs_from_manifest, read_json, require_writable
from training.registry import find_recipe
from training.run_info import RUN_FILE, new_info, save_info
from training.runs import (
    METRICS_FILE,
    NULL_FOLDER,
    SUMMARY_FILE,
    Run,
    withdraw_run_manifest,
)


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
            DamagedError: a checkpoint in the folder is damaged.
        """
        require_writable(self.folder)
        if (self.folder / RUN_FILE).exists():
            run = Run.load(self.folder)
            if run.config.run_id != self.config.run_id:
                raise InputError(
                    f"{self.folder} holds another run ({_difference(run.config, self.config)}); "
                    "choose another folder with --out"
                )
            self._check_files()
        elif self.folder.is_dir() and not _is_blank(self.folder):
            raise InputError(
                f"{self.folder} is not empty and no run folder; choose another folder with --out"
            )
        missing = self.missing_seeds()
        if missing:
            require_disk(self.folder, len(missing), seed_bytes(self.config))
            self.config.model.check()
        self._check_rows()

    def _check_files(self) -> None:
        for seed in sorted(self.folder.glob("seed-*")):
            problems = checkpoint_damage(seed, interrupted=True)
            if problems:
                raise DamagedError(f"{problems[0]}; delete {seed} and run this again")
        for path in self._tables():
            if path.is_file() and self._has_manifest and differs_from_manifest(path):
                raise DamagedError(
                    f"{path} does not match its checksum; delete it and run this again"
                )

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

    def _tables(self) -> list[Path]:
        return [self.folder / METRICS_FILE, self.folder / SUMMARY_FILE]

    @property
    def _has_manifest(self) -> bool:
        return (self.folder / MANIFEST).is_file()

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
        path = self.folder / RUN_FILE
        return read_json(path) if path.exists() else new_info(self.config)

    def missing_seeds(self) -> list[int]:
        """Seeds asked for now or before that are not in the run's tables, or not on disk.

        Without its manifest or a table a run was not written to its end: all seeds are missing.
        What their checkpoints hold is not trained again.
        """
        info = self.info()
        in_tables = {
            int(seed)
            for seed in info["data_sha256"]
            if seed_folder(self.folder, int(seed)).is_dir()
        }
        if not self._has_manifest or not all(path.is_file() for path in self._tables()):
            in_tables = set()
        return sorted({*self.seeds, *info["seeds"]} - in_tables)

    def begin(self) -> None:
        """Writes `run.json` before the first step, so that an interrupted run is known as one."""
        info = self.info()
        info["seeds"] = sorted({*info["seeds"], *self.seeds})
        info["started"] = info["started"] or now()
        info["model"] = self.config.model.description
        info["finished"] = None
        self.folder.mkdir(parents=True, exist_ok=True)
        withdraw_run_manifest(self.folder)
        save_info(self.folder, info)


def _is_blank(folder: Path) -> bool:
    """Whether a folder holds hidden files and blank folders at most, as a run killed at once."""
    return all(
        path.name.startswith(".") or (path.is_dir() and _is_blank(path))
        for path in folder.iterdir()
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
