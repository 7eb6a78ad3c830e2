import csv
import os
import re
from pathlib import Path
from typing import Any

import pytest

import data.worlds.cvdb as cvdb
from data.errors import DamagedError, InputError
from data.facts import WorldProvider
from data.worlds.cvdb import CvdbWorld, Missing, Namesakes

TABLES = Path(__file__).parents[3].parent / "shared" / "data" / "tables"
COLUMNS = (
    "name,birth,death,gender,level3_main_occ,string_citizenship_raw_d,un_region,"
    "wiki_readers_2015_2018"
)
ROWS = (
    "Ada_Quick,1812,1900.0,Female,film_maker,'United_States'_'France',Europe,900",
    "Bob Slow,-122,-50,Male,writer,Greece,Europe,500",
    "Cy Young,1923,2001,Male,\"actor\",'France',Europe,700",
    "Living One,1970,,Female,singer,Canada,America,800",
    "Jean-Luc Odd,1900,1950,Male,writer,France,Europe,9999",
    "Odd Job,1900,1950,Male,actor/singer,France,Europe,9998",
    "Odd Land,1900,1950,Male,actor,Guinea-Bissau,Africa,9997",
    "Unread,1900,1950,Male,actor,France,Europe,",
    "Neither,1900,1950,Other,actor,France,Europe,9996",
    "Dee Low,1900,1950,Female,,,,10",
    "Élodie Pré,1950,1999,Female,painter,France,Europe,300",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, in a place of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "iml-workbench"


def write(path: Path, *rows: str, encoding: str = "iso-8859-1", columns: str = COLUMNS) -> Path:
    path.write_bytes("\n".join([columns, *rows, ""]).encode(encoding))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "table.csv", *ROWS)


def people(table: Path, **changes: Any) -> CvdbWorld:
    return CvdbWorld(**{"table": str(table), "n_entities": 10, **changes})


def test_only_those_of_whom_all_is_known_are_asked_for_all_of_it(table: Path) -> None:
    assert isinstance(people(table), WorldProvider)
    world = people(table).load()
    assert dict(world.facts) == {
        "Ada Quick": {
            "gender": ("Female",),
            "birth": ("19 century",),
            "death": ("1900s",),
            "region": ("Europe",),
            "occupation": ("film maker",),
            "nationality": ("United States", "France"),
        },
        "Cy Young": {
            "gender": ("Male",),
            "birth": ("1920s",),
            "death": ("2001",),
            "region": ("Europe",),
            "occupation": ("actor",),
            "nationality": ("France",),
        },
        "Bob Slow": {
            "gender": ("Male",),
            "birth": ("2 century BC",),
            "death": ("1 century BC",),
            "region": ("Europe",),
            "occupation": ("writer",),
            "nationality": ("Greece",),
        },
        "Élodie Pré": {
            "gender": ("Female",),
            "birth": ("1950s",),
            "death": ("1990s",),
            "region": ("Europe",),
            "occupation": ("painter",),
            "nationality": ("France",),
        },
    }
    assert list(world.facts) == ["Ada Quick", "Cy Young", "Bob Slow", "Élodie Pré"]
    assert world.questions["death"] == "When did {} die?"


def test_others_are_asked_for_what_is_known_of_them(table: Path) -> None:
    world = people(table, missing=Missing.SKIP).load()
    assert list(world.facts) == [
        "Ada Quick", "Living One", "Cy Young", "Bob Slow", "Élodie Pré", "Dee Low",
    ]  # fmt: skip
    assert "death" not in world.facts["Living One"]
    assert list(world.facts["Dee Low"]) == ["gender", "birth", "death"]


def test_half_are_men_and_half_women_and_the_most_read_of_each(table: Path) -> None:
    chosen = people(table, n_entities=2).load().facts
    assert list(chosen) == ["Ada Quick", "Cy Young"]
    # Four wanted, three of them women, would be the most read without halves.
    chosen = people(table, n_entities=4, missing=Missing.SKIP).load().facts
    assert list(chosen) == ["Ada Quick", "Living One", "Cy Young", "Bob Slow"]


