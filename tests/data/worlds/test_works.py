import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.texts import Writing, question_text
from data.vocabulary import Role
from data.worlds.generated_works import GeneratedWorks
from data.worlds.triples import Triple, read_triples
from data.worlds.works import AS_CODED_QUESTIONS, WORK_QUESTIONS, WorksWorld

ROOT = Path(__file__).parents[3]
REAL_TABLE = ROOT.parent / "shared" / "data" / "tables" / "works_metaqa_triples.tsv"
FILM = [
    Triple("Dune", "P57", "Denis Villeneuve"),
    Triple("Dune", "P57", "David Lynch"),
    Triple("Dune", "P577", "+2021-09-03T00:00:00Z"),
    Triple("Dune", "P577", "1984"),
    Triple("Dune", "P136", "science fiction film"),
    Triple("Dune", "P364", "English"),
]
BOOK = [
    Triple("Emma", "P50", "Jane Austen"),
    Triple("Emma", "P577", "in December 1815"),
    Triple("Emma", "P840", "Surrey"),
    Triple("Emma", "P123", "John Murray"),
]


def world(*triples: Triple, n_entities: int = 10, **changes: Any) -> FactWorld:
    provider = WorksWorld(table="none", n_entities=n_entities, **changes)
    return provider.world_of(triples)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def tab_separated(triples: list[Triple], header: str = "subject\tpredicate\tobject") -> str:
    return "\n".join([header, *("\t".join(triple) for triple in triples), ""])


def test_table_2_is_whole() -> None:
    assert len(WORK_QUESTIONS) == 26
    assert WORK_QUESTIONS["P88"] == "First name of the commissioner of {}?"
    assert set(AS_CODED_QUESTIONS) - set(WORK_QUESTIONS) == {"P31"}
    assert set(WORK_QUESTIONS) - set(AS_CODED_QUESTIONS) == {"P161", "P88"}


def test_objects_become_answers_and_the_first_comes_first() -> None:
    assert dict(world(*FILM, *BOOK).facts) == {
        "Dune": {
            "P364": ("English",),
            "P577": ("2021", "1980s"),
            "P57": ("Denis", "David"),
            "P136": ("science fiction film",),
        },
        "Emma": {
            "P123": ("John Murray",),
            "P577": ("19 century",),
            "P50": ("Jane",),
            "P840": ("Surrey",),
        },
    }


def test_equal_answers_are_one_and_what_cannot_be_asked_is_left_out() -> None:
    extra = [
        Triple("Emma", "P50", "Jane Smith"),
        Triple("Emma", "P577", "no year in 18150"),
        Triple("Emma", "P57", "Douglas"),
        Triple("Emma", "P1", "something else"),
    ]
    assert world(*BOOK, *extra).facts == world(*BOOK).facts


def test_dates_before_christ_are_before_christ_and_those_without_year_counted() -> None:
    old = [Triple("Ode", predicate, "Jane Austen") for predicate in ("P57", "P58", "P50")]
    assert world(*old, Triple("Ode", "P577", "-0018-01-01T00:00:00Z")).facts["Ode"]["P577"] == (
        "1 century BC",
    )
    dates = [Triple("Emma", "P577", text) for text in ("18150", "1.85e3", "0000-01-01", "long ago")]
    (note,) = world(*BOOK, *dates, Triple("Emma", "P57", "Douglas")).notes
    assert note == (
        "none: 1 works; left out: 4 dates of publication without a year, 1 people with one name"
    )


@pytest.mark.parametrize("word", ["None", "null", "N/A", "<NA>", "NaN"])
def test_words_for_missing_values_are_no_answers(word: str) -> None:
    triples = [Triple("Emma", "P136", word), Triple(word, "P136", "novel")]
    told = world(*BOOK, *triples)
    assert told.facts == world(*BOOK).facts
    assert "2 triples with a value that is not known" in told.notes[0]


