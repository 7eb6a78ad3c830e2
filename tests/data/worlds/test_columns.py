"""People tables as they are found: other encodings, separators, stray quotes, missing values."""

import unicodedata
from pathlib import Path

import pytest

from data.errors import InputError
from data.facts import FactWorld
from data.worlds.cvdb import CvdbWorld, Missing, Namesakes

COLUMNS = (
    "name,birth,death,gender,level3_main_occ,string_citizenship_raw_d,un_region,"
    "wiki_readers_2015_2018"
)
ADA = "Ada Quick,1812,1900,Female,actor,France,Europe,900"
BOB = "Bob Slow,1823,1890,Male,writer,Greece,Europe,500"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache folder, in a place of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


def read(path: Path, *rows: str | bytes, columns: str = COLUMNS, **changes: object) -> FactWorld:
    lines = [line if isinstance(line, bytes) else line.encode() for line in (columns, *rows, "")]
    path.write_bytes(b"\n".join(lines))
    return CvdbWorld(table=str(path), n_entities=20, **changes).load()  # pyright: ignore[reportArgumentType]


def person(name: str = "Cy Young", **values: str) -> str:
    facts = {
        **{"name": name, "birth": "1850", "death": "1899", "gender": "Male"},
        **{"level3_main_occ": "actor", "string_citizenship_raw_d": "Spain"},
        **{"un_region": "Europe", "wiki_readers_2015_2018": "700"},
    }
    return ",".join({**facts, **values}.values())


@pytest.mark.parametrize("word", ["None", "null", "N/A", "<NA>", "n/a", "NaN", "#N/A", " NULL "])
@pytest.mark.parametrize(
    "column", ["un_region", "level3_main_occ", "string_citizenship_raw_d", "death", "gender"]
)
def test_words_for_missing_values_are_no_answers(tmp_path: Path, word: str, column: str) -> None:
    world = read(tmp_path / "t.csv", ADA, BOB, person(**{column: word}))
    assert list(world.facts) == ["Ada Quick", "Bob Slow"]
    assert "left out: 1 of whom something is not known" in world.notes[0]
    known = read(tmp_path / "t.csv", ADA, BOB, person(**{column: word}), missing=Missing.SKIP)
    if column == "gender":
        assert "Cy Young" not in known.facts
    else:
        assert len(known.facts["Cy Young"]) == 5
    assert word.strip() not in str(known.facts)


def test_person_called_by_a_word_for_missing_is_no_person(tmp_path: Path) -> None:
    world = read(tmp_path / "t.csv", ADA, BOB, person("None"), person("none"), person("Nan"))
    assert list(world.facts)[1:] == ["none", "Nan", "Bob Slow"]  # pandas knows neither of them


def test_one_row_in_another_encoding_garbles_no_other(tmp_path: Path) -> None:
    rows = [ADA, BOB, person("Karl Müller"), person("José Mann").encode("latin-1")]
    world = read(tmp_path / "t.csv", *rows)
    assert set(world.facts) == {"Ada Quick", "Bob Slow", "Karl Müller", "José Mann"}


