"""What a run folder is asked to hold, checked before anything is written or torch is loaded."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from data.hub import is_hub_name
from data.tokens import tokenize_rows
from data.vocabulary import LossPolicy
from training.budget import require_disk, seed_bytes
from training.columns import run_columns
from training.config import RunConfig, Value
from training.exam import EXAM_FILE
from training.files import json_bytes, require_writable, table_bytes
from training.recipes import find_recipe
from training.runs.checkpoints import checkpoint_damage, seed_folder
from training.runs.fits import check_lengths, check_model
from training.runs.info import RUN_FILE, new_info, read_info
from training.runs.inputs import (
    INPUTS,
    KNOWN,
    changed_input,
    note_rows,
    noted_rows,
    placed,
    recorded,
    with_known,
)
from training.runs.old_rules import require_extensible, require_one_meaning
from training.runs.publication import Files, exists, listed, require_intact
from training.runs.run import (
    METRICS_FILE,
    NULL_FOLDER,
    SUMMARY_FILE,
    Run,
    publish_runs,
    rows_digest,
)

TABLES = (RUN_FILE, METRICS_FILE, SUMMARY_FILE)
"""The files that `iml run` writes beside checkpoints."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run folder, what runs there, and the seeds that it is to have."""

    config: RunConfig
    folder: Path
    seeds: tuple[int, ...]
    _drawn: set[int] = field(default_factory=set, init=False, compare=False, repr=False)
    """Seeds whose rows are known to be fine: the command checks, and the runner once more."""
    notes: dict[str, None] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What the check found that a person should know: what of a table was left out."""

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
            self._require_same_run(run)
            self._check_files(run.config.run_id)
            if self.missing_seeds():
                require_extensible(run)
        elif self.folder.exists() and not is_blank(self.folder):
            raise InputError(
                f"{self.folder} is not empty and no run folder; choose another folder with --out"
            )
        else:
            is_null = self.folder.name == NULL_FOLDER
            require_outside(self.folder.parent if is_null else self.folder, RUN_FILE)
        missing = self.missing_seeds()
        if missing:
            require_disk(self.folder, len(missing), seed_bytes(self.config))
            self._check_names()
            self.config.model.check()
            self._require_same_null_twin()
        self._check_rows()

    def _check_names(self) -> None:
        """Passes over no file or folder that has the name of something else."""
        for name in ("table", "model"):
            value = self.config.parameters.get(name)
            if value and name not in self.config.inputs and Path(str(value)).exists():
                raise InputError(
                    f"{name}={value} is built in, and {Path(str(value)).resolve()} has that name; "
                    f"write {name}=./{value} for the latter, or start from another folder"
                )
        for name, each in self.config.inputs.items():
            if each.is_ambiguous:
                place = Path(each.location).resolve()
                whose = "hub" if is_hub_name(each.location) else "catalogue"
                self.notes[f"{name} {each.location} is the folder {place}, not the {whose}'s"] = (
                    None
                )

    def _require_same_run(self, run: Run) -> None:
        """Refuses a folder of a run with other parameters, or with other content behind them."""
        difference = _difference(run, self.config)
        if difference:
            raise InputError(
                f"{self.folder} holds another run ({difference}); choose another folder with --out"
            )
        try:
            changed = changed_input(self.config, run.info)
        except InputError:
            if self.missing_seeds():
                raise
            return  # what is trained can be looked at without what it was trained on
        if changed:
            raise InputError(
                f"{self.folder}: {changed}; bring that back, or choose another folder with --out"
            )
        trained = [seed for seed in run.seeds if str(seed) in run.info["data_sha256"]]
        if self.config.inputs and INPUTS not in run.info and trained and self.missing_seeds():
            # Nothing else tells whether such a run's table is still what it was.
            replace(run, config=self.config).tokenized_rows(trained[0])

    def _require_same_null_twin(self) -> None:
        """Refuses a null twin of other content than the run beside it."""
        if self.folder.name == NULL_FOLDER and exists(self.folder.parent / RUN_FILE):
            info = read_info(self.folder.parent)
            if info.get(KNOWN) != self.info().get(KNOWN):
                raise InputError(
                    f"{self.folder.parent} knows other people than its null twin would; run both "
                    "anew with --out"
                )
            changed = changed_input(self.config, info)
            if changed:
                raise InputError(
                    f"{self.folder.parent}: {changed}; its null twin must read the same, so bring "
                    "that back"
                )

    def require_inputs_of(self, folders: list[Path]) -> None:
        """Refuses an input that other runs of a sweep read from the same place as another content.

        Raises:
            InputError: an input has another content for another run.
        """
        for folder in folders:
            if exists(folder / RUN_FILE) and folder != self.folder:
                info = read_info(folder)
                shared = {
                    name: each
                    for name, each in info.get(INPUTS, {}).items()
                    if name in self.config.inputs and self.config.inputs[name].is_at(each["source"])
                }
                changed = changed_input(self.config, {INPUTS: shared})
                if changed:
                    raise InputError(
                        f"{folder}: {changed}; bring that back, or choose another folder for the "
                        "sweep with --out"
                    )

    def _check_files(self, run_id: str) -> None:
        for seed in sorted(self.folder.glob("seed-*")):
            problems = checkpoint_damage(seed, run_id, interrupted=True)
            if problems:
                raise DamagedError(f"{problems[0]}; delete {seed} and run this again")
        require_intact(self.folder)

    def _check_rows(self) -> None:
        """Draws every seed to be trained and, where that can go wrong, tokenizes it."""
        for seed in self.missing_seeds():
            if seed not in self._drawn:
                self._check_seed(seed)
                self._drawn.add(seed)

    def _check_seed(self, seed: int) -> None:
        config = with_known(self.config, self.info())
        drawn = config.data.build(seed)
        self.notes.update(dict.fromkeys(drawn.notes))
        home = seed_folder(self.folder, seed)
        has_own_words = bool(drawn.words)  # one token each, so that no two are spelled alike
        is_padded = config.loss_policy is LossPolicy.ALL
        if has_own_words and not is_padded and noted_rows(home) is None:
            return
        tokenizer = config.data.tokenizer(drawn)
        rows = tokenize_rows(drawn.rows, tokenizer)
        if noted_rows(home) is not None:
            note_rows(home, rows_digest(rows))
        if is_padded:
            check_lengths(config, rows)
        if not self._drawn:
            check_model(config, rows, tokenizer)

    def null_twin(self) -> "RunRequest":
        """The same seeds without what the design is about, in the folder's `null`.

        Raises:
            InputError: the run is itself a null twin, or its design has none.
        """
        twin = self.config.design.null_twin
        if twin is None:
            raise InputError(f"{self.config.recipe} has no null twin; leave out --with-null")
        if self.config.is_null_twin:
            raise InputError(
                f"{twin.parameter}={str(twin.value).lower()} makes the null twin itself; "
                "leave out --with-null"
            )
        recipe = find_recipe(self.config.recipe)
        config = recipe(**{**self.config.parameters, twin.parameter: twin.value})
        return RunRequest(config=config, folder=self.folder / NULL_FOLDER, seeds=self.seeds)

    def info(self) -> dict[str, Any]:
        """`run.json` as it stands on disk, or a new one."""
        has_one = exists(self.folder / RUN_FILE)
        return read_info(self.folder) if has_one else new_info(self.config)

    @property
    def trained(self) -> RunConfig:
        """The config that seeds are trained with, under the run's own id."""
        return recorded(self.config, placed(self.config, self.info()))

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
            info = placed(self.config, self.info())
            info["seeds"] = sorted({*info["seeds"], *self.seeds})
            info["started"] = info["started"] or now()
            info["model"] = self.trained.model.description
            info["finished"] = None
            if self.notes:
                info["notes"] = list(self.notes)
            files = {RUN_FILE: json_bytes(info)}
            if self.config.exam is not None and not exists(self.folder / EXAM_FILE):
                table = self.config.exam.table_of_run(run_columns(self.trained))
                files[EXAM_FILE] = table_bytes(table)
            return {self.folder: files}

        publish_runs([self.folder], make)

    def note_places(self) -> None:
        """Writes into a finished run's `run.json` where its inputs lie now, if they have moved."""

        def make() -> dict[Path, Files]:
            info = self.info()
            if not info["finished"] or INPUTS not in info:
                return {}
            moved = placed(self.config, info)
            return {} if moved == info else {self.folder: {RUN_FILE: json_bytes(moved)}}

        with suppress(InputError):  # one is gone, which is no matter to what is trained
            publish_runs([self.folder], make)


