"""The command `hypothesis`: predictions written beforehand, checked by rule; new ones, frozen."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError, printable
from interp.commands import Subparsers
from interp.commands.device import add_device
from interp.commands.executor import add_executor, chosen_executor
from interp.commands.output import WIDTH, add_output, print_json

if TYPE_CHECKING:
    from interp.hypotheses.results import Result
    from training.runs.run import Run

NEW, FREEZE = "new", "freeze"


def add_command(commands: Subparsers) -> None:
    """Adds `iml hypothesis` and its options to the command line."""
    hypothesis = commands.add_parser(
        "hypothesis", help="why is there a gap? predictions written beforehand, checked by rule"
    )
    hypothesis.add_argument(
        "words", nargs="+", metavar="[NAME or FILE] DIR...",
        help="a hypothesis (all unless named) and runs; or: new FILE, or: freeze NAME or FILE",
    )  # fmt: skip
    hypothesis.add_argument(
        "--amend", default="", metavar="TEXT",
        help="with freeze, of a text that was changed: what had been seen when it was",
    )  # fmt: skip
    add_device(hypothesis)
    add_executor(hypothesis)
    add_output(hypothesis)
    hypothesis.set_defaults(run=run_command)


def run_command(arguments: argparse.Namespace) -> int:
    """Writes a new hypothesis, freezes one, or checks some in runs."""
    first, *others = arguments.words
    if first == NEW:
        return _new(_only(NEW, others))
    if first == FREEZE:
        return _freeze(_only(FREEZE, others), arguments.amend)
    if arguments.amend:
        raise InputError("--amend says why a text is frozen again; use it with freeze")
    return _check(arguments)


def _only(verb: str, words: list[str]) -> str:
    if len(words) != 1:
        raise InputError(f"iml hypothesis {verb} takes one name, got {len(words)}; name one")
    return words[0]


def _new(word: str) -> int:
    from interp.hypotheses.freezing import SUFFIX, new_text

    path = Path(word if word.endswith(SUFFIX) else f"{word}{SUFFIX}")
    new_text(path)
    print(f"{printable(path)}: mend it, then iml hypothesis freeze {printable(path)}")
    return 0


def _freeze(word: str, amendment: str) -> int:
    from interp.hypotheses.freezing import find_text
    from training.runs.ledger import Ledger, freeze

    text = find_text(word)
    before = Ledger.load().freezes(text.name)
    if before and before[-1]["sha256"] == text.sha256:
        raise InputError(f"{text.name} is frozen as it is since {before[-1]['time'][:16]}; go on")
    if before and not amendment:
        raise InputError(
            f"{text.name} was frozen with another text; say with --amend what had been seen by now"
        )
    if amendment and not before:
        raise InputError(f"{text.name} was never frozen, so nothing is amended; leave --amend out")
    ledger = freeze(text.name, text.sha256, amendment=amendment)
    print(f"frozen: {text.name}, sha256 {text.sha256}")
    print(f"{printable(ledger.path)}, whose last line has the sha256 {ledger.head}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from interp.hypotheses.freezing import find_text, is_named, shipped_names, shipped_texts

    first, *others = arguments.words
    if not is_named(first) and not Path(first).is_dir() and others:
        find_text(first)  # says which there are
    names, folders = ([first], others) if is_named(first) else ([], arguments.words)
    if not folders:
        raise InputError(
            f"{first} is to be checked in no run; name a DIR (known by name are "
            f"{', '.join(shipped_names())})"
        )
    texts = [find_text(name) for name in names] or shipped_texts()

    from interp.hypotheses.checking import check, require_tags
    from interp.hypotheses.files import make_missing, save_results
    from training.runs.ledger import Ledger, note_read
    from training.runs.run import Run

    ledger = Ledger.load()
    runs = [Run.load(folder) for folder in folders]
    for run in runs:
        run.require_finished()
        require_tags(run)
    found = []
    for run in runs:
        make_missing(
            run,
            texts,
            workers=arguments.workers,
            executor=chosen_executor(arguments),
            device=arguments.device,
        )
        results = check(texts, run, ledger)
        save_results(run, results)
        note_read(run, "hypothesis", run.seeds)
        found.append((run, results))
    _tell(found, arguments)
    return 0


def _tell(found: "list[tuple[Run, list[Result]]]", arguments: argparse.Namespace) -> None:
    """Prints sentences and the matrix, or every prediction, or JSON."""
    from dataclasses import asdict
    from textwrap import wrap

    from interp.hypotheses.conditions import condition_lines, conditions_of
    from interp.hypotheses.matrix import matrix_text
    from interp.hypotheses.wording import found as found_words
    from interp.hypotheses.wording import result_lines

    if arguments.json:
        records = [
            {
                "folder": run.folder,
                "run_id": run.config.run_id,
                "sentences": found_words(results),
                "hypotheses": [json.loads(json.dumps(each.to_json())) for each in results],
            }
            for run, results in found
        ]
        conditions = [asdict(each) for each in conditions_of([run for run, _ in found])]
        print_json({"analysis": "hypothesis", "runs": records, "conditions": conditions})
        return
    for run, results in found:
        if len(found) > 1:
            print(f"{printable(run.folder)}:")
        for sentence in found_words(results):
            print("\n".join(wrap(sentence, WIDTH, break_on_hyphens=False)))
        print()
        if arguments.full or len(results) == 1:
            print("\n\n".join("\n".join(result_lines(each)) for each in results))
        else:
            print(matrix_text(results))
            print("\n--full for every prediction with its numbers, reasons and gates.")
    if len(found) > 1:
        print(f"\nWhat {printable(found[0][0].folder)} predicts of the gaps of the others:\n")
        print("\n".join(condition_lines(conditions_of([run for run, _ in found]))))