def test_one_work_in_several_spellings_is_one(tmp_path: Path) -> None:
    spelled = ["Café Noir", "Cafe\u0301 Noir", "Café\u00a0Noir", " Café  Noir", "Café \u200bNoir"]
    answers = ["Jane Austen", "Jane Austen", "in 1815", "Surrey", "John\u00a0Murray"]
    predicates = ["P50", "P57", "P577", "P840", "P123"]
    lines = [Triple(*each) for each in zip(spelled, predicates, answers, strict=True)]
    path = write(
        tmp_path / "t.tsv", tab_separated(lines, header="\ufeffsubject \tpredicate\tobject")
    )
    found = WorksWorld(table=str(path), n_entities=5, at_most=0).world_of(read_triples(path)).facts
    assert {name: len(facts) for name, facts in found.items()} == {"Café Noir": 5}
    assert found["Café Noir"]["P123"] == ("John Murray",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Ü\tP57\tA B\n".encode(), None),
        ("Ü\tP57\tA B\n".encode("latin-1"), r"row 3 is not in UTF-8 \('Ü"),
        (b"A\x00\tP57\tA B\n", "row 3 has a NUL"),
        (b"\n\n", None),
    ],
)
def test_row_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes, message: str | None
) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(tab_separated(BOOK[:1]).encode() + content)
    if message is None:
        assert next(read_triples(path)) == BOOK[0]
    else:
        with pytest.raises(InputError, match=message):
            list(read_triples(path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings_are_refused_by_name(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "t.tsv", tab_separated(BOOK), encoding)
    with pytest.raises(InputError, match="looks like UTF-16"):
        list(read_triples(path))


def test_other_separators_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", tab_separated(BOOK).replace("\t", ";"))
    with pytest.raises(
        InputError, match="seem to be separated by semicolons; separate them by tabs"
    ):
        list(read_triples(path))


def test_works_of_which_too_little_is_known_are_left_out() -> None:
    assert list(world(*FILM, *BOOK[:3]).facts) == ["Dune"]
    assert list(world(*FILM, *BOOK[:3], at_least=3).facts) == ["Dune", "Emma"]


def test_best_known_come_first() -> None:
    # Six triples against four, then the order of the table.
    other = [Triple("Ada", *triple[1:]) for triple in BOOK]
    triples = [*BOOK, *other, *FILM]
    assert list(world(*triples).facts) == ["Dune", "Emma", "Ada"]
    assert list(world(*triples, n_entities=2).facts) == ["Dune", "Emma"]


def test_four_questions_of_more_are_drawn_from_the_name_alone() -> None:
    predicates = ("P57", "P58", "P86", "P162", "P98", "P50")
    triples = [
        Triple(f"Film {number}", predicate, "Jane Austen")
        for number in range(300)
        for predicate in predicates
    ]
    every = world(*triples, n_entities=300)
    assert {len(facts) for facts in every.facts.values()} == {4}
    assert all(
        list(facts) == [predicate for predicate in WORK_QUESTIONS if predicate in facts]
        for facts in every.facts.values()
    )
    counts = Counter(predicate for facts in every.facts.values() for predicate in facts)
    # 200 expected of each, standard deviation 8.
    assert all(abs(counts[predicate] - 200) < 45 for predicate in predicates)
    alone = world(*(triple for triple in triples if triple.subject == "Film 7"))
    assert alone.facts["Film 7"] == every.facts["Film 7"]
    uncapped = world(*triples, at_most=0)
    assert len(uncapped.facts["Film 7"]) == 6


def test_as_coded_asks_what_the_published_code_asks() -> None:
    triples = [
        *FILM,
        Triple("Dune", "P31", "film"),
        Triple("Dune", "P161", "Kyle MacLachlan"),
        Triple("Dune", "P88", "Dino Someone"),
        Triple("Dune", "P1040", "Joe Walker"),
        Triple("Dune", "P58", "Jon Spaihts"),
    ]
    facts = world(*triples, as_coded=True).facts["Dune"]
    assert set(facts) == {"P57", "P577", "P136", "P364", "P31", "P1040", "P58"}
    assert facts["P1040"] == ("Joe Walker",)
    facts = world(*triples, at_most=0).facts["Dune"]
    assert set(facts) == {"P57", "P577", "P136", "P364", "P161", "P88", "P1040", "P58"}
    assert facts["P1040"] == ("Joe",)


@pytest.mark.parametrize("name", ["{}", "{0}", "{", "The }{ of {name}", "100% \\d", '"Quoted"'])
def test_odd_names_stand_in_questions_as_they_are(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / "t.tsv", tab_separated([*FILM, *(Triple(name, *fact[1:]) for fact in BOOK)])
    )
    loaded = WorksWorld(table=str(path), n_entities=5).load()
    assert name in loaded.facts
    text = question_text(
        Writing(), template=loaded.questions["P50"], subject=name, role=Role.ENTITY, answer="Jane"
    ).text
    assert text == f"Q: First name of the author of {name}?\nA: Jane"


def test_every_format_gives_the_same_triples(tmp_path: Path) -> None:
    triples = [*FILM, *BOOK, Triple("Ünder", "P57", "Señor Ø")]
    short = [{"subj": s, "predicate": p, "obj": o} for s, p, o in triples]
    address = "http://www.wikidata.org/prop/direct/"
    long = [{"object": o, "predicate": address + p, "subject": s, "id": 3} for s, p, o in triples]
    texts = (
        tab_separated(triples),
        "\ufeff" + tab_separated(triples, header="subj\tpredicate\tobj"),
        tab_separated(triples).replace("\n", "\r\n"),
        "\n".join(["id\tobj\tpredicate\tsubj", *(f"1\t{o}\t{p}\t{s}" for s, p, o in triples)]),
        "\n".join(json.dumps(row) for row in short),
        "\n\n".join(json.dumps(row, ensure_ascii=False) for row in long),
        json.dumps(short),
    )
    for number, text in enumerate(texts):
        assert list(read_triples(write(tmp_path / f"{number}", text))) == triples, number


def test_only_as_much_is_read_as_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", tab_separated(FILM) + "broken row\n")
    triples = read_triples(path)
    assert [next(triples) for _ in FILM] == FILM
    with pytest.raises(InputError, match="row 8"):
        next(triples)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subj\tpredicate\tvalue\n", "no column 'object'"),
        ("", "no column 'subject'"),
        (tab_separated(FILM) + "Dune\tP57\n", "row 8: 2 columns instead of 3"),
        (tab_separated(FILM) + "Dune\tP57\t \n", "row 8: no object"),
        (tab_separated(FILM) + "\tP57\tX\n", "row 8: no subject"),
        ('{"subj": "a", "predicate": "b", "obj": "c"}\n{"subj": \n', "line 2: no JSON"),
        ('{"subj": "a", "predicate": "b", "obj": "c"}\n{"subj": "a", "obj": "c"}', "no predicate"),
        ('{"subj": "a", "predicate": "b", "obj": 3}', "row 1: no object"),
        ('["a", "b"]', "row 1: no subject"),
        (tab_separated(BOOK), "has 1 works with 4 questions"),
    ],
)
def test_bad_tables_are_named_with_their_row(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "bad.tsv", text)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        WorksWorld(table=str(path), n_entities=5).load()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_encodings_and_absent_tables_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", tab_separated([Triple("Ü", "P57", "A B")]), "iso-8859-1")
    with pytest.raises(InputError, match="not in UTF-8"):
        WorksWorld(table=str(path), n_entities=5).load()
    with pytest.raises(InputError, match="there is no table"):
        WorksWorld(table=str(tmp_path / "absent"), n_entities=5).load()


