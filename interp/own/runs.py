"""A run from Python: train or open it, and look at it as the commands do.

    run = open_or_train("runs/alias-toy", "alias-toy")     iml run alias-toy
    table, summary = look(run, "lens", stage=2)            iml lens runs/alias-toy --stage 2

A command writes its tables into the run's folder. `look` takes them from there, and writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import fill

from data.errors import unknown_name
from interp.alignment.analysis import AlignmentAnalysis
from interp.alignment.branches import BranchAnalysis
from interp.attention.analysis import AttentionAnalysis
from interp.circuits.analysis import CircuitAnalysis
from interp.codes.analysis import CODE_SITES, CodesAnalysis
from interp.dictionaries.analysis import SITES as DICTIONARY_SITES
from interp.dictionaries.analysis import DictionaryAnalysis
from interp.grids.grid import Analysis, for_design
from interp.grids.known_tables import Tables, known_or_measured
from interp.grids.selection import GridSelection
from interp.grids.settings import placed
from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis
from interp.lenses.analysis import LensAnalysis
from interp.patching.analysis import PATCHED_SITES, PatchAnalysis
from interp.probes.analysis import ProbeAnalysis
from training.config import Value
from training.progress import show_progress
from training.recipes import find_recipe
from training.runs.info import RUN_FILE
from training.runs.publication import exists
from training.runs.requests import RunRequest
from training.runs.run import Run, write_null_verdict

FIRST_SEED, N_SEEDS = 1000, 8
"""As `iml run` numbers them."""
SCREEN = 96  # characters


def open_or_train(
    folder: Path | str,
    recipe: str,
    *,
    settings: Mapping[str, Value] | None = None,
    n_seeds: int = N_SEEDS,
    with_null: bool = False,
) -> Run:
    """The run of a folder; it is trained, or finished, if it is not there, as `iml run` does it.

    A finished run is taken as it is, whatever its settings and seeds. A script calls this below
    `if __name__ == "__main__":`, since seeds are trained in processes that import it.

    Args:
        folder: Of the run.
        recipe: What is trained: a name that `iml recipes` lists.
        settings: Values of the recipe's parameters; its defaults unless given.
        n_seeds: Seeds to train, from 1000 on.
        with_null: Whether to train the control twin (for most recipes a null twin), too.

    Raises:
        InputError: there is no such recipe or parameter, or the folder holds something else.
    """
    folder = Path(folder)
    if not exists(folder / RUN_FILE) or not Run.load(folder).is_finished:
        from training.runs.runner import run_seeds

        config = find_recipe(recipe)(**(settings or {}))
        seeds = tuple(range(FIRST_SEED, FIRST_SEED + n_seeds))
        request = RunRequest(config=config, folder=folder, seeds=seeds)
        requests = [request, request.null_twin()] if with_null else [request]
        with show_progress(recipe) as progress:
            run_seeds(requests, progress=progress)
        write_null_verdict(Run.load(folder))
    return Run.load(folder)


def look(
    run: Run,
    analysis: str,
    *,
    stage: int | None = None,
    step: int | None = None,
    along: bool = False,
    layers: tuple[int, ...] | None = None,
    **settings: object,
) -> Tables:
    """What a command finds in a run: a row for each seed and cell, and a row for each cell.

    The folder's tables are taken if they have every seed at this checkpoint and were measured with
    the same settings. Else the analysis is done now, with one line of progress at a time.

    Args:
        run: A finished run, which stays as it is.
        analysis: one of `probe lens patch attention ablate circuit codes sae align
            branches`.
        stage: At whose end to look; Stage 1 unless given, with `along` all.
        step: The checkpoint, in place of the stage's last.
        along: Whether to look at every checkpoint that all seeds have.
        layers: Where to look; at all unless given.
        **settings: Fields of the analysis, as `quick` of `interp.probes.analysis.ProbeAnalysis`;
            those of the command unless given.

    Raises:
        InputError: there is no such analysis or setting, or the run is unfinished.
    """
    if analysis not in _KINDS:
        raise unknown_name("analysis", analysis, _KINDS)
    kind = _KINDS[analysis]
    known = [each.name for each in fields(kind.analysis)]  # pyright: ignore[reportArgumentType]
    for name in settings:
        if name not in known:
            raise unknown_name(f"setting of {analysis}", name, known)
    run.require_finished()
    stages = tuple(map(int, run.config.schedule.stages))
    at = stage or (max(stages) if along else 1)
    asked = for_design(kind.analysis(**{**kind.defaults(run, at), **settings}), run.design)
    if step is not None:
        asked = placed(asked, at, step)
    selection = GridSelection(
        runs=(run,),
        stage=at,
        step=step,
        sites=kind.sites,
        layers=layers,
        along=((stage,) if stage else stages) if along else (),
    )
    selection.check()
    with show_progress(analysis, unit="checkpoint") as progress:
        return known_or_measured(asked, selection, progress=progress)


def say(*sentences: str) -> None:
    """Prints sentences, each a paragraph in lines that fit a screen."""
    print("\n\n".join(fill(sentence, SCREEN) for sentence in sentences))


@dataclass(frozen=True)
class _Kind:
    """An analysis as its command does it where nothing is said."""

    analysis: Callable[..., Analysis]
    defaults: Callable[[Run, int], dict[str, object]] = lambda run, stage: {}
    sites: tuple[str, ...] | None = None


_KINDS = {
    "probe": _Kind(ProbeAnalysis),
    "lens": _Kind(LensAnalysis),
    "patch": _Kind(
        PatchAnalysis,
        lambda run, stage: {"subsets": run.compared_at(stage).names},
        sites=PATCHED_SITES,
    ),
    "attention": _Kind(
        AttentionAnalysis,
        lambda run, stage: {"subsets": AttentionAnalysis.of(run.compared_at(stage)).subsets},
    ),
    "ablate": _Kind(AblationAnalysis, sites=ABLATED_SITES),
    "circuit": _Kind(CircuitAnalysis, lambda run, stage: {"contrast": run.compared_at(stage).name}),
    "codes": _Kind(
        CodesAnalysis,
        lambda run, stage: {"folder": run.folder, "stage": stage},
        sites=CODE_SITES,
    ),
    "sae": _Kind(
        DictionaryAnalysis,
        lambda run, stage: {"folder": run.folder, "stage": stage},
        sites=DICTIONARY_SITES,
    ),
    "align": _Kind(AlignmentAnalysis, lambda run, stage: {"folder": run.folder, "stage": stage}),
    "branches": _Kind(BranchAnalysis, lambda run, stage: {"folder": run.folder}),
}
