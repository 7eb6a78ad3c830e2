"""How long does reading the Cross-Verified Database take, and how much memory?

Run `python benchmarks/bench_cvdb.py [--quick]`. A made-up table of the database's shape is written
to a temporary folder: 2.3 million rows in ISO-8859-1, 24 columns, some of them wide, four men to
each woman, deaths often unknown. Then 4,000 people are read of it: the first time, from the cache,
and after the file was merely touched; beside it stands `pandas.read_csv(encoding="latin-1")` of the
whole file, with which the published code begins. Every side runs in a process of its own, so that
its peak memory is its own; imports count in the peak but not in the seconds. pyarrow uses as many
threads as there are cores, pandas one. Exit code 1 where a limit is missed (2.3 million rows only).
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import describe_machine

from data.worlds.cvdb import CvdbWorld

ROWS, QUICK_ROWS = 2_300_000, 100_000
N_ENTITIES = 4000
LIMITS = {"first": (20.0, 2000.0), "cached": (1.0, 2000.0)}
"""By side, the most seconds and megabytes."""
SIDES = ("first", "cached", "touched", "pandas")
HEADER = (
    "wikidata_code,birth,death,updated_death_date,approx_birth,approx_death,birth_min,birth_max,"
    "gender,level1_main_occ,name,un_subregion,level2_main_occ,level3_main_occ,level3_all_occ,"
    "string_citizenship_raw_d,citizenship_1_b,list_areas_of_rattach,un_region,"
    "list_wikipedia_editions,non_missing_score,total_count_words_b,number_wiki_editions,"
    "wiki_readers_2015_2018"
)


def table_lines(n_rows: int) -> Iterator[str]:
    """The rows of a made-up table."""
    rng = random.Random(0)
    syllables = ["ma", "ri", "na", "jo", "sé", "le", "on", "ha", "rd", "ström", "wil", "fü", "ta"]
    words = ["".join(rng.choices(syllables, k=3)).capitalize() for _ in range(5000)]
    editions = [f"{word[:2].lower()}wiki" for word in words[:300]]
    for row in range(n_rows):
        birth = rng.randint(1500, 1999)
        death = "" if rng.random() < 0.5 else f"{birth + rng.randint(20, 90)}.0"
        name = f"{rng.choice(words)}_{rng.choice(words)}_{row}"
        if rng.random() < 0.15:
            name = f"{name[:-2]}-{name[-2:]}"
        gender = "Female" if rng.random() < 0.2 else "Male"
        wide = "|".join(editions[row % 200 : row % 200 + rng.randint(3, 40)])
        yield (
            f"Q{row},{birth}.0,{death},,{birth},,{birth - 1},{birth + 1},{gender},Culture,{name},"
            f"Western Europe,Culture-core,film_maker,\"D:_film_maker_'writer',_teacher\","
            f"'United_States_of_America'_'France',France,'{words[row % 5000]}',"
            f"Europe,{wide},{row % 7},{row % 9999},{row % 120},{rng.randint(0, 10**8)}.0"
        )


def write_table(path: Path, n_rows: int) -> None:
    with path.open("w", encoding="iso-8859-1") as file:
        file.write(HEADER + "\n")
        file.writelines(line + "\n" for line in table_lines(n_rows))


def run_side(side: str, table: Path) -> dict[str, float]:
    """Seconds and peak megabytes of one side, in this process."""
    import pandas as pd
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401 - imports are not what is timed

    wall, cpu = time.perf_counter(), time.process_time()
    if side == "pandas":
        rows = len(pd.read_csv(table, encoding="latin-1"))
    else:
        world = CvdbWorld(
            table=str(table), n_entities=N_ENTITIES, cache=str(table.with_name("cache"))
        )
        rows = len(world.load().facts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    # Of Linux in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": wall, "cpu": cpu, "megabytes": peak, "rows": rows}


def in_process(side: str, table: Path) -> dict[str, float]:
    """`run_side` in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--table", str(table)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> int:
    """Make the table, run every side, print; exit code 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a table of 100,000 rows")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side, arguments.table)))
        return 0
    print(describe_machine("pyarrow", "pandas"))
    n_rows = QUICK_ROWS if arguments.quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "cross-verified-database.csv"
        write_table(table, n_rows)
        print(f"{n_rows:,} rows, {table.stat().st_size / 2**20:,.0f} MB")
        measured = {}
        for side in SIDES:
            if side == "touched":
                table.touch()
            measured[side] = in_process(side, table)
    pandas = measured["pandas"]
    for side, result in measured.items():
        print(
            f"  {side:<8} wall {result['wall']:6.2f} s   cpu {result['cpu']:6.2f} s   "
            f"{result['megabytes']:5.0f} MB peak   {result['rows']:>9,} rows   against pandas: "
            f"wall {pandas['wall'] / result['wall']:.1f}, cpu {pandas['cpu'] / result['cpu']:.1f}"
        )
    passed = all(
        measured[side]["wall"] <= seconds and measured[side]["megabytes"] <= megabytes
        for side, (seconds, megabytes) in LIMITS.items()
    )
    return 0 if passed or arguments.quick else 1


if __name__ == "__main__":
    sys.exit(main())
