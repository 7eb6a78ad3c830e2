"""The command of a benchmark that scores draws of planted runs and writes a page of them."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from interp.planted.kinds import KINDS


@dataclass(frozen=True, kw_only=True)
class ScoredDraws:
    """What is scored of each draw, and where it is kept and shown."""

    description: str
    score: Callable[[str, int], pd.DataFrame]
    """From a kind and the number of a draw to its rows."""
    csv: Path
    """All rows so far."""
    columns: Sequence[str]
    """Those that the rows have at least."""
    keys: Sequence[str]
    """The columns that rows are sorted by."""
    page: Callable[[pd.DataFrame], str]
    """From all rows to the text of the page."""
    place: Path
    """Of the page."""
    n_draws: int
    """Of each kind, unless told otherwise."""

    def main(self) -> int:
        """Adds the draws that are missing, and writes the page."""
        parser = argparse.ArgumentParser(description=self.description)
        parser.add_argument(
            "--draws", type=int, default=self.n_draws, metavar="N", help="of each kind"
        )
        parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them")
        parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
        parser.add_argument("--workers", type=int, default=1, metavar="N", help="draws at once")
        parser.add_argument("--page", action="store_true", help="only the page")
        asked = parser.parse_args()
        known = (
            pd.read_csv(self.csv) if self.csv.exists() else pd.DataFrame(columns=[*self.columns])
        )
        if not asked.page:
            draws = range(asked.first, asked.first + asked.draws)
            known = self._with(known, list(missing_draws(known, asked.kinds, draws)), asked.workers)
        self.place.write_text(self.page(known))
        return 0

    def _with(
        self, known: pd.DataFrame, missing: Sequence[tuple[str, int]], n_workers: int
    ) -> pd.DataFrame:
        """The rows with those of further draws; each is kept and shown as soon as it is scored."""
        with ProcessPoolExecutor(n_workers, get_context("spawn")) as pool:
            waited_for = {pool.submit(self.score, *each): each for each in missing}
            for done in as_completed(waited_for):
                known = pd.concat([known, done.result()]).sort_values([*self.keys], kind="stable")
                known.to_csv(self.csv, index=False)
                self.place.write_text(self.page(known))
                print("scored: {} {}".format(*waited_for[done]), file=sys.stderr)
        return known


def missing_draws(
    known: pd.DataFrame, kinds: Sequence[str], draws: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """Draws that are not in the table yet, one of each kind after the other."""
    done = set(zip(known["kind"], known["draw"], strict=True)) if len(known) else set()
    yield from ((kind, draw) for draw in draws for kind in kinds if (kind, draw) not in done)
