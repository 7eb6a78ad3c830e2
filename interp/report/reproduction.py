"""Commands that make a run, its analyses and its page again, with every flag that is no default.

A setting that no flag sets, which only Python can have set, is told in a comment beside them.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from interp.alignment.analysis import AlignmentAnalysis
from interp.alignment.branches import BranchAnalysis
from interp.alignment.left_out import LeftOutAnalysis
from interp.alignment.pairs import default_limit
from interp.alignment.surgery import SurgeryAnalysis
from interp.alignment.updates import UpdateAnalysis
from interp.attention.analysis import AttentionAnalysis
from interp.codes.analysis import CODE_SITES, CodesAnalysis
from interp.figures.grid_tables import table_of
from interp.figures.words import consecutive, plain
from interp.grids.grid import Analysis, for_design
from interp.grids.selection import GridSelection
from interp.grids.settings import Entry, settings_of, table_settings, unrecorded
from interp.hypotheses.files import load_results
from interp.hypotheses.freezing import shipped_names
from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis
from interp.interventions.erasure_analysis import ErasureAnalysis
from interp.lenses.analysis import LensAnalysis
from interp.mediation.analysis import MediationAnalysis
from interp.patching.analysis import PATCHED_SITES, PatchAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.transplants.analysis import TransplantAnalysis
from interp.transplants.differences import WeightDifferenceAnalysis
from interp.turns.analysis import TurnAnalysis
from interp.twins.analysis import TwinAnalysis
from training.recipes import find_recipe
from training.runs.run import NULL_FOLDER, Run

ROLES = {"roles": "--role"}
POLICY = {"loss_policy": "--loss-policy", "allow_materialise": "--allow-materialise"}


@dataclass(frozen=True, kw_only=True)
class _Command:
    """The command that fills a table."""

    words: str
    default: Callable[[Run, int, Entry], Analysis]
    """What the command does at a stage without flags; some defaults depend on other settings."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """The flag of each setting that has one; empty where another flag says the same."""
    sites: tuple[str, ...] | None = None
    has_stage: bool = True
    """Whether `--stage` and `--step` choose the checkpoint."""


def _test(name: str, kind: Callable[..., Analysis]) -> _Command:
    return _Command(
        words=f"align {{folder}} --test {name}",
        default=lambda run, stage, entry: kind(folder=run.folder),
        flags={"limit": "--limit", **POLICY},
        has_stage=False,
    )


def _alignment(run: Run, stage: int, entry: Entry) -> Analysis:
    given = entry["analysis"]
    limit = default_limit(given["pairs"], given["components"])
    return AlignmentAnalysis(folder=run.folder, limit=limit)


COMMANDS: dict[str, _Command] = {
    "probes": _Command(
        words="probe {folder}",
        default=lambda run, stage, entry: ProbeAnalysis(),
        flags={"targets": "--target", "quick": "--quick", "C": "", **ROLES},
    ),
    "lens": _Command(
        words="lens {folder}", default=lambda run, stage, entry: LensAnalysis(), flags=ROLES
    ),
    "patching": _Command(
        words="patch {folder}",
        default=lambda run, stage, entry: PatchAnalysis(subsets=run.compared_at(stage).names),
        flags={
            "kinds": "--pairs",
            "subsets": "--subset",
            "heads": "--head",
            "directions": "--direction",
            "metrics": "--metric",
            "limit": "--limit",
            "confidence": "--confidence",
            **ROLES,
        },
        sites=PATCHED_SITES,
    ),
    "attention": _Command(
        words="attention {folder}",
        default=lambda run, stage, entry: AttentionAnalysis.of(run.compared_at(stage)),
        flags=ROLES,
    ),
    "ablation": _Command(
        words="ablate {folder}",
        default=lambda run, stage, entry: AblationAnalysis(),
        sites=ABLATED_SITES,
    ),
    "erasure": _Command(
        words="erase {folder}", default=lambda run, stage, entry: ErasureAnalysis(), flags=ROLES
    ),
    "codes": _Command(
        words="codes {folder}",
        default=lambda run, stage, entry: CodesAnalysis(folder=run.folder, stage=stage),
        flags=ROLES,
        sites=CODE_SITES,
    ),
    "transplants": _Command(
        words="transplant {folder}",
        default=lambda run, stage, entry: TransplantAnalysis(
            folder=run.folder, recipient_stage=stage, donor_stage=2 if stage == 1 else stage - 1
        ),
        flags={
            "donor": "--donor",
            "donor_stage": "--donor-stage",
            "donor_step": "--donor-step",
            **ROLES,
        },
    ),
    "weight_differences": _Command(
        words="transplant {folder} --differences",
        default=lambda run, stage, entry: WeightDifferenceAnalysis(folder=run.folder),
    ),
    "alignment": _Command(
        words="align {folder}",
        default=_alignment,
        flags={
            "subsets": "--subset",
            "pairs": "--pairs",
            "components": "--components",
            "limit": "--limit",
            **POLICY,
        },
    ),
    "branches": _test("branches", BranchAnalysis),
    "mediation": _Command(
        words="mediate {folder}",
        default=lambda run, stage, entry: MediationAnalysis(folder=run.folder),
        flags={"limit": "--limit", **POLICY},
        has_stage=False,
    ),
    "twins": _Command(
        words="twins {folder}",
        default=lambda run, stage, entry: TwinAnalysis(folder=run.folder),
        flags={"exchanged_in": "--exchanged-in"},
        has_stage=False,
    ),
    "updates": _test("updates", UpdateAnalysis),
    "surgery": _test("surgery", SurgeryAnalysis),
    "left_out": _test("left-out", LeftOutAnalysis),
    "turns": _Command(
        words="turn {folder}",
        default=lambda run, stage, entry: TurnAnalysis(folder=run.folder),
        flags={"treatments": "--treatment", "doses": "--dose", "limit": "--limit"},
        has_stage=False,
    ),
}
"""The command that fills each table, by the stem of the table's name."""


