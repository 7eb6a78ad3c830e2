"""The command `patch`: which activation, put into another prompt, carries the answer?"""

import argparse
from typing import TYPE_CHECKING

from data.errors import InputError
from data.pairs import PairKind
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import TESTED, Findings, Said, largest_first, print_findings
from interp.commands.selectors import (
    add_selectors,
    choices_of,
    compared_in,
    refuse,
    selection_of,
    unique,
)
from interp.hooked.addresses import HEAD_SITES

if TYPE_CHECKING:
    import pandas as pd

    from interp.grids.selection import GridSelection
    from interp.patching.analysis import PatchAnalysis
    from training.runs.run import Run


def add_command(commands: Subparsers) -> None:
    """Adds `iml patch` and its options to the command line."""
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
        "the two that are compared at the stage",
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
    patch.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of patches and prints what carries the answer."""
    kinds = choices_of(arguments.pairs, PairKind, "kind of pairs")
    if arguments.limit < 1 or not 0 <= arguments.confidence < 1:
        raise InputError("--limit must be 1 or more and --confidence in [0, 1); change them")
    selection = selection_of(arguments, sites=("resid_pre", "attn_out", "mlp_out", "z"))
    if arguments.head and not HEAD_SITES & set(selection.sites or ()):
        refuse(arguments.head, "--head", "none of the sites has heads")
    selection.check_heads(arguments.head or ())
    subsets, roles = (
        _subsets(selection, arguments) or compared_in(selection).names,
        _patched_roles(arguments),
    )
    if not kinds or set(kinds) == {PairKind.ALIAS}:
        _check_prompt_roles(selection, roles or ())

    from interp.patching.analysis import Direction, PatchAnalysis
    from interp.patching.pair_batches import PatchMetric

    default = PatchAnalysis(subsets=subsets)
    analysis = PatchAnalysis(
        subsets=default.subsets,
        kinds=kinds or default.kinds,
        roles=roles,
        heads=unique(arguments.head) if arguments.head else None,
        directions=choices_of(arguments.direction, Direction, "direction") or default.directions,
        metrics=choices_of(arguments.metric, PatchMetric, "metric") or default.metrics,
        limit=arguments.limit,
        confidence=arguments.confidence,
    )
    tables = fill(analysis, selection, arguments)
    print_findings(_patched(analysis, selection, *tables), arguments)
    return 0


def _patched(
    analysis: "PatchAnalysis",
    selection: "GridSelection",
    table: "pd.DataFrame",
    summary: "pd.DataFrame",
) -> Findings:
    """What carries the answer."""
    from interp.patching.pair_batches import EVERYWHERE

    metric = str(analysis.metrics[0])
    of_metric = summary.loc[summary["metric"] == metric]
    # The stream before layer 0 is the prompt's embedding: what it does is known beforehand.
    is_known = (of_metric["site"] == "resid_pre") & (of_metric["layer"] == 0)
    columns = ["pair_kind", "subset", "direction", "site", "layer", "head", "role", "effect"]
    columns += ["other_tag"] if PairKind.TAG in analysis.kinds else []
    legend = f"effect: share of the {metric} between the two prompts; difference: effect - control."
    if PairKind.TAG in analysis.kinds:
        legend += f" tag pairs: in units of {metric}; difference: other_tag - control."
    return Findings(
        analysis=analysis.name,
        said=[
            _said(*each, analysis=analysis, seeds=selection.seeds_of(each[0]))
            for each in by_checkpoint(selection, summary, table)
        ],
        summary=summary,
        cells=of_metric,
        columns=[*columns, *TESTED],
        first=largest_first(of_metric.loc[~is_known & (of_metric["role"] != EVERYWHERE)]),
        which="single tokens that differ from their control first, by size",
        legend=legend,
    )


def _said(
    run: "Run",
    stage: int,
    step: int,
    cells: "pd.DataFrame",
    rows: "pd.DataFrame",
    *,
    analysis: "PatchAnalysis",
    seeds: list[int],
) -> Said:
    """Sentences about every kind of pairs of one run and checkpoint, and whom they leave out."""
    from interp.patching.kept import kept_pairs, kept_text
    from interp.patching.wording import asked_first, details, first_metric, found

    kinds = sorted(set(cells["pair_kind"]))
    sentences, more = [], []
    for kind in kinds:
        told, own = (each.loc[each["pair_kind"] == kind] for each in (cells, rows))
        subsets = asked_first(told, run.compared_at(stage).names)
        head = f"{kind} pairs: " if len(kinds) > 1 else ""
        asked = str(analysis.metrics[0])
        metric = asked if asked in set(told["metric"]) else first_metric(told)
        sentences += [head + text for text in found(own, told, subsets, metric=metric)]
        more += [head + text for text in details(own, subsets, metric=metric)]
    for subset in analysis.subsets:
        known = set(rows.loc[rows["subset"] == subset, "seed"])
        if missing := sorted(set(seeds) - known):
            listed = ", ".join(map(str, missing))
            sentences.append(
                f"{subset} is left out of seeds {listed}: no pair is answered with confidence."
            )
    for (kind, subset), kept in kept_pairs(rows, seeds).groupby(["pair_kind", "subset"]):  # pyright: ignore[reportGeneralTypeIssues]
        more.append(
            f"{kind} pairs of {subset}: {kept_text(kept)}; {kept['dropped'].mean():.0%} dropped."
        )
    return Said(run=run, stage=stage, step=step, sentences=sentences, details=more)


def _subsets(selection: "GridSelection", arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The subsets that `--subset` names, each once; None without the option."""
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
