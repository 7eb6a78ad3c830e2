"""The text of a hypothesis: where it is found, and whether it stood before the data were known.

A hypothesis is a Python file whose `HYPOTHESIS` it is: one of `interp.hypotheses.shipped`, by name,
or a person's own, by path. Its sha256 is of the file and of the files that say what rows measure,
since a prediction about another quantity is another prediction.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules

import interp.hypotheses.shipped
from data.errors import InputError, reading, unknown_name
from interp.hypotheses.hypothesis import Hypothesis
from training.recipes import find_recipe
from training.runs.ledger import Ledger
from training.runs.run import Run

HERE = Path(__file__).parent
MEASURED_BY = (
    "row.py",
    "rows.py",
    "row_measures.py",
    "reading.py",
    "held_out.py",
    "alias_changes.py",
    "alias_edits.py",
    "change_analysis.py",
)
"""The files that say what rows measure and what counts as none."""
DEMO, DEMO_SEEDS = "alias-toy", range(1000, 1008)
"""The run of `make demo`, whose numbers the documents print: everybody has seen it."""
SUFFIX = ".py"
UNFROZEN = "not frozen before the data were made (iml hypothesis freeze)"
TEMPLATE = '''"""{title}: what is it that makes the gap?

Say in `statement` what you believe, and in `predictions` what must then be seen. Rows are in
interp/hypotheses/rows.py; a row of your own is below. Then freeze this text before you look:

    iml hypothesis freeze {file}
    iml hypothesis {file} DIR
"""

import pandas as pd

from data.design import Margin
from interp.hypotheses.hypothesis import Hypothesis, alone, core
from interp.hypotheses.row import Expected, Row
from interp.hypotheses.rows import CONSTANT, SHORTER
from interp.verdicts.quantities import gap
from training.runs.run import Run


def gap_in_nats(run: Run) -> pd.Series:
    """One value for each Stage-1 seed of a run."""
    main = run.design.main
    return gap(main.higher, main.lower, metric="answer_log_prob")(run)


OWN = Row(
    id="nats",
    statement="{{higher}} is answered better than {{lower}}",
    unit="nats",
    margin=Margin(value=0.25, reason="what counts as none, chosen before looking"),
    measure=gap_in_nats,
)

HYPOTHESIS = Hypothesis(
    title="{title}",
    statement="Unreliable definitions are learned less.",
    predictions=(
        core(OWN, Expected.MORE, "there is something to explain"),
        core(SHORTER, Expected.MORE, "less learned is less written"),
        alone(CONSTANT, Expected.NONE, "what is missing differs from entity to entity"),
    ),
)
'''


@dataclass(frozen=True, kw_only=True)
class HypothesisText:
    """A hypothesis and the file that it is written in."""

    name: str
    """The file's name without its ending; results and ledger know the hypothesis by it."""
    path: Path
    sha256: str
    hypothesis: Hypothesis


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Whether a text stood before a run's data were known."""

    time: str | None
    """When the text was frozen; None if it is not that of the last freeze."""
    deviation: str = ""
    """Why text and data do not fit together, if they do not."""
    exploratory: Sequence[str] = ()
    """Why the verdict only suggests something to test, if it does."""


def shipped_names() -> list[str]:
    """The hypotheses that are known by name."""
    return sorted(module.name for module in iter_modules(interp.hypotheses.shipped.__path__))


def shipped_texts() -> list[HypothesisText]:
    """All of them."""
    return [find_text(name) for name in shipped_names()]


def is_named(word: str) -> bool:
    """Whether a word of a command is a hypothesis, not a folder."""
    return word in shipped_names() or word.endswith(SUFFIX)


