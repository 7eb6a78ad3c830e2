"""Tables and model folders from elsewhere, right and spoiled, that a run is asked to read."""

import csv
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from data.tokenizers import TrainedTokenizer
from tests.hostile.trials import SPOILERS, Trial, Workshop, spoil, spoiled_json
from training.models.elsewhere import NamedModel
from training.runs.run import Run

JOBS = ("painter", "politician", "actor", "writer", "athlete")
NATIONS = ("France", "Italy", "Spain", "Poland", "Norway")

RECIPE = [
    "run",
    "cvdb-two-stage",
    "--smoke",
    "--seeds",
    "1",
    "--set",
    "epochs_stage1=1",
    *("--set", "epochs_stage2=1", "--set", "entities=60", "--set", "evaluations=1"),
]

COLUMNS = (
    "name",
    "birth",
    "death",
    "gender",
    "level3_main_occ",
    "string_citizenship_raw_d",
    "un_region",
    "wiki_readers_2015_2018",
)


def people_table(n: int) -> str:
    """A table of so many people, half of them men, of whom everything is known."""
    rng = random.Random(0)
    lines = [",".join(COLUMNS)]
    for person in range(n):
        name = f"{_word(rng)} {_word(rng)} {_word(rng)}"
        birth = rng.randrange(1500, 1900)
        known = (name, birth, birth + 60, ("Male", "Female")[person % 2], rng.choice(JOBS))
        lines.append(",".join(map(str, (*known, rng.choice(NATIONS), "Europe", 1000 - person))))
    return "\n".join(lines) + "\n"


def _word(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)).title()


def save_model(folder: Path) -> None:
    """Saves a tiny language model with random weights, and a tokenizer of its own."""
    tokenizer = TrainedTokenizer(texts=(people_table(60),), vocabulary_size=300).load()
    model = NamedModel(location="tiny-gpt-neox").make(tokenizer, seed=0, max_length=256)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def right_table(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """The table in another dress: everybody in it must be found."""
    rows = list(csv.reader(workshop.table.open(encoding="utf-8"), delimiter=","))
    dress = rng.choice(["bom", "crlf", "tabs", "shuffled columns", "extra column", "quoted"])
    delimiter, quoting = ",", csv.QUOTE_MINIMAL
    match dress:
        case "tabs":
            delimiter = "\t"
        case "quoted":
            quoting = csv.QUOTE_ALL
        case "shuffled columns":
            order = rng.sample(range(len(rows[0])), len(rows[0]))
            rows = [[row[i] for i in order] for row in rows]
        case "extra column":
            rows = [[*row, "note" if i == 0 else "of no use"] for i, row in enumerate(rows)]
    text = io.StringIO(newline="")
    end = "\r\n" if dress == "crlf" else "\n"
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    path = folder / ("people.tsv" if dress == "tabs" else "people.csv")
    path.write_bytes(text.getvalue().encode("utf-8-sig" if dress == "bom" else "utf-8"))
    names = {row[rows[0].index("name")] for row in rows[1:]}
    out = folder / "out"

    def check(printed: str) -> None:
        run = Run.load(out)
        entities = run.rows(run.seeds[0])["entity"].dropna()
        assert {name.replace("_", " ") for name in names} == set(entities)

    return Trial(
        words=[*RECIPE, "--set", f"table={path}", "--out", str(out)], check=check, may_write=out
    )


def wrong_table(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A table that cannot be read, or has nobody to ask about."""
    path = folder / "people.csv"
    text = workshop.table.read_text(encoding="utf-8")
    lines = text.splitlines()
    column = rng.choice(["name", "birth", "gender", "un_region", "level3_main_occ"])
    ways: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: b"\n\n\n",
        lambda: rng.randbytes(5_000),
        lambda: lines[0].encode(),
        lambda: text.encode("utf-16-le"),
        lambda: text.replace(column, "other", 1).encode(),
        lambda: "\n".join(lines[1:]).encode(),
        lambda: (lines[0] + "\n" + lines[1]).encode(),
        lambda: b"\x00" * 1_000,
        lambda: b"PK\x03\x04" + rng.randbytes(2_000),
        lambda: json.dumps([1, 2, 3]).encode(),
        lambda: ('"' + text).encode(),
    ]
    path.write_bytes(rng.choice(ways)())
    if rng.random() < 0.2:
        spoil(path, rng.choice(["gone", "folder", "loop"]), rng)
    out = folder / "out"
    return Trial(words=[*RECIPE, "--set", f"table={path}", "--out", str(out)], codes=frozenset({2}))


def right_model(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A model folder that is fine, under a name that is odd but allowed."""
    name = rng.choice(["model", "a b", "ünïcode", "v1.0..beta", "-dash", "x" * 150, "tab\tbed"])
    model = Path(shutil.copytree(workshop.model, folder / name))
    out = folder / "out"

    def check(printed: str) -> None:
        assert "iml_gap" in printed
        assert not set(printed) & {"\x1b", "\x07", "\x00"}
        assert Run.load(out).is_finished

    return Trial(words=_with_model(model, out), check=check, may_write=out)


def wrong_model(rng: random.Random, workshop: Workshop, folder: Path) -> Trial:
    """A model folder with a spoiled file, or a name that is none."""
    out = folder / "out"
    if rng.random() < 0.25:
        names = ("..", "a..b/c", "a/../b", "../x", "a/b/c", "-a/b", "a/-b.", "a--b/c", "\x1b/x")
        names += (
            "a/b.git",
            "x" * 300,
            "a/" + "y" * 200,
            "nul\0/x",
            "http://x/y",
            "a\n/b",
            ".",
            " ",
        )
        return Trial(words=_with_model(rng.choice(names), out), codes=frozenset({2}))
    model = Path(shutil.copytree(workshop.model, folder / "model"))
    name = rng.choice(["config.json", "model.safetensors", "tokenizer.json"])
    if name == "config.json" and rng.random() < 0.7:
        config = json.loads((model / name).read_text())
        keys = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
        (model / name).write_bytes(spoiled_json(config, [*keys, "model_type"], rng))
    elif name == "config.json" and rng.random() < 0.5:
        config = json.loads((model / name).read_text())
        key = rng.choice(["num_hidden_layers", "hidden_size", "vocab_size"])
        (model / name).write_text(json.dumps({**config, key: 10 ** rng.choice([9, 12, 40])}))
    else:
        spoil(model / name, rng.choice(SPOILERS), rng)
    return Trial(words=_with_model(model, out), codes=frozenset({2}))


def _with_model(model: object, out: Path) -> list[str]:
    return [*RECIPE, "--set", f"model={model}", "--out", str(out)]
