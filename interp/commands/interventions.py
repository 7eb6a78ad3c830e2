"""The commands that change something inside runs and watch the answers: `patch` and its kin."""

import argparse
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.design import Contrast
from data.errors import InputError, unknown_name
from data.pairs import PairKind
from data.vocabulary import Role
from interp.commands.analyses import (
    STAGES,
    add_selectors,
    fill,
    print_summary,
    roles_of,
    selection_of,
    unique,
)
from interp.commands.runs import Subparsers
from interp.hooked.addresses import HEAD_SITES

if TYPE_CHECKING:
    from interp.grids.selection import GridSelection

TESTED = ["control", "difference", "ci_low", "ci_high", "p_corrected", "n_seeds"]
Choice = TypeVar("Choice", bound=StrEnum)


def add_intervention_commands(commands: Subparsers) -> None:
    """Enters this module's commands."""
    patch = commands.add_parser(
        "patch", help="activation patching over layers, sites, heads, roles"
    )
    add_selectors(patch)
    patch.add_argument("--head", action="append", type=int, metavar="H", help="default all")
    patch.add_argument(
        "--pairs", action="append", metavar="KIND", help=f"{', '.join(PairKind)}; default alias"
    )
    patch.add_argument(
        "--subset", action="append", metavar="NAME", help="of the clean prompts; default "
        "those that are compared at the stage",
    )  # fmt: skip
    patch.add_argument("--direction", action="append", choices=("denoise", "noise"))
    patch.add_argument(
        "--metric", action="append", metavar="M",
        help="logit_diff, answer_log_prob, probability; default the first two",
    )  # fmt: skip
    patch.add_argument("--limit", type=int, default=100, metavar="N", help="pairs a subset")
    patch.add_argument(
        "--confidence", type=float, default=0.5, metavar="P",
        help="least probability of a prompt's own answer (default .5)",
    )  # fmt: skip
    patch.set_defaults(run=run_patching)

    attention = commands.add_parser("attention", help="what heads look at, write and compose")
    add_selectors(attention)
    attention.set_defaults(run=run_attention)

    ablate = commands.add_parser("ablate", help="heads, MLPs and routes of attention taken away")
    add_selectors(ablate)
    ablate.set_defaults(run=run_ablation)

    erase = commands.add_parser("erase", help="LEACE erasure of the tag, and what it changes")
    add_selectors(erase)
    erase.set_defaults(run=run_erasure)

    transplant = commands.add_parser("transplant", help="weights moved between checkpoints")
    add_selectors(transplant)
    transplant.add_argument(
        "--donor", type=Path, metavar="DIR", help="another run on the same data; default DIR itself"
    )
    transplant.add_argument(
        "--donor-stage", type=int, choices=STAGES, help="default the one before"
    )
    transplant.add_argument("--donor-step", type=int, metavar="N", help="default the stage's last")
    transplant.add_argument(
        "--differences",
        action="store_true",
        help="also what the last stage changed, module by module",
    )
    transplant.set_defaults(run=run_transplants)