def find_text(name_or_file: str) -> HypothesisText:
    """The hypothesis of a name, or that in a person's file, which is carried out.

    Raises:
        InputError: there is none, or the file raises or has no `HYPOTHESIS`.
    """
    if name_or_file in shipped_names():
        module = import_module(f"{interp.hypotheses.shipped.__name__}.{name_or_file}")
        return _text(HERE / "shipped" / f"{name_or_file}{SUFFIX}", module.HYPOTHESIS)
    if not name_or_file.endswith(SUFFIX):
        raise unknown_name("hypothesis", name_or_file, shipped_names())
    path = Path(name_or_file)
    if not path.is_file():
        raise InputError(f"{path} is no file; make one: iml hypothesis new {path.stem}")
    if path.stem in shipped_names():
        raise InputError(f"{path} has the name of a hypothesis of the workbench; rename it")
    return _text(path, _carried_out(path))


def new_text(path: Path) -> None:
    """Writes a hypothesis to begin with, which works as it is.

    Raises:
        InputError: the file is there already, or its name is that of a hypothesis known by name.
    """
    if path.exists():
        raise InputError(f"{path} is there already; choose another name")
    if path.stem in shipped_names():
        raise InputError(f"{path.stem} is a hypothesis of the workbench; choose another name")
    title = path.stem.replace("_", " ").replace("-", " ").capitalize()
    path.write_text(TEMPLATE.format(title=title.replace('"', "'"), file=path))


def freeze_of(text: HypothesisText, run: Run, ledger: Ledger) -> Freeze:
    """What the ledger says of a hypothesis and the data of a run."""
    freezes = ledger.freezes(text.name)
    known = _known_of_demo(run)
    if not freezes:
        return Freeze(time=None, exploratory=[UNFROZEN, *known])
    last = freezes[-1]
    if last["sha256"] != text.sha256:
        changed = f"the text is not the one that was frozen on {_day(last['time'])}"
        return Freeze(time=None, deviation=changed)
    seen = _seen_before(last["time"], run, ledger)
    if len(freezes) > 1 and seen:
        amended = f"the text was changed on {_day(last['time'])}, after the data: {seen[0]}"
        said = f"; what had been seen: {last['amendment']}" if last["amendment"] else ""
        return Freeze(time=last["time"], deviation=amended + said)
    return Freeze(time=last["time"], exploratory=[*seen, *known])


def _seen_before(time: str, run: Run, ledger: Ledger) -> list[str]:
    """Why a run's data were known before a time, if they were: read by something, or only made."""
    read = ledger.seen_before(time, run.config.run_id, run.seeds)
    if read:
        analyses = sorted({analysis for each in read.values() for analysis in each})
        return [
            f"{len(read)} of {len(run.seeds)} seeds were read before (by {', '.join(analyses)})"
        ]
    finished = run.info.get("finished")
    if finished and datetime.fromisoformat(finished) < datetime.fromisoformat(time):
        return [f"the run was made before (on {_day(finished)})"]
    return []


def _known_of_demo(run: Run) -> list[str]:
    """Whether a run is that of `make demo`, wholly or in part."""
    shown = set(run.seeds) & set(DEMO_SEEDS)
    if not shown or run.config.run_id != find_recipe(DEMO)().run_id:
        return []
    return ["seeds of make demo, whose numbers are printed in the documents"]


def _text(path: Path, hypothesis: Hypothesis) -> HypothesisText:
    digest = hashlib.sha256()
    for each in (path, *(HERE / name for name in MEASURED_BY)):
        digest.update(hashlib.sha256(each.read_bytes()).digest())
    return HypothesisText(
        name=path.stem, path=path, sha256=digest.hexdigest(), hypothesis=hypothesis
    )


def _carried_out(path: Path) -> Hypothesis:
    """What a person's file calls `HYPOTHESIS`."""
    name = f"hypothesis_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # of a file that ends in .py
    module = module_from_spec(spec)
    try:
        with reading(path, "mend the file", InputError, fault="raises"):
            sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
            try:
                spec.loader.exec_module(module)
            finally:
                sys.dont_write_bytecode = before
    except SystemExit:
        raise InputError(f"{path} ends the program; mend the file") from None
    found = getattr(module, "HYPOTHESIS", None)
    if not isinstance(found, Hypothesis):
        raise InputError(f"{path} has no HYPOTHESIS; see what iml hypothesis new NAME writes")
    return found


def _day(time: str) -> str:
    """The day of a time, and the minute."""
    return time[:16].replace("T", " ")
