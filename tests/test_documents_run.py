"""Every command and example of README and of the pages is carried out, in small."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from data.tokenizers import TrainedTokenizer
from interp.cli import build_parser, main
from tests.documents import DOCUMENTS, README, block_commands, blocks, page_name
from tests.hostile.inputs import people_table, save_model
from tests.training.models.tiny_gguf import write_gguf
from training.runs.run import Run

SMALL: dict[str, dict[str, tuple[str, ...]]] = {
    "align": {"--limit": ("3",)},
    "mediate": {"--limit": ("3",)},
    "twins": {"--exchanged-in": ("2",), "--seed": ("1000",)},
    "erase": {"--seed": ("1000",)},
    "patch": {"--confidence": ("0",), "--limit": ("3",)},
    "probe": {"--quick": ()},
    "run": {"--smoke": ()},
    "sae": {"--steps": ("2",)},
    "sweep": {"--smoke": ()},
}
"""What makes a command quick where it does not say otherwise: a tiny run answers nothing well."""
QUICK = {"data", "models", "recipes", "summary", "verify"}
WITH_PYTHON = [path for path in DOCUMENTS if blocks(path, "python")]
LONG = {"planted.md", "look-along-training.md"}
"""Pages whose examples train and measure for long, also in small."""
WITH_COMMANDS = [path for path in DOCUMENTS if any(w[0] == "iml" for w in block_commands(path))]


@pytest.fixture
def place(tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of a tiny run, in which everything may be written."""
    shutil.copytree(tiny_run.folder, tmp_path / "runs" / "alias-toy")
    write_gguf(tmp_path / "own.gguf")
    monkeypatch.setenv("IML_MODELS", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_small(words: list[str]) -> list[str]:
    """A command as it is written, but for how much it does and for what only its reader has."""
    added = SMALL.get(words[0], {}).items()
    small = [
        *words,
        *(w for option, value in added if option not in words for w in (option, *value)),
    ]
    if words[:2] == ["models", "get"]:
        small[2] = "own.gguf"
    for i, word in enumerate(words):
        if words[i - 1] == "--seeds":
            first = word.split(":")[0]
            small[i] = f"{first}:{int(first) + 1}" if ":" in word else "2"
        if words[i - 1] == "--set" and word.startswith("model="):
            small[i] = "model=own-model"
        if words[i - 1] == "--set" and word.startswith("table=") and words[1] == "works-two-stage":
            small[i] = "table=generated"
        elif words[i - 1] == "--set" and word.startswith("table="):
            small[i] = "table=own-table.csv"
    return small


def called(path: Path) -> Iterator[list[str]]:
    """The words after `iml` in a document's blocks, once each."""
    seen: set[tuple[str, ...]] = set()
    for words in block_commands(path):
        if words[0] == "iml" and (small := tuple(in_small(words[1:]))) not in seen:
            seen.add(small)
            yield list(small)


def test_commands_are_made_small_and_nothing_else_of_them_is_changed() -> None:
    words = [
        "run",
        "cvdb-two-stage",
        "--seeds",
        "1008:1016",
        "--set",
        "model=FOLDER",
        "--set",
        "bos=none",
    ]
    assert " ".join(in_small(words)) == (
        "run cvdb-two-stage --seeds 1008:1009 --set model=own-model --set bos=none --smoke"
    )
    assert in_small(["lens", "runs/alias-toy"]) == ["lens", "runs/alias-toy"]
    assert in_small(["patch", "DIR", "--limit", "9"]) == [
        "patch",
        "DIR",
        "--limit",
        "9",
        "--confidence",
        "0",
    ]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=page_name)
def test_small_commands_parse(path: Path) -> None:
    parser = build_parser()
    for words in called(path):
        parser.parse_args(words)


def carry_out(words: list[str]) -> None:
    assert main(words) == 0, f"iml {' '.join(words)}"


def test_quick_commands_work(place: Path) -> None:
    quick = {tuple(w): w for path in DOCUMENTS for w in called(path) if w[0] in QUICK}
    assert {words[0] for words in quick} == QUICK
    for words in quick.values():
        carry_out(words)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", WITH_COMMANDS, ids=page_name)
def test_every_command_works_in_the_order_of_the_page(path: Path, place: Path) -> None:
    (place / "own-table.csv").write_text(people_table(60), encoding="utf-8")
    save_model(place / "own-model")
    (place / "book.txt").write_text("a tiny model reads this again and again\n" * 1000)
    carry_out(["run", "alias-toy", "--smoke", "--set", "word_order=ate", "--out", "runs/ate"])
    for words in called(path):
        carry_out(words)


def save_own_model(folder: Path, words: list[str]) -> None:
    """A model of random weights; its tokenizer has a token for each of the words after a space."""
    tokenizer = TrainedTokenizer(texts=(" ".join(words),), vocabulary_size=20_000).load()
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow) if p.name in LONG else p for p in WITH_PYTHON],
    ids=page_name,
)
def test_every_example_works_in_the_order_of_the_page(path: Path, place: Path) -> None:
    save_own_model(place / "my-model", words=re.findall(r"\w+", path.read_text()))
    names: dict[str, object] = {}
    for block in blocks(path, "python"):
        # A tiny run answers nothing with confidence.
        quick = block.replace('"sae", stage=2', '"sae", stage=2, ks=(2,), n_steps=2')
        exec(quick.replace("least=0.5", "least=0.0"), names)


def test_the_readme_has_commands_and_examples() -> None:
    assert README in WITH_COMMANDS
    assert README in WITH_PYTHON
