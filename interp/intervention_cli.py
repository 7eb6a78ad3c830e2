"""The commands that change something inside runs and watch the answers: `patch` and its kin."""

import argparse
from enum import StrEnum
from typing import TypeVar

from data.errors import InputError
from data.pairs import PairKind
from data.vocabulary import COMPARED, SUBSETS, Stage
from interp.analysis_cli import add_selectors, fill, print_summary, selection_of, unique
from training.cli import Subparsers

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
        "D1 and D2 in Stage 1, D5 and D6 in Stage 2",
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


def run_patching(arguments: argparse.Namespace) -> int:
    """Fills a grid of patches and prints its summary."""
    kinds = _choices(arguments.pairs, PairKind, "kind of pairs")
    if arguments.limit < 1 or not 0 <= arguments.confidence < 1:
        raise InputError("--limit must be 1 or more and --confidence in [0, 1); change them")
    selection = selection_of(arguments, sites=("resid_pre", "attn_out", "mlp_out", "z"))

    from interp.pair_batches import Metric
    from interp.patching import Direction, PatchAnalysis, attribution_correlation

    default = PatchAnalysis(subsets=subsets_of(arguments))
    analysis = PatchAnalysis(
        subsets=default.subsets,
        kinds=kinds or default.kinds,
        roles=_patched_roles(arguments),
        heads=unique(arguments.head) if arguments.head else None,
        directions=_choices(arguments.direction, Direction, "direction") or default.directions,
        metrics=_choices(arguments.metric, Metric, "metric") or default.metrics,
        limit=arguments.limit,
        confidence=arguments.confidence,
    )
    table, summary = fill(analysis, selection)
    metric = str(analysis.metrics[0])
    columns = ["pair_kind", "subset", "direction", "site", "layer", "head", "role", "effect"]
    columns += ["control", "ci_low", "ci_high", "p_corrected", "n_seeds"]
    print_summary(summary.loc[summary["metric"] == metric], columns, selection)
    print(f"effect: share of the {metric} between the two prompts; interval of effect - control")
    found = attribution_correlation(table)
    correlations = found.groupby(["pair_kind", "subset", "direction", "metric"])["correlation"]
    print("\ncorrelation of attribution patching with the exact grid, over seeds:")
    print(correlations.agg(["mean", "min"]).round(3).to_string())
    return 0


def subsets_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The subsets that were named, or those whose definitions are new in the stage."""
    for name in arguments.subset or ():
        if name not in SUBSETS:
            raise InputError(f"no subset {name!r}; choose one of {', '.join(SUBSETS)}")
    return unique(arguments.subset) if arguments.subset else COMPARED[Stage(arguments.stage)]


def _patched_roles(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The token roles that were named, and `all` for every position at once."""
    from interp.addresses import TokenRole
    from interp.pair_batches import EVERYWHERE

    return unique(
        EVERYWHERE if name.lower() == EVERYWHERE else str(TokenRole.parse(name))
        for name in arguments.role or ()
    ) or None


def _choices(names: list[str] | None, kind: type[Choice], what: str) -> tuple[Choice, ...]:
    """The members of these names, each once."""
    known = [str(member) for member in kind]
    for name in names or ():
        if name not in known:
            raise InputError(f"no {what} {name!r}; choose one of {', '.join(known)}")
    return unique(kind(name) for name in names or ())
