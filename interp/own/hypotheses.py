"""Hypotheses from Python: what `iml hypothesis NAME DIR` says of a run, without writing there.

results = check_hypotheses(run)                        all that are known by name
results = check_hypotheses(run, "strength", "mine.py")
plot_matrix(matrix_table(results))
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from interp.hypotheses.checking import check, require_tags
from interp.hypotheses.files import with_missing
from interp.hypotheses.freezing import find_text, shipped_texts
from interp.hypotheses.results import Result
from training.runs.ledger import Ledger, note_read
from training.runs.run import Run


def check_hypotheses(
    run: Run, *names: str | Path, tables: Mapping[str, pd.DataFrame] | None = None
) -> list[Result]:
    """The verdicts on hypotheses in a run, by the rules of the command `iml hypothesis`.

    What rows need and is cheap is measured now, where the folder has no table of it. The run's
    folder stays as it is; the ledger notes that its seeds were read.

    Args:
        run: A finished run.
        names: Hypotheses by name, or files of one's own, which are carried out; all that are known
            by name unless given.
        tables: By analysis the rows that are to be read, as `look` gives them, in place of what
            the folder happens to have; what is cheap is there anyway. A prediction that needs
            another table is undecided.

    Raises:
        InputError: there is no such hypothesis, a file raises, or the run is unfinished.
    """
    run.require_finished()
    require_tags(run)
    texts = [find_text(str(name)) for name in names] or shipped_texts()
    ledger = Ledger.load()  # as it stood before this look
    results = check(texts, with_missing(run, texts, tables), ledger)
    note_read(run, "hypothesis", run.seeds)
    return results