def run_patching(arguments: argparse.Namespace) -> int:
    """Fills a grid of patches and prints its summary."""
    kinds = _choices(arguments.pairs, PairKind, "kind of pairs")
    if arguments.limit < 1 or not 0 <= arguments.confidence < 1:
        raise InputError("--limit must be 1 or more and --confidence in [0, 1); change them")
    selection = selection_of(arguments, sites=("resid_pre", "attn_out", "mlp_out", "z"))
    if arguments.head and not HEAD_SITES & set(selection.sites or ()):
        _refuse(arguments.head, "--head", "none of the sites has heads")
    selection.check_heads(arguments.head or ())
    subsets, roles = (
        _subsets(selection, arguments) or compared_in(selection).names,
        _patched_roles(arguments),
    )
    if not kinds or set(kinds) == {PairKind.ALIAS}:
        _check_prompt_roles(selection, roles or ())

    from interp.patching.analysis import Direction, PatchAnalysis
    from interp.patching.kept import is_counted, kept_pairs, kept_text
    from interp.patching.pair_batches import Metric
    from interp.patching.summary import attribution_correlation

    default = PatchAnalysis(subsets=subsets)
    analysis = PatchAnalysis(
        subsets=default.subsets,
        kinds=kinds or default.kinds,
        roles=roles,
        heads=unique(arguments.head) if arguments.head else None,
        directions=_choices(arguments.direction, Direction, "direction") or default.directions,
        metrics=_choices(arguments.metric, Metric, "metric") or default.metrics,
        limit=arguments.limit,
        confidence=arguments.confidence,
    )
    table, summary = fill(analysis, selection, arguments)
    metric = str(analysis.metrics[0])
    columns = ["pair_kind", "subset", "direction", "site", "layer", "head", "role", "effect"]
    columns += ["other_tag"] if PairKind.TAG in analysis.kinds else []
    columns += TESTED
    print_summary(summary.loc[summary["metric"] == metric], columns, selection)
    print(f"effect: share of the {metric} between the two prompts; difference: effect - control")
    if PairKind.TAG in analysis.kinds:
        print(f"tag pairs: in units of {metric}; difference: other_tag - control")
    for run in selection.runs:
        for subset in analysis.subsets:
            answered = table.loc[
                (table["subset"] == subset) & (table["run_id"] == run.config.run_id), "seed"
            ]
            if missing := sorted(set(selection.seeds_of(run)) - set(answered)):
                listed = ", ".join(map(str, missing))
                print(f"{subset} left out of seeds {listed}: no pair is answered with confidence")
        of_run = table.loc[table["run_id"] == run.config.run_id]
        for _, kept in kept_pairs(of_run, selection.seeds_of(run)).groupby(["pair_kind", "subset"]):
            kind, subset = kept[["pair_kind", "subset"]].iloc[0]
            print(
                f"{kind} pairs of {subset}: {kept_text(kept)}; {kept['dropped'].mean():.0%} dropped"
            )
    found = attribution_correlation(table.loc[is_counted(table)])
    grids = found.groupby(["pair_kind", "subset", "direction", "metric"])
    agreement = grids.agg(
        correlation=("correlation", "mean"),
        lowest=("correlation", "min"),
        slope=("slope", "mean"),
        mean_error=("mean_error", "mean"),
    )
    print("\nattribution patching against the exact grid, over seeds (slope 1: as large):")
    print(agreement.round(3).to_string())
    return 0


def run_attention(arguments: argparse.Namespace) -> int:
    """Fills a grid of attention summaries and prints what carries the alias to the answer."""
    _refuse(arguments.site, "--site", "attention has layers and heads")
    roles = _choices(arguments.role, Role, "role")
    selection = selection_of(arguments)

    from interp.attention.analysis import AttentionAnalysis

    analysis = AttentionAnalysis.of(compared_in(selection), roles or None)
    summary = fill(analysis, selection, arguments)[1]
    columns = ["subset", "text", "kind", "layer", "head", "destination", "source", "value"]
    shown = summary.loc[summary["destination"].isin(["prompt_last", ""])]
    columns += TESTED
    print_summary(shown, columns, selection)
    print("difference and p: value - control; heads by rank (#1 the strongest of each seed)")
    return 0


def run_ablation(arguments: argparse.Namespace) -> int:
    """Fills a grid of ablations and knock-outs and prints its summary."""
    _refuse(arguments.role, "--role", "components are ablated at every token")

    from interp.interventions.ablation_analysis import ABLATED_SITES, AblationAnalysis

    selection = selection_of(arguments, sites=ABLATED_SITES)
    summary = fill(AblationAnalysis(), selection, arguments)[1]
    columns = ["kind", "subset", "intervention", "site", "layer", "head", "route", "effect"]
    shown = summary.loc[summary["metric"] == "exact_match"]
    print_summary(shown, [*columns, *TESTED], selection)
    print("effect: exact match with the intervention minus without; -1 is all layers or heads")
    return 0


def run_erasure(arguments: argparse.Namespace) -> int:
    """Fills a grid of erasures and prints what the answers lose."""
    selection = selection_of(arguments)
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.interventions.erasure_analysis import ErasureAnalysis

    analysis = ErasureAnalysis(roles=roles) if roles else ErasureAnalysis()
    summary = fill(analysis, selection, arguments)[1]
    columns = ["target", "subset", "site", "layer", "role", "metric", "before", "after"]
    print_summary(summary, [*columns, *TESTED], selection)
    print("control: as many random directions erased; difference and p: after - control")
    return 0


