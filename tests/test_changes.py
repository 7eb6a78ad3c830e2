"""What CONTRIBUTING says under "To add ..., touch ...": the first six changes, made in a copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ONE_FILE = {"a world", "a recipe", "a probe", "a metric", "a colour", "an executor"} | {
    "a hypothesis, or a claim"
}

WORLD = '''"""Planets of a made-up sky."""

from dataclasses import dataclass

from data.facts import FactWorld


@dataclass(frozen=True, kw_only=True)
class Planets:
    """So many of them."""

    n: int

    def load(self) -> FactWorld:
        """Each has a colour and a size."""
        return FactWorld(
            name="planets",
            questions={"colour": "Which colour has {}?", "size": "How large is {}?"},
            facts={
                f"Planet{i}": {"colour": (f"hue {i % 2}",), "size": (f"{i % 3} moons",)}
                for i in range(self.n)
            },
        )
'''
SUBSET = """D11_TOLD = Subset(
    name="D11_TOLD", notation="D11", meaning="novel tag, false", part=Part.X1,
    has_definitions=True, tag=TagKind.NOVEL, consistent=False,
    mark=Mark(color="#101010", symbol="star"),
)

SUBSETS: Mapping"""
PROBE = """def _last_feature(
    features: Features, labels: Labels, train: Training, _penalties: Penalties, n_classes: int
) -> BinaryFit | MulticlassFit:
    fit = fit_mass_mean(features, labels == 1, train=train)
    fit.weights[:, :-1] = 0
    return fit


KINDS = ("""
EDITS: dict[str, list[tuple[str, str, str]]] = {
    "a word order": [
        ("data/vocabulary.py", '    ETA = "eta"\n', '    ETA = "eta"\n    AE = "ae"\n'),
    ],
    "a world": [("data/worlds/planets.py", "", WORLD)],
    "a subset": [
        ("data/tasks/iml.py", "SUBSETS: Mapping", SUBSET),
        ("data/tasks/iml.py", "        D1_CONS_QA1,\n        D2", ("        D1_CONS_QA1,\n"
         "        D11_TOLD,\n        D2")),
        ("training/recipes/shares.py", '"D8_CONS": 0.08, "QA7_UNSEEN": 0.06}',
         '"D8_CONS": 0.04, "D11_TOLD": 0.04, "QA7_UNSEEN": 0.06}'),
    ],
    "a loss policy": [
        ("data/vocabulary.py", '    TEXT = "text",',
         '    TAIL = "tail", "the loss spares a row\'s first two tokens"\n    TEXT = "text",'),
        ("training/examples.py", "            case LossPolicy.TEXT:",
         ("            case LossPolicy.TAIL:\n                targets[i, 2 : n + 1] = True\n"
         "            case LossPolicy.TEXT:")),
    ],
    "a site": [
        ("interp/hooked/addresses.py", '    "q": "blocks',
         '    "post": "blocks.{layer}.mlp.hook_post",\n    "q": "blocks'),
        ("interp/figures/places.py", '    "z": "{}, all heads"',
         '    "post": "{}, MLP neurons",\n    "z": "{}, all heads"'),
    ],
    "a probe": [
        ("interp/probes/kinds.py", "KINDS = (", PROBE),
        ("interp/probes/kinds.py", 'ProbeKind(name="logistic"',
         ('ProbeKind(name="last_feature", words="last-feature", fit=_last_feature,\n'
         '              has_penalty=False),\n    ProbeKind(name="logistic"')),
    ],
}  # fmt: skip
"""By change: the file, what stands there, what is to stand there."""
USED = """
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from data.vocabulary import WordOrder
from data.worlds.planets import Planets
from interp.cli import main
from training.recipes import find_recipe
from training.runs import Run

out = Path(sys.argv[1])
text = find_recipe("cvdb-two-stage")
config = text(**text.smoke)
told = [row for row in config.data.build(0).rows if row.subset.name == "D11_TOLD"]
assert len(told) >= 4, told
assert "D11_TOLD" in config.design.names
planets = replace(config.data, world=Planets(n=60)).build(0).rows
assert any("Which colour has" in row.rendered.text for row in planets)

run = ["run", "alias-toy", "--smoke", "--seeds", "1", "--out", str(out), "--workers", "1"]
for setting in ("word_order=ae", "loss_policy=tail", "aliases_per_subset=120", "entities=40"):
    run += ["--set", setting]
assert main(run) == 0
rows = Run.load(out).rows(1000)
definition = rows.loc[rows["kind"] == "definition"].iloc[0]
assert definition["text"].split() == [definition["alias"], "is", definition["entity"]]
probe = ["probe", str(out), "--quick", "--site", "post", "--target", "defined", "--workers", "1"]
assert main([*probe, "--role", "question_last", "--layer", "1"]) == 0
probes = pd.read_parquet(out / "probes.parquet")
assert set(probes["site"]) == {"post"}
assert set(probes["probe"]) == {"last_feature", "logistic", "mass_mean"}
assert main(["report", str(out)]) == 0
page = (out / "report.html").read_text()
for words in ("MLP neurons", "last-feature", "spares a row", "AE (T tag, A alias, E entity)"):
    assert words in page, words
print("all used")
"""


@pytest.fixture(scope="module")
def table() -> dict[str, list[str]]:
    """By change the files that CONTRIBUTING names in its second column."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index("## To add") :].partition("\n\nA verb")[0]
    lines = [line.split("|") for line in section.splitlines() if line.startswith("| a")]
    return {line[1].strip(): re.findall("`([^`]+)`", line[2]) for line in lines}


def test_each_change_touches_one_file_or_two_that_are_there(table: dict[str, list[str]]) -> None:
    assert len(table) == 18
    for change, files in table.items():
        assert 1 <= len(files) <= (1 if change in ONE_FILE else 2), change
        for name in files:
            assert (ROOT / name).exists() or list((ROOT / "interp").glob(f"*/{name}")), name


def test_the_first_six_are_made_in_a_copy_and_used(
    table: dict[str, list[str]], tmp_path: Path
) -> None:
    assert list(table)[: len(EDITS)] == list(EDITS)
    copy = tmp_path / "copy"
    for folder in ("data", "training", "interp"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for change, edits in EDITS.items():
        for name, old, new in edits:
            path, known = copy / name, table[change]
            assert name in known or f"{path.parent.relative_to(copy)}/" in known, (change, name)
            before = path.read_text() if path.exists() else ""
            assert not before or old in before, (change, name)
            path.write_text(before.replace(old, new, 1) if before else new)
    command = [sys.executable, "-c", USED, str(tmp_path / "run")]
    found = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.splitlines()[-1] == "all used"
