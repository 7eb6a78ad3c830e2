"""The command `probe`: what can be read linearly from activations?"""

import argparse
from dataclasses import replace

from data.errors import unknown_name
from interp.commands import Subparsers
from interp.commands.grids import by_checkpoint, fill
from interp.commands.output import Findings, Said, largest_first, print_findings
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
    """Fills a grid of probes and prints what can be read."""
    selection = selection_of(arguments)

    from interp.probes.targets import targets_of

    known = {target.name: target for target in targets_of(selection.runs[0].design)}
    for name in arguments.target or ():
        if name not in known:
            raise unknown_name("target", name, known)
    roles = roles_of(arguments)
    selection.check_roles(roles)

    from interp.probes.analysis import ProbeAnalysis
    from interp.probes.wording import controls, found

    analysis = ProbeAnalysis(quick=arguments.quick)
    if arguments.target:
        analysis = replace(analysis, targets=unique(arguments.target))
    if roles:
        analysis = replace(analysis, roles=roles)
    summary = fill(analysis, selection, arguments)[1]
    said = [
        Said(run=run, stage=stage, step=step, sentences=found(cells), details=controls(cells))
        for run, stage, step, cells, _ in by_checkpoint(selection, summary)
    ]
    columns = ["target", "site", "layer", "role", "accuracy", "ci_low", "ci_high"]
    columns += ["selectivity", "p_value", "p_corrected", "min_detectable", "twin_accuracy"]
    columns += ["minus_twin", "p_twin_corrected", "n_folds", "n_train", "n_test", "n_seeds"]
    logistic = summary.loc[summary["probe"] == "logistic"]
    above = logistic.assign(above=logistic["accuracy"] - logistic["null_accuracy"])
    findings = Findings(
        analysis=analysis.name,
        said=said,
        summary=summary,
        cells=logistic,
        columns=columns,
        short=[*columns[:7], "p_corrected", "twin_accuracy", "minus_twin", "n_seeds"],
        first=largest_first(above, "above"),
        which="logistic probes, those that differ from permuted labels first, by size",
        interval_of="accuracy",
        legend="accuracy on unseen aliases (chance .5 of two classes); p corrected over the whole "
        "grid.",
    )
    print_findings(findings, arguments)
    return 0