def run_transplants(arguments: argparse.Namespace) -> int:
    """Moves every part between two stages or runs and prints the gap that comes with it."""
    if len(arguments.folders) > 1:
        raise InputError("transplants are of one run; name one DIR, and the donor with --donor")
    selection = selection_of(arguments)
    branches_at = selection.runs[0].config.schedule.branches_at
    if arguments.differences and arguments.stage != branches_at:
        has = f"add --stage {branches_at}" if branches_at else f"{arguments.folders[0]} has one"
        raise InputError(f"--differences is about what the last of several stages changed; {has}")

    from interp.grids.selection import GridSelection
    from interp.transplants.analysis import TransplantAnalysis
    from interp.transplants.differences import WeightDifferenceAnalysis
    from training.runs.run import Run

    donor_stage = arguments.donor_stage or (2 if arguments.stage == 1 else arguments.stage - 1)
    donor = Run.load(arguments.donor or arguments.folders[0])
    donor_place = {"stage": donor_stage, "step": arguments.donor_step, "seeds": selection.seeds}
    GridSelection(runs=(donor,), **donor_place).check()
    roles = roles_of(arguments)
    selection.check_roles(roles)
    analysis = TransplantAnalysis(
        folder=arguments.folders[0],
        recipient_stage=arguments.stage,
        recipient_step=arguments.step,
        donor_stage=donor_stage,
        donor_step=arguments.donor_step,
        donor_folder=arguments.donor,
        roles=roles,
    )
    summary = fill(analysis, selection, arguments)[1]
    is_here = (summary["from_stage"] == donor_stage) & (summary["donor"] == analysis.donor_name)
    shown = summary.loc[
        is_here & (summary["metric"] == "exact_match") & (summary["contrast"] == "recipient")
    ]
    columns = ["part", "subset", "from_stage", "to_stage", "donor", "value", "recipient"]
    print_summary(shown, [*columns, *TESTED], selection)
    if arguments.differences:
        changes = WeightDifferenceAnalysis(folder=arguments.folders[0], step=arguments.step)
        differences = fill(changes, selection, arguments)[1]
        columns = ["module", "norm", "relative_norm", "stable_rank", "cosine_same_tag"]
        columns += ["cosine_other_tag", *TESTED[1:]]
        print_summary(differences, columns, selection)
        print("difference: cosine_same_tag - cosine_other_tag")
    return 0


def _refuse(given: object, flag: str, reason: str) -> None:
    if given:
        raise InputError(f"{flag} does nothing here: {reason}; leave it out")


def compared_in(selection: "GridSelection") -> Contrast:
    """What the stage of a grid is about, by the design and schedule of its first run."""
    return selection.runs[0].compared_at(selection.stage)


def _subsets(selection: "GridSelection", arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The subsets that were named."""
    selection.runs[0].design.require(arguments.subset or ())
    return unique(arguments.subset) if arguments.subset else None


def _patched_roles(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The token roles that were named, and `all` for every position at once."""
    from interp.hooked.addresses import TokenRole
    from interp.patching.pair_batches import EVERYWHERE

    return (
        unique(
            EVERYWHERE if name.lower() == EVERYWHERE else str(TokenRole.parse(name))
            for name in arguments.role or ()
        )
        or None
    )


def _check_prompt_roles(selection: "GridSelection", roles: tuple[str, ...]) -> None:
    """Refuses roles that the prompts of pairs of aliases lack, before a model is opened."""
    from interp.hooked.addresses import TokenRole
    from interp.patching.pair_batches import EVERYWHERE

    single = [TokenRole(role) for role in roles if role != EVERYWHERE]
    for role in single:
        if role in (TokenRole.ANSWER_FIRST, TokenRole.ANSWER_LAST):
            raise InputError(
                f"no prompt has the role {role}: it ends before the answer; leave it out"
            )
    selection.check_roles(single)


def _choices(names: list[str] | None, kind: type[Choice], what: str) -> tuple[Choice, ...]:
    """The members of these names, each once."""
    known = [str(member) for member in kind]
    for name in names or ():
        if name not in known:
            raise unknown_name(what, name, known)
    return unique(kind(name) for name in names or ())