@pytest.mark.parametrize("wrong", [{"n_entities": 1}, {"at_least": 1}, {"at_most": 3}])
def test_settings_that_leave_nothing_to_ask_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        WorksWorld(**{"table": "t", "n_entities": 5, **wrong})


@pytest.mark.skipif(not REAL_TABLE.exists(), reason="needs the shared tables")
@pytest.mark.parametrize("n_rows", [10_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_real_table_gives_the_films_that_a_slow_count_gives(tmp_path: Path, n_rows: int) -> None:
    asked = {"P57", "P58", "P161", "P577", "P364", "P136"}
    lines = REAL_TABLE.read_text("utf-8").splitlines()[: n_rows + 1]
    raw, named = defaultdict(set), defaultdict(set)
    for subject, predicate, value in (line.split("\t") for line in lines[1:]):
        if predicate in asked:
            raw[subject].add(predicate)
            is_person = predicate in {"P57", "P58", "P161"}
            if not is_person or (" " in value and len(value.split()[0]) > 1):
                named[subject].add(predicate)
    if n_rows >= 129_411:
        assert sum(len(predicates) >= 4 for predicates in raw.values()) == 12_783
    expected = {subject for subject, predicates in named.items() if len(predicates) >= 4}
    path = write(tmp_path / "films.tsv", "\n".join([*lines, ""]))
    loaded = WorksWorld(table=str(path), n_entities=20_000).load()
    assert set(loaded.facts) == expected
    assert {len(facts) for facts in loaded.facts.values()} == {4}


def test_generated_works_have_four_questions_and_titles_of_several_words() -> None:
    provider = GeneratedWorks(n_works=200, seed=0)
    assert isinstance(provider, WorldProvider)
    loaded = provider.load()
    assert len(loaded.facts) == 200
    assert {len(facts) for facts in loaded.facts.values()} == {4}
    assert all(2 <= len(title.split()) <= 4 for title in loaded.facts)
    asked = {predicate for facts in loaded.facts.values() for predicate in facts}
    assert asked == {"P57", "P58", "P86", "P136", "P364", "P577", "P840"}
    assert loaded.facts != GeneratedWorks(n_works=200, seed=1).load().facts
    with pytest.raises(InputError, match="n_works is 1"):
        GeneratedWorks(n_works=1, seed=0)


def test_works_are_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from data.worlds.generated_works import GeneratedWorks;"
        "text = repr(GeneratedWorks(n_works=50, seed=0).load());"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