def test_one_gender_may_have_fewer(tmp_path: Path) -> None:
    men = [f"Man {word},1900,1950,Male,actor,France,Europe,5" for word in ("B", "A", "D", "C")]
    world = people(write(tmp_path / "men.csv", ROWS[0], *men), n_entities=6).load()
    # Equally read: the table's order.
    assert list(world.facts) == ["Ada Quick", "Man B", "Man A", "Man D"]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_both_encodings_and_both_separators_are_read(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    lines = [line.replace(",", separator).replace('"', "") for line in (COLUMNS, *ROWS)]
    path = write(tmp_path / "table", *lines[1:], encoding=encoding, columns=lines[0])
    assert list(people(path).load().facts)[3] == "Élodie Pré"


def test_further_columns_in_any_order_and_quoted_line_breaks_are_no_matter(tmp_path: Path) -> None:
    names = COLUMNS.split(",")
    columns = ",".join(["id", *reversed(names), "notes"])
    rows = [
        ",".join(["Q1", *reversed(row.split(",")), '"a, b\nand c"']) for row in (ROWS[0], ROWS[1])
    ]
    path = write(tmp_path / "table.csv", *rows, columns=columns)
    assert list(people(path).load().facts) == ["Ada Quick", "Bob Slow"]


def test_line_breaks_in_quotes_are_read_wherever_they_fall_in_a_large_table(tmp_path: Path) -> None:
    # Large tables are split at line breaks into blocks of a megabyte.
    notes = "many\n" * 300
    rows = [f'Man {row},1900,1950,Male,actor,France,Europe,{row},"{notes}"' for row in range(3000)]
    path = write(tmp_path / "table.csv", ROWS[0] + ",", *rows, columns=f"{COLUMNS},Ünused")
    facts = people(path, n_entities=10_000).load().facts
    assert list(facts)[:3] == ["Man 2999", "Man 2998", "Man 2997"]
    assert len(facts) == 3001


def test_of_namesakes_the_most_read_is_kept_or_they_are_refused(tmp_path: Path) -> None:
    twins = ["Cy_Young,1500,1550,Male,monk,Spain,Europe,800", *ROWS[:3]]
    path = write(tmp_path / "table.csv", *twins)
    world = people(path).load()
    assert list(world.facts) == ["Ada Quick", "Cy Young", "Bob Slow"]
    assert world.facts["Cy Young"]["occupation"] == ("monk",)
    with pytest.raises(InputError, match=r"rows 2 and 5 are both named 'Cy Young'"):
        people(path, namesakes=Namesakes.ERROR).load()
    # Only one of them is chosen.
    assert len(people(path, namesakes=Namesakes.ERROR, n_entities=2).load().facts) == 2


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A list that grows each time a table is read and not its cache."""
    seen: list[Path] = []
    read = cvdb._read_people
    monkeypatch.setattr(cvdb, "_read_people", lambda path: seen.append(path) or read(path))
    return seen


def test_second_load_reads_the_cache_and_a_changed_table_is_read_again(
    table: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reads(monkeypatch)
    first = people(table).load()
    assert people(table).load() == first
    assert len(seen) == 1
    assert [path.suffix for path in cache.iterdir()] == [".parquet"]
    status = table.stat()
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert people(table).load() == first
    assert len(seen) == 1, "a touched table is the same table"
    table.write_bytes(table.read_bytes().replace(b"Cy Young", b"Cy Older"))
    assert "Cy Older" in people(table).load().facts
    assert len(seen) == 2
    assert len(list(cache.iterdir())) == 1


def test_edit_that_keeps_size_and_time_is_seen(table: Path) -> None:
    assert "Cy Young" in people(table).load().facts
    status = table.stat()
    table.write_bytes(table.read_bytes().replace(b"Cy Young", b"Cy Older"))
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert table.stat().st_size == status.st_size
    assert "Cy Older" in people(table).load().facts


def test_settings_share_one_cache(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reads(monkeypatch)
    assert len(people(table, n_entities=2).load().facts) == 2
    assert len(people(table, missing=Missing.SKIP).load().facts) == 6
    assert len(seen) == 1


def test_cache_that_cannot_be_written_is_no_error(table: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert people(table, cache=str(in_the_way)).load() == people(table).load()
    assert in_the_way.read_text() == ""


def test_cache_cut_short_is_made_anew_and_a_damaged_one_named(table: Path, cache: Path) -> None:
    world = people(table).load()
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-20])
    assert people(table).load() == world
    assert cached.read_bytes()[-20:] == whole[-20:]
    at = whole.index(b"Bob Slow")
    cached.write_bytes(whole[:at] + b"Bub" + whole[at + 3 :])
    with pytest.raises(DamagedError, match="delete it"):
        people(table).load()


@pytest.mark.parametrize("column", COLUMNS.split(","))
def test_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "table.csv", *ROWS, columns=COLUMNS.replace(column, "renamed"))
    with pytest.raises(InputError, match=rf"table.csv has no column '{column}'; "):
        people(path).load()


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("birth", "Ada,about 1812,1850,Female,writer,France,Europe,5"),
        ("death", "Ada,1812,1850-01-01,Female,writer,France,Europe,5"),
        ("wiki_readers_2015_2018", "Ada,1812,1850,Female,writer,France,Europe,many"),
    ],
)
def test_number_that_is_none_is_named_with_its_row(tmp_path: Path, column: str, row: str) -> None:
    path = write(tmp_path / "table.csv", ROWS[1], ROWS[2], row)
    with pytest.raises(InputError, match=rf"table.csv, row 4: {column} is "):
        people(path).load()


def test_row_with_too_few_columns_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", ROWS[0], "Ada,1812")
    with pytest.raises(InputError, match="cannot be read") as caught:
        people(path).load()
    assert "\n" not in str(caught.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", *ROWS, encoding="utf-16")
    with pytest.raises(InputError, match="neither UTF-8 nor ISO-8859-1"):
        people(path).load()


def test_table_without_anyone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 0 people .* missing=skip"):
        people(write(tmp_path / "living.csv", ROWS[3])).load()
    with pytest.raises(InputError, match="has 0 people"):
        people(write(tmp_path / "empty.csv")).load()
    with pytest.raises(InputError, match="no column 'name'"):
        people(write(tmp_path / "nothing.csv", columns="")).load()
    with pytest.raises(InputError, match="there is no table"):
        people(tmp_path / "absent.csv").load()
    with pytest.raises(InputError, match="n_entities is 1"):
        people(tmp_path / "absent.csv", n_entities=1)


@pytest.mark.parametrize("name", ["people_fb15k_cvdb_shape.tsv", "people_pantheon_cvdb_shape.tsv"])
def test_real_tables_give_the_people_that_the_papers_steps_give(name: str) -> None:
    path = TABLES / name
    if not path.exists():
        pytest.skip("needs the shared tables")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    known = [row for row in rows if all(row[column] for column in COLUMNS.split(","))]
    if "fb15k" in name:
        assert len(known) == 1155
    expected: dict[str, dict[str, str]] = {}
    for row in sorted(known, key=lambda row: -int(row["wiki_readers_2015_2018"])):
        columns = (row["name"], row["level3_main_occ"], row["string_citizenship_raw_d"])
        if not any(re.search(r"[^\w\s']", column) for column in columns) and "'" not in columns[0]:
            expected.setdefault(row["name"], row)
    facts = people(path, n_entities=20_000).load().facts
    assert list(facts) == list(expected)
    for person, row in expected.items():
        assert facts[person]["region"] == (row["un_region"],)
        assert facts[person]["occupation"] == (row["level3_main_occ"],)
    fewer = people(path, n_entities=100).load().facts
    for gender in ("Male", "Female"):
        most_read = [person for person, row in expected.items() if row["gender"] == gender][:50]
        assert [person for person in fewer if fewer[person]["gender"] == (gender,)] == most_read