def test_nul_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: a NUL"):
        read(tmp_path / "t.csv", ADA, person("Cy\x00 Young"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_refused_by_name(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join([COLUMNS, ADA, BOB, ""]).encode(encoding))
    with pytest.raises(InputError, match="looks like UTF-16"):
        CvdbWorld(table=str(path), n_entities=4).load()


@pytest.mark.parametrize(
    "spelled",
    [
        unicodedata.normalize("NFD", "José Mann"),
        "José\u00a0Mann",
        "José  Mann",
        "José_Mann",
        "José \u200bMann",
    ],
)
def test_one_person_in_two_spellings_is_one(tmp_path: Path, spelled: str) -> None:
    rows = [ADA, person("José Mann"), person(spelled, level3_main_occ="other")]
    world = read(tmp_path / "t.csv", *rows)
    assert list(world.facts) == ["Ada Quick", "José Mann"]
    assert "1 named like someone more read" in world.notes[0]
    with pytest.raises(InputError, match="rows 3 and 4 are both named 'José Mann'"):
        read(tmp_path / "t.csv", *rows, namesakes=Namesakes.ERROR)


def test_answers_and_columns_have_one_spelling(tmp_path: Path) -> None:
    columns = "\ufeff" + COLUMNS.replace("un_region", "\u00a0un_region ")
    decomposed = unicodedata.normalize("NFD", "Côte")
    row = person(un_region="South\u00a0 America", string_citizenship_raw_d=decomposed)
    world = read(tmp_path / "t.csv", ADA, row, columns=columns)
    assert world.facts["Cy Young"]["region"] == ("South America",)
    assert world.facts["Cy Young"]["nationality"] == ("Côte",)


def test_everyone_who_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [
        *(ADA, BOB, person("Jean-Luc Odd"), person(gender="Other"), person("Bob Slow")),
        *(person("No Death", death=""), person("No Readers", wiki_readers_2015_2018="")),
    ]
    (note,) = read(tmp_path / "t.csv", *rows).notes
    assert note == (
        "t.csv: 2 people, from the 7 most read rows; left out: 2 of whom something is not known, "
        "1 whose name, occupation or citizenship has more than letters, digits and spaces, 1 of "
        "another gender than male or female, of which halves cannot be made, 1 named like someone "
        "more read"
    )


@pytest.mark.parametrize(("first", "last"), [("name", "name"), ("name", "un_region")])
@pytest.mark.parametrize("between", [0, 1, 4])
def test_stray_quotes_swallow_no_rows(tmp_path: Path, first: str, last: str, between: int) -> None:
    opens = {"name": '"Cy Young', "un_region": '"Europe'}[first]
    closes = {"name": 'Dee Low"', "un_region": 'Asia"'}[last]
    clean = [person(f"Ed {letter}") for letter in "abcd"[:between]]
    rows = [ADA, person(**{first: opens}), *clean, person(**{last: closes}), BOB]
    with pytest.raises(InputError, match=rf"line 3: a quote opens .* to line {4 + between} "):
        read(tmp_path / "t.csv", *rows)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_row_of_too_few_values_is_named(tmp_path: Path, separator: str) -> None:
    lines = [line.replace(",", separator) for line in (COLUMNS, ADA, "Cy,1823,1890", BOB)]
    with pytest.raises(InputError, match=r"line 3 cannot be read \(3 values instead of 8\)"):
        read(tmp_path / "t.csv", *lines[1:], columns=lines[0])


def test_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: a quote opens"):
        read(tmp_path / "t.csv", ADA, person('"Cy Young'), BOB, person("Ed A"))


@pytest.mark.parametrize("notes_first", [True, False])
def test_quoted_text_over_several_lines_is_no_stray_quote(
    tmp_path: Path, notes_first: bool
) -> None:
    notes = '"He said, ""no"".\nThen, after\nsome years, died."'
    rows = [f"{notes},{row}" if notes_first else f"{row},{notes}" for row in (ADA, BOB)]
    columns = f"notes,{COLUMNS}" if notes_first else f"{COLUMNS},notes"
    world = read(tmp_path / "t.csv", *rows, columns=columns)
    assert list(world.facts) == ["Ada Quick", "Bob Slow"]


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_separator_is_seen_in_the_header(tmp_path: Path, separator: str) -> None:
    lines = [line.replace(",", separator) for line in (COLUMNS, ADA, BOB)]
    world = read(tmp_path / "t.csv", *lines[1:], columns=lines[0])
    assert list(world.facts) == ["Ada Quick", "Bob Slow"]
    names = separator.join(f'"{name}"' for name in COLUMNS.split(","))
    quoted = [separator.join(f'"{value}"' for value in row.split(",")) for row in (ADA, BOB)]
    assert read(tmp_path / "q.csv", *quoted, columns=names).facts == world.facts


def test_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has two columns 'name'"):
        read(tmp_path / "t.csv", f"{ADA},x", f"{BOB},y", columns=f"{COLUMNS},name")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        *(("+1850", "19 century"), ("0018", "1 century"), ("-18", "1 century BC")),
        *(
            ("1850.0", "19 century"),
            (" 1850 ", "19 century"),
            ("\N{MINUS SIGN}122", "2 century BC"),
        ),
        *(("-0122", "2 century BC"), ("-12000", "120 century BC")),
    ],
)
def test_years_of_people_are_read(tmp_path: Path, text: str, answer: str) -> None:
    world = read(tmp_path / "t.csv", ADA, person(birth=text))
    assert world.facts["Cy Young"]["birth"] == (answer,)


@pytest.mark.parametrize(
    "text",
    ["1850-00-00", "c. 1850", "1.85e3", "44 BC", "12000 BC", "-0018-01-01T00:00:00Z", "18150"],
)
def test_years_of_people_that_are_none_are_refused_with_their_row(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(InputError, match=r"row 3: birth is "):
        read(tmp_path / "t.csv", ADA, person(birth=text), BOB)