def check_together(requests: Sequence[RunRequest]) -> None:
    """Refuses what cannot be run, each by itself or side by side; changes nothing on disk.

    Raises:
        InputError: see `RunRequest.check`; or some are of an older format, in which the same
            numbers mean something else, and others are not.
        DamagedError: a checkpoint in a folder is damaged.
    """
    for request in requests:
        request.check()
    made = [r.folder for r in requests if exists(r.folder / RUN_FILE)]
    require_one_meaning([Run.load(f) for f in made], with_new=len(made) < len(requests))


def require_outside(folder: Path, *names: str) -> None:
    """Refuses a folder below one that has a file of these names, to which it would be a stray.

    Raises:
        InputError: the folder is such a stray.
    """
    for parent in folder.resolve().parents:
        for name in names:
            if exists(parent / name):
                raise InputError(
                    f"{folder} lies in {parent}, which has a {name} and is not for other things; "
                    "choose another folder with --out"
                )


def is_blank(folder: Path) -> bool:
    """Whether a folder has hidden files and blank folders at most, as of a run killed at once."""
    return folder.is_dir() and all(
        path.name.startswith(".") or is_blank(path) for path in folder.iterdir()
    )


def now() -> str:
    """The time as ISO 8601, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _difference(run: Run, new: RunConfig) -> str:
    """The first thing in which a run on disk differs from another, in words; empty if none.

    Inputs whose content is noted are compared by that, wherever they lie.
    """
    old = run.config
    if old.recipe != new.recipe:
        return f"recipe {old.recipe}, not {new.recipe}"
    noted = set(run.info.get(INPUTS, {})) & set(new.inputs) & set(old.inputs)
    changed = [
        name
        for name, value in new.parameters.items()
        if name not in noted and not _is_same(old, new, name, value)
    ]
    if not changed:
        return ""
    name = changed[0]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{name}={old.parameters[name]}, not {new.parameters[name]}{more}"


def _is_same(old: RunConfig, new: RunConfig, name: str, value: Value) -> bool:
    """Whether a parameter has one value in both, or means one place, or goes without saying."""
    if name in old.unsaid & new.unsaid:
        return True
    if name in new.inputs and name in old.inputs:
        return new.inputs[name].is_at(old.inputs[name].location)
    return old.parameters[name] == value
