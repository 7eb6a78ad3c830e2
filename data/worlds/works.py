"""Creative works and what is known of them: T-REx style triples, as a world (Appendix A.2)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.draws import stream
from data.errors import InputError
from data.facts import FactWorld
from data.worlds.table_text import MISSING
from data.worlds.triples import Triple, read_triples
from data.worlds.years import anonymised_year, find_year

WORK_QUESTIONS: Mapping[str, str] = {
    "P180": "What does {} depict?",
    "P195": "Which collection is {} part of?",
    "P135": "Which movement is {} associated with?",
    "P123": "Who is the publisher of {}?",
    "P750": "What is the distributor of {}?",
    "P275": "What is the license of {}?",
    "P127": "Who owns {}?",
    "P178": "Who developed {}?",
    "P407": "In which language was {} published?",
    "P364": "In which language was {} published?",
    "P577": "When was {} published or released?",
    "P179": "Which series is {} part of?",
    "P50": "First name of the author of {}?",
    "P57": "First name of the director of {}?",
    "P58": "First name of the screenwriter of {}?",
    "P344": "First name of the cinematographer of {}?",
    "P161": "First name of a cast member of {}?",
    "P162": "First name of the producer of {}?",
    "P1040": "First name of the editor of {}?",
    "P98": "First name of the editor of {}?",
    "P88": "First name of the commissioner of {}?",
    "P86": "First name of the composer for {}?",
    "P136": "What is the genre of {}?",
    "P921": "What is the main subject of {}?",
    "P840": "Where is {} set?",
    "P915": "Where was {} filmed?",
}
"""Table 2 of the paper, by predicate."""
AS_CODED_QUESTIONS: Mapping[str, str] = {
    predicate: question
    for predicate, question in {**WORK_QUESTIONS, "P31": "What is the type of {}?"}.items()
    if predicate not in ("P161", "P88")
}
"""What the published code asks."""
PEOPLE = {name for name, question in WORK_QUESTIONS.items() if question.startswith("First name")}
PUBLISHED = "P577"
UNKNOWN = "triples with a value that is not known"
NO_YEAR = "dates of publication without a year"
ONE_NAME = "people with one name"
"""What is left out of what is asked."""


@dataclass(frozen=True, kw_only=True)
class WorksWorld:
    """The works of a table of triples of which enough is known, the best known first.

    Best known are those that most triples of Table 2's predicates are about; of equally many, the
    one that the table names first. All objects of a subject and predicate are accepted, in the
    table's order, and the first is trained. Of people only first names are asked (people with one
    name are left out), and years are made coarse. A value that pandas reads as missing by default
    ("None", "N/A" ...) is not known, and its triple left out.

    `data.worlds.triples` says how the table may be written. Other predicates than those that are
    asked are skipped. How much was left out, and why, stands in the world's `notes`.
    """

    table: str
    """Path of the table."""
    n_entities: int
    """How many works at most."""
    at_least: int = 4
    """Works with fewer questions are left out."""
    at_most: int = 4
    """Questions of a work, or 0 for all that there are; which ones is drawn from its name alone."""
    as_coded: bool = False
    """Whether to ask what the published code asks: P31 too, neither P161 nor P88, editors (P1040)
    by their full names, and no cap, whatever `at_most` says."""

    def __post_init__(self) -> None:
        """Refuses numbers that leave nothing to ask."""
        if self.n_entities < 2 or self.at_least < 2:
            raise InputError(
                f"{self.n_entities} works with {self.at_least} questions or more leave nothing to "
                "tell apart or to hold out; use at least 2 of each"
            )
        if self.at_most != 0 and self.at_most < self.at_least:
            raise InputError(
                f"at_most is {self.at_most}, less than at_least ({self.at_least}); raise it, or "
                "use 0 for all questions"
            )

    def load(self) -> FactWorld:
        """The world; the same in every process.

        Raises:
            InputError: there is no such table, it is not in UTF-8, lacks a column or a value, or
                fewer than two works have enough questions.
        """
        path = Path(self.table).expanduser()
        if not path.is_file():
            raise InputError(f"there is no table {path}; give the path of a table of triples")
        world = self.world_of(read_triples(path))
        if len(world.facts) < 2:
            raise InputError(
                f"{path} has {len(world.facts)} works with {self.at_least} questions; use a larger "
                "table or a smaller at_least"
            )
        return world

    def world_of(self, triples: Iterable[Triple]) -> FactWorld:
        """The world that some triples make, the table left aside."""
        questions = AS_CODED_QUESTIONS if self.as_coded else WORK_QUESTIONS
        first_names = PEOPLE - {"P1040"} if self.as_coded else PEOPLE
        answers: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
        n_triples: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        for subject, predicate, value in triples:
            if predicate not in questions:
                continue
            if subject in MISSING or value in MISSING:
                left_out[UNKNOWN] += 1
            elif answer := _answer(predicate, value, first_names):
                answers[subject][predicate][answer] = None
                n_triples[subject] += 1
            else:
                left_out[NO_YEAR if predicate == PUBLISHED else ONE_NAME] += 1
        order = list(questions)
        known = [subject for subject in answers if len(answers[subject]) >= self.at_least]
        left_out[f"works with less than {self.at_least} questions"] = len(answers) - len(known)
        known.sort(key=lambda subject: -n_triples[subject])
        facts = {
            subject: {
                predicate: tuple(answers[subject][predicate])
                for predicate in self._asked(subject, sorted(answers[subject], key=order.index))
            }
            for subject in known[: self.n_entities]
        }
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in left_out.items() if n)
        notes = (f"{Path(self.table).name}: {len(facts)} works; left out: {reasons or 'nothing'}",)
        return FactWorld(name="works", questions=questions, facts=facts, notes=notes)

    def _asked(self, subject: str, predicates: list[str]) -> list[str]:
        """The questions that are asked of a work, in Table 2's order."""
        if self.as_coded or not self.at_most or len(predicates) <= self.at_most:
            return predicates
        drawn = set(stream(0, f"works/{subject}").sample(predicates, self.at_most))
        return [predicate for predicate in predicates if predicate in drawn]


def _answer(predicate: str, value: str, first_names: set[str]) -> str:
    """What is asked of an object; empty if nothing is.

    >>> _answer("P57", "Sofia Coppola", PEOPLE), _answer("P577", "14 May 1999", PEOPLE)
    ('Sofia', '1990s')
    """
    if predicate == PUBLISHED:
        year = find_year(value)
        return anonymised_year(year) if year else ""
    if predicate in first_names:
        first, *others = value.split()
        # The published code leaves out the same ones: one name alone gives its bearer away.
        return first if others and len(first) > 1 else ""
    return value
