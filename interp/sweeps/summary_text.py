"""A sweep's numbers as text, for the terminal."""

import pandas as pd

from interp.claims.text import claims_text
from interp.figures.words import gap_text
from interp.sweeps.folders import FinishedSweep
from interp.sweeps.ladder_text import ladder_text
from training.metrics import HEADLINE_METRICS, find_metric
from training.runs.old_rules import old_rules, old_rules_text


def sweep_text(sweep: FinishedSweep) -> str:
    """The main contrast of each cell, and the paper's claims; of a ladder, what its rungs show."""
    title = f"{sweep.info['name']}: {sweep.info['question']}"
    rules = dict.fromkeys(old_rules_text(run) for run in sweep.runs if old_rules(run))
    if sweep.rungs:
        return "\n".join([title, *rules, ladder_text(sweep)])
    rows, main = [], sweep.design.main
    for run in sweep.runs:
        row = {name: run.config.parameters.get(name) for name in sweep.differing()}
        for metric in HEADLINE_METRICS:
            found, unit = run.summary[main.name][metric], find_metric(metric).heading
            row |= {f"{unit} [95% CI]": gap_text(found), f"p {unit}": f"{found['p_value']:.4f}"}
        rows.append({**row, "n": run.summary[main.name]["exact_match"]["n_seeds"]})
    cells = pd.DataFrame(rows).to_string(index=False)
    lines = [title, *rules, f"{main.label} ({' − '.join(main.names)})", cells]
    return "\n".join([*lines, "", claims_text(sweep.verdicts)] if sweep.verdicts else lines)
