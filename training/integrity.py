"""Whether a finished run is all that was written, nothing changed, nothing lost, nothing added."""

from pathlib import Path

import pandas as pd

from data.errors import DamagedError
from data.vocabulary import Stage
from training.checkpoints import checkpoint_damage, seed_folder, stage_folder, step_folder
from training.files import MANIFEST, damage
from training.inputs import ROWS_FILE, noted_rows
from training.run_info import RUN_FILE
from training.runs import METRICS_FILE, NULL_FOLDER, Run, analysis_files


def run_damage(folder: Path) -> list[str]:
    """What is damaged in a run folder, its checkpoints and its null twin, one line each."""
    problems = damage(folder, present=analysis_files(folder))
    if not problems:  # only an intact table tells which checkpoints there should be
        problems += _lost_and_added(folder)
    for seed in sorted(folder.glob("seed-*")):
        problems += checkpoint_damage(seed)
    null = folder / NULL_FOLDER
    if (null / MANIFEST).is_file() or (null / RUN_FILE).is_file():
        problems += run_damage(null)
    return problems


def _lost_and_added(folder: Path) -> list[str]:
    """Checkpoints that the metrics tell of but that are gone, and files that belong to none."""
    metrics = pd.read_parquet(folder / METRICS_FILE)
    run = Run.load(folder)
    config = run.config
    expected: set[Path] = set()
    last_steps = metrics.groupby(["seed", "stage", "stage2_seed"]).agg({"step": "max"})
    for seed, stage, stage2_seed, last in last_steps.reset_index().to_numpy().tolist():
        home = stage_folder(folder, seed, Stage(stage), stage2_seed)
        expected |= {
            step_folder(home, step) for step in config.checkpoint_steps(Stage(stage), last)
        }
    problems = [f"{path} is missing" for path in sorted(expected) if not path.is_dir()]
    for path in sorted(folder.glob("seed-*/**/*")):
        visible = not any(part.startswith(".") for part in path.relative_to(folder).parts)
        is_note = path.name == ROWS_FILE and path.parent.parent == folder
        if visible and path.is_file() and path.parent not in expected and not is_note:
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