def reproduction_commands(run: Run) -> list[str]:
    """Command lines that train the same seeds with the same settings, look, and report."""
    defaults = find_recipe(run.config.recipe).parameters
    words = ["--with-null"] if run.null is not None else []
    for name, value in run.config.parameters.items():
        if plain(value) != plain(defaults[name].default):
            words += ["--set", shlex.quote(f"{name}={plain(value)}")]
    commands = [
        " ".join(["iml run", run.config.recipe, f"--seeds {low}:{high + 1}", *words])
        for low, high in consecutive(run.seeds)
    ]
    folder = f"runs/{run.config.recipe}"
    commands += analysis_commands(run, folder)
    if run.null is not None:
        commands += analysis_commands(run.null, f"{folder}/{NULL_FOLDER}")
    commands += [*_orders(run, folder), *_hypothesis_commands(run, folder)]
    return [*commands, f"iml report {folder}"]


def _hypothesis_commands(run: Run, folder: str) -> list[str]:
    """The commands that check the same hypotheses, those known by name all at once."""
    names = {result.name for result in load_results(run)}
    known = names & set(shipped_names())
    own = [f"iml hypothesis {shlex.quote(name)}.py {folder}" for name in sorted(names - known)]
    return [f"iml hypothesis {folder}", *own] if known else own


def _orders(run: Run, folder: str) -> list[str]:
    """The commands that put together what other tables have along training."""
    table = table_of(run, "orders")
    stages = [] if table is None else sorted(set(table["stage"]))
    return [f"iml order {folder} --stage {stage}" for stage in stages]


def analysis_commands(run: Run, folder: str) -> list[str]:
    """A command for each checkpoint and setting that a run's tables have rows of.

    Args:
        run: The run whose tables they are.
        folder: What to call the folder of the run.
    """
    lines: list[str] = []
    for name, command in COMMANDS.items():
        table = table_of(run, name)
        if table is None:
            continue
        words = f"iml {command.words.format(folder=folder)}"
        for entry in table_settings(table):
            for each in _of_entry(run, folder, name, entry):
                alone = each.replace(" --differences", "")
                if alone != each and alone in lines:  # it makes both tables
                    lines.remove(alone)
                lines.append(each)
        if unrecorded(table):
            lines.append(f"# {words}: settings not recorded")
    return lines


def _of_entry(run: Run, folder: str, name: str, entry: Entry) -> list[str]:
    """The commands of one entry: one, or one for each checkpoint."""
    command = COMMANDS[name]
    covers = [each for each in entry["covers"] if each["run_id"] == run.config.run_id]
    if _is_every_step(run, covers) and command.has_stage:
        stage = covers[0]["stage"] if name == "alignment" else max(each["stage"] for each in covers)
        covers = [{**covers[0], "stage": stage, "step": None}]
    lines = []
    for place in covers:
        stage, step, seeds = place["stage"], place["step"], place["seeds"]
        flags = [] if seeds == run.seeds else [f"--seed {seed}" for seed in seeds]
        if step is None:
            flags.append("--all-steps" if name == "alignment" else "--along")
        elif command.has_stage:
            flags += [] if stage == 1 else [f"--stage {stage}"]
            is_last = all(run.steps(seed, stage)[-1:] == [step] for seed in seeds)
            flags += [] if is_last else [f"--step {step}"]
        given, other = _flags(run, folder, command, stage, entry)
        words = f"iml {command.words.format(folder=folder)}"
        lines.append(" ".join([words, *flags, *given, *other]))
    return lines


def _flags(
    run: Run, folder: str, command: _Command, stage: int, entry: Entry
) -> tuple[list[str], list[str]]:
    """Flags of what was not default, and a comment on what has none."""
    selection = GridSelection(runs=(run,), stage=stage, sites=command.sites)
    analysis = for_design(command.default(run, stage, entry), run.design)
    default = settings_of(analysis, selection)
    known = {"sites": "--site", "layers": "--layer", "device": "--device", **command.flags}
    flags, unknown = [], []
    for part in ("selection", "analysis"):
        for name, value in entry[part].items():
            if name in default[part] and value == default[part][name]:
                continue
            if name == "runs":
                unknown.append(f"one grid of runs {', '.join(value)}")
            elif name not in known or value is None or value is False:
                unknown.append(f"{name}={plain(value)}, set in Python")
            elif known[name]:
                flags += _words(known[name], _folder_of(value, folder, name))
    return flags, [f" # {'; '.join(unknown)}"] if unknown else []


def _words(flag: str, value: object) -> list[str]:
    if value is True:
        return [flag]
    values = value if isinstance(value, list) else [value]
    return [f"{flag} {shlex.quote(plain(each))}" for each in values]


def _folder_of(value: object, folder: str, name: str) -> object:
    """The folder of a donor, which is known by its name, wherever it is."""
    if name != "donor":
        return value
    return f"{folder}/{NULL_FOLDER}" if value == NULL_FOLDER else f"runs/{value}"


def _is_every_step(run: Run, covers: Sequence[Mapping]) -> bool:
    """Whether the same seeds were looked at in all checkpoints that they have in common."""
    seeds = covers[0]["seeds"]
    if len(covers) < 2 or any(each["seeds"] != seeds for each in covers):
        return False
    every = {
        (int(stage), step)
        for stage in run.config.schedule.stages
        for step in set.intersection(*(set(run.steps(seed, int(stage))) for seed in seeds))
    }
    return every == {(each["stage"], each["step"]) for each in covers}
