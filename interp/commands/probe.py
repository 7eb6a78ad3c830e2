"""The command `probe`: what can be read linearly from activations?"""

import argparse
from dataclasses import replace

from data.errors import unknown_name
from interp.commands import Subparsers
from interp.commands.grids import fill, print_summary
from interp.commands.selectors import add_selectors, roles_of, selection_of, unique


def add_command(commands: Subparsers) -> None:
    """Adds `iml probe` and its options to the command line."""
    probe = commands.add_parser("probe", help="linear probes over sites, roles, seeds and runs")
    add_selectors(probe)
    probe.add_argument(
        "--target",
        action="append",
        metavar="NAME",
        help="of the run's design (such as tag, defined, consistent, stage), or entity, attribute, "
        "phantom_tag; repeatable, default the design's first two",
    )
    probe.add_argument("--quick", action="store_true", help="fix C instead of choosing it")
    probe.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Fills a grid of probes and prints its summary."""
    selection = selection_of(arguments)

    from interp.probes.targets import targets_of

    known = {target.name: target for target in targets_of(selection.runs[0].design)}
    for name in arguments.target or ():
        if name not in known:
            raise unknown_name("target", name, known)
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.probes.analysis import ProbeAnalysis
    from interp.probes.wording import reading_words, twin_words

    analysis = ProbeAnalysis(quick=arguments.quick)
    if arguments.target:
        analysis = replace(analysis, targets=unique(arguments.target))
    if roles:
        analysis = replace(analysis, roles=roles)
    summary = fill(analysis, selection, arguments)[1]
    logistic = summary.loc[summary["probe"] == "logistic"]
    columns = ["target", "site", "layer", "role", "accuracy", "ci_low", "ci_high"]
    columns += ["selectivity", "p_value", "p_corrected", "min_detectable", "twin_accuracy"]
    columns += ["minus_twin", "p_twin_corrected", "n_folds", "n_train", "n_test", "n_seeds"]
    print_summary(logistic, columns, selection, interval_of="accuracy")
    smallest = max(summary["p_smallest"].tolist())
    print(
        "accuracy on unseen aliases (chance .5 of two classes); p corrected over the whole grid; "
        f"the smallest p that so many seeds can give is {smallest:.3g}"
    )
    of_tags = [name for name, target in known.items() if target.is_of_tags]
    tags = logistic.loc[logistic["target"].isin(of_tags)]
    for _, cells in tags.groupby(["target", "run_id"], sort=False):
        best = cells.loc[cells["accuracy"].idxmax()].to_dict()
        print(f"{best['target']} in {best['run_id']}: {reading_words(best)}. {twin_words(best)}")
    return 0
