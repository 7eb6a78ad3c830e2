"""What a run folder is asked to hold, checked before anything is written or torch is loaded."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from training.config import RunConfig
from training.files import read_json, require_writable
from training.registry import find_recipe
from training.runs import NULL_FOLDER, RUN_FILE, Run, checkpoint_damage, new_info, save_info


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run folder, what runs there, and the seeds that it is to have."""

    config: RunConfig
    folder: Path
    seeds: tuple[int, ...]

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
            problems = checkpoint_damage(self.folder)
            if problems:
                raise DamagedError(
                    f"{problems[0]}; delete that checkpoint's folder and run this again"
                )
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} is not empty and no run folder; choose another folder with --out"
            )
        self.config.data.build(self.seeds[0])

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
        """Seeds asked for now or before that are not in the run's tables."""
        info = self.info()
        in_tables = {int(seed) for seed in info["data_sha256"]}
        return sorted({*self.seeds, *info["seeds"]} - in_tables)

    def begin(self) -> None:
        """Writes `run.json` before the first step, so that an interrupted run is known as one."""
        info = self.info()
        info["seeds"] = sorted({*info["seeds"], *self.seeds})
        info["started"] = info["started"] or now()
        info["finished"] = None
        self.folder.mkdir(parents=True, exist_ok=True)
        save_info(self.folder, info)


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
