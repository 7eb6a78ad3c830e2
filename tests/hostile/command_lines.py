"""Command lines, right and wrong, on a run that is fine."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.hostile.trials import Trial, Workshop
from training.recipes import find_recipe
from training.registry import RECIPES
from training.runs.run import Run

NAMES = ("", " ", "D5", "d5_cons", "D5_CONS ", "\x1b[31mred", "new\nline", "ünïcode", "D" * 5_000)
NUMBERS = ("-1", "99", "1000000000000", "9" * 30, "9" * 5_000, "1.5", "one", "", "nan", "0x1", "²")
PLACES = (
    "nowhere",
    "file",
    "empty",
    "file/below",
    "p" * 300,
    "a/" * 3_000,
    "esc\x1b[2J",
    "two\nlines",
)
UNKNOWN = ("--fast", "--layers-of-cake", "-q", "--json=maybe", "--seed", "--limit")


def right(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A command line that must be carried out."""
    kind = rng.choice([_recipes, _summary, _data, _data, _verify, _analysis])
    return kind(rng, workshop, folder)


def wrong(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A command line that must be refused."""
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    (folder / "file").write_text("of no use")
    (folder / "empty").mkdir()
    ways: list[Callable[[], list[str]]] = [
        lambda: [rng.choice(["walk", "RUN", "", "probe\n", "--", "données"])],
        lambda: ["data", str(run), "--subset", rng.choice(NAMES)],
        lambda: ["data", str(run), "--kind", rng.choice(NAMES)],
        lambda: ["data", str(run), "--seed", rng.choice(NUMBERS)],
        lambda: [
            "data",
            str(run),
            "--limit",
            rng.choice([n for n in ("0", *NUMBERS) if _no_limit(n)]),
        ],
        lambda: (
            [
                rng.choice(["summary", "data", "verify", "report", *ANALYSES]),
                str(folder / rng.choice(PLACES)),
            ]
        ),
        lambda: [rng.choice(["summary", "data", "verify", "report", *ANALYSES]), "nul\0byte"],
        lambda: [
            rng.choice(["summary", "data", "verify", "report"]),
            str(run),
            rng.choice(UNKNOWN),
        ],
        lambda: [rng.choice(["summary", "data", "verify", "report", *ANALYSES])],
        lambda: [rng.choice(ANALYSES), str(run), rng.choice(SELECTORS), rng.choice(NUMBERS)],
        lambda: ["probe", str(run), "--target", rng.choice(NAMES)],
        lambda: ["lens", str(run), "--role", rng.choice(NAMES)],
        lambda: ["patch", str(run), "--site", rng.choice(NAMES)],
        lambda: ["align", str(run), "--loss-policy", rng.choice(NAMES)],
        lambda: ["run", rng.choice(NAMES), "--out", str(folder / "out")],
        lambda: (
            [
                "run",
                "alias-toy",
                "--seeds",
                rng.choice([n for n in NUMBERS if n != "99"]),
                "--out",
                str(folder / "out"),
            ]
        ),
        lambda: ["run", "alias-toy", "--smoke", "--out", str(folder / "file")],
        lambda: ["run", "alias-toy", "--out", str(folder / "out"), "--set", _bad_setting(rng)],
        lambda: ["sweep", rng.choice(NAMES), "--out", str(folder / "out")],
        lambda: ["recipes", rng.choice(NAMES[1:])],
    ]
    return Trial(words=rng.choice(ways)(), codes=frozenset({2}))


ANALYSES = ("probe", "lens", "patch", "attention", "ablate", "align", "transplant")
SELECTORS = ("--seed", "--stage", "--step")


def _no_limit(text: str) -> bool:
    """Whether a text is no number of rows."""
    return not (text.isascii() and text.isdigit() and int(text[:4000]) > 0 and len(text) < 4_300)


def _bad_setting(rng: random.Random) -> str:
    """`NAME=VALUE` that no run of the alias toy can have."""
    counts = ("entities", "layers", "heads", "attributes", "values", "batch_size", "epochs_stage1")
    ways = [
        lambda: f"{rng.choice(counts)}={rng.choice([n for n in NUMBERS if n != '99'])}",
        lambda: f"{rng.choice(counts)}=0",
        lambda: (
            f"{rng.choice(['alpha', 'learning_rate_stage1'])}={rng.choice(['nan', 'inf', '-1'])}"
        ),
        lambda: rng.choice(["layers", "=2", "layer=2", "layers =2", "\x07=1", "", "é=1"]),
        lambda: f"word_order={rng.choice(NAMES)}",
        lambda: f"shuffle_tags={rng.choice(['yes', '1', 'None', ''])}",
    ]
    return rng.choice(ways)()


def _recipes(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    name = rng.choice(["", *sorted(RECIPES)])
    words = ["recipes", *([name] if name else [])]
    if rng.random() < 0.5:

        def check(printed: str) -> None:
            names = [entry["name"] for entry in json.loads(printed)]
            assert names == ([name] if name else list(RECIPES))

        return Trial(words=[*words, "--json"], check=check)

    def check_text(printed: str) -> None:
        assert f"{name or 'alias-toy'}: " in printed
        assert not name or all(f"{p}=" in printed for p in find_recipe(name).parameters)

    return Trial(words=words, check=check_text)


def _summary(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    saved = json.loads((workshop.run / "summary.json").read_text())
    if rng.random() < 0.5:

        def check(printed: str) -> None:
            assert json.loads(printed)["iml_gap"] == saved["iml_gap"]

        return Trial(words=["summary", str(workshop.run), "--json"], check=check)
    mean = saved["iml_gap"]["exact_match"]["mean"]

    def check_text(printed: str) -> None:
        assert f"{mean:+.3f}" in printed

    return Trial(words=["summary", str(workshop.run)], check=check_text)


def _data(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    run = Run.load(workshop.run)
    seed = rng.choice(run.seeds)
    rows = run.rows(seed)
    words = ["data", str(workshop.run), "--json", "--seed", str(seed)]
    if rng.random() < 0.6:
        subset = rng.choice(sorted(set(rows["subset"])))
        rows, words = rows.loc[rows["subset"] == subset], [*words, "--subset", subset]
    if rng.random() < 0.4:
        kind = rng.choice(sorted(set(rows["kind"])))
        rows, words = rows.loc[rows["kind"] == kind], [*words, "--kind", kind]
    limit = rng.choice([1, 3, 7, 100_000])
    words += ["--limit", str(limit)]
    expected = rows["row_id"].tolist()[:limit]

    def check(printed: str) -> None:
        assert [json.loads(line)["row_id"] for line in printed.splitlines()] == expected

    return Trial(words=words, check=check)


def _verify(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    def check(printed: str) -> None:
        assert "every file matches" in printed

    return Trial(words=["verify", str(workshop.run)], check=check)


def _analysis(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    run = Path(shutil.copytree(workshop.run, folder / "run"))
    layer, seed = rng.choice([0, 1]), rng.choice(Run.load(run).seeds)
    words = ["lens", str(run), "--layer", str(layer), "--seed", str(seed), "--role", "alias_last"]

    def check(printed: str) -> None:
        table = pd.read_parquet(run / "lens.parquet")
        assert set(table["seed"]) == {seed}
        assert set(table["layer"]) >= {layer}

    return Trial(words=words, check=check, may_write=run)
