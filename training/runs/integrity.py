"""Whether a finished run is all that was written, nothing changed, nothing lost, nothing added."""

from contextlib import suppress
from pathlib import Path

from data.errors import DamagedError, InputError
from data.vocabulary import Stage
from training.files import ABOUT, MANIFEST, read_manifest
from training.runs.checkpoints import (
    checkpoint_damage,
    checkpoint_digest,
    parent_of,
    saved_steps,
    seed_folder,
    stage_folder,
    start_of_stage,
    step_folder,
)
from training.runs.info import RUN_FILE
from training.runs.inputs import ROWS_FILE, noted_rows
from training.runs.publication import exists, published_damage, settled, told_about
from training.runs.run import NULL_FOLDER, Run, analysis_files


def run_damage(folder: Path) -> list[str]:
    """What is damaged in a run folder, its checkpoints and its null twin, one line each.

    Whatever other commands write meanwhile is no damage.

    Raises:
        InputError: there is no run, or it, or its null twin, is not finished.
        DamagedError: it has no manifest, and `run.json` is unreadable.
    """
    return settled([folder, folder / NULL_FOLDER], lambda: _damage(folder))


def _damage(folder: Path) -> list[str]:
    run = _opened(folder)
    problems = published_damage(folder, present=analysis_files(folder))
    intact = None if problems else run
    if intact is not None:  # only intact tables tell which checkpoints there should be
        problems = _lost_and_added(intact) + _strangers(intact)
    for seed in sorted(folder.glob("seed-*")):
        problems += checkpoint_damage(seed, None if run is None else run.config.run_id)
    try:
        return problems + _damage_of_null(folder, intact)
    except InputError:
        if problems:
            return problems
        raise  # the null twin is not finished, and nothing else is wrong


def _opened(folder: Path) -> Run | None:
    """The run; None if a changed `run.json` keeps it from being opened."""
    try:
        run = Run.load(folder)
    except (InputError, DamagedError):
        if not published_damage(folder, present=()):
            raise  # what the manifest vouches for is of a newer version, say
        if not exists(folder / MANIFEST) and not exists(folder / RUN_FILE):
            raise
        return None
    run.require_finished()
    return run


def _damage_of_null(folder: Path, run: Run | None) -> list[str]:
    """What is wrong with the null twin in a run's folder; `run` if the rest of it is intact."""
    null = folder / NULL_FOLDER
    told = None if run is None else told_about(folder).get(NULL_FOLDER)
    if exists(null / MANIFEST) or exists(null / RUN_FILE):
        problems = _damage(null)
        if problems or told is None or (found := Run.load(null).config.run_id) == told:
            return problems
        return [f"{null} is run {found}, not the null twin, which is run {told}"]
    if told is not None or (run is not None and "null_equivalence" in run.summary):
        return [f"{null} is missing"]
    added = [path for path in sorted(null.rglob("*")) if _is_visible(path, null)]
    return [f"{path} is not in the manifest" for path in added]


def _lost_and_added(run: Run) -> list[str]:
    """Checkpoints that the metrics tell of but that are gone, and files that belong to none."""
    folder, config, expected = run.folder, run.config, set[Path]()
    last_steps = run.metrics.groupby(["seed", "stage", "stage2_seed"]).agg({"step": "max"})
    for seed, stage, stage2_seed, last in last_steps.reset_index().to_numpy().tolist():
        home = stage_folder(folder, seed, Stage(stage), stage2_seed)
        expected |= {
            step_folder(home, step) for step in config.checkpoint_steps(Stage(stage), last)
        }
    problems = [f"{path} is missing" for path in sorted(expected) if not path.is_dir()]
    for path in sorted(folder.glob("seed-*/**/*")):
        is_note = path.name == ROWS_FILE and path.parent.parent == folder
        if _is_visible(path, folder) and path.parent not in expected and not is_note:
            problems.append(f"{path} is not in the manifest of a checkpoint")
    return problems + _other_rows(run)


def _other_rows(run: Run) -> list[str]:
    """Seeds that note other rows than `run.json`; those from before rows were noted have none."""
    problems = []
    for seed, digest in run.info["data_sha256"].items():
        home = seed_folder(run.folder, int(seed))
        try:
            noted = noted_rows(home)
        except DamagedError:
            noted = ""
        if noted not in (None, digest):
            problems.append(f"{home / ROWS_FILE} does not match {RUN_FILE}")
    return problems


def _strangers(run: Run) -> list[str]:
    """Checkpoints that were not trained on from the one before them here, one line each."""
    problems = []
    for seed in run.seeds:
        for stage in run.config.schedule.stages:
            start = start_of_stage(run.folder, run.config, seed, stage)
            branches = run.config.seeds_stage2 if stage is run.config.schedule.branches_at else 1
            homes = [stage_folder(run.folder, seed, stage, branch) for branch in range(branches)]
            for step in (step_folder(home, step) for home in homes for step in saved_steps(home)):
                parent = parent_of(step, start)
                if parent is not None and not _is_child(step, parent):
                    problems.append(f"{step} was not trained on from {parent}")
    return problems


def _is_child(step: Path, parent: Path) -> bool:
    """Whether a checkpoint's manifest names that parent, or is damaged or older and names none."""
    with suppress(DamagedError):  # which is told elsewhere
        told = read_manifest(step).get(ABOUT)
        return told is None or told.get("parent") == checkpoint_digest(parent)
    return True


def _is_visible(path: Path, folder: Path) -> bool:
    """Whether a path is a file that is not hidden, nor in a hidden folder, below `folder`."""
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not is_hidden
