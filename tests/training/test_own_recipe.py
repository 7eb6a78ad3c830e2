"""A recipe is one file: its groups of parameters, and a function that makes a config of them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.subset_sizes import SubsetSizes
from data.vocabulary import LossPolicy, WordOrder
from interp.cli import main
from training.config import RunConfig, StageConfig, Value
from training.recipes.groups import ScratchModel
from training.registry import RECIPES, recipe, variant_of
from training.runs.run import Run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Steps:
    epochs: int = 2
    learning_rate: float = 0.01

    @property
    def stage(self) -> StageConfig:
        return StageConfig(
            epochs=self.epochs,
            batch_size=32,
            learning_rate=self.learning_rate,
            weight_decay=0.0,
            evaluations=1,
        )


def own_toy(
    *,
    aliases: int = 12,
    model: ScratchModel = ScratchModel(  # noqa: B008
        layers=1, d_model=8, heads=1, d_mlp=16, tied_embeddings=True, rotary_pct=0.5
    ),
    training: Steps = Steps(),
) -> RunConfig:
    """A toy of one's own.

    With more to say about it.
    """
    return RunConfig(
        data=IMLConfig(
            sizes=SubsetSizes(defined=aliases, undefined=4, stage2=4),
            names=AliasNames(),
            word_order=WordOrder.TAE,
            shuffle_tags=False,
            n_entities=8,
            n_attributes=2,
            n_values=4,
            held_out_questions=1,
            fact_repeats=1,
        ),
        model=model.config,
        stage1=training.stage,
        stage2=training.stage,
        word_order=WordOrder.TAE,
        loss_policy=LossPolicy.ANSWER,
        block_size=8,
        seeds_stage2=1,
    )


def own_toy_long() -> Mapping[str, Value]:
    """The same, longer."""
    return {"epochs": 3}


PARAMETERS: dict[str, Value] = {"aliases": 12, "layers": 1, "d_model": 8, "heads": 1, "d_mlp": 16}
PARAMETERS |= {"tied_embeddings": True, "rotary_pct": 0.5, "epochs": 2, "learning_rate": 0.01}


@pytest.fixture
def entered() -> Iterator[None]:
    """The two recipes among the others."""
    made = recipe(claims=("M1",), model="tiny", cost="a second", smoke={"epochs": 1})(own_toy)
    variant_of(made)(own_toy_long)
    yield
    del RECIPES["own-toy"], RECIPES["own-toy-long"]


@pytest.mark.usefixtures("entered")
def test_iml_lists_what_can_be_set_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name, changed in (("own-toy", {}), ("own-toy-long", {"epochs": 3})):
        assert main(["recipes", name, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        defaults = [(p, each["default"]) for p, each in told["parameters"].items()]
        assert defaults == list((PARAMETERS | changed).items())
    assert main(["recipes", "own-toy"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "own-toy: A toy of one's own."
    assert printed[-1].split() == ["learning_rate=0.01", "float"]


@pytest.mark.usefixtures("entered")
@pytest.mark.parametrize(("name", "epochs"), [("own-toy", 2), ("own-toy-long", 3)])
def test_iml_runs_it_with_what_is_set(name: str, epochs: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = ["run", name, "--seeds", "1", "--workers", "1", "--out", str(folder)]
    assert main([*command, "--set", "aliases=6", "--set", "learning_rate=1"]) == 0

    run = Run.load(folder)
    expected = PARAMETERS | {"epochs": epochs, "aliases": 6, "learning_rate": 1.0}
    assert list(run.info["parameters"].items()) == list(expected.items())
    assert run.config == RECIPES[name](aliases=6, learning_rate=1)
    assert run.config.stage1.learning_rate == 1
    assert max(run.metrics["epoch"].tolist()) == epochs


@pytest.mark.usefixtures("entered")
def test_iml_refuses_the_name_of_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "run")
    assert main(["run", "own-toy", "--set", "training=1", "--out", out]) == 2
    assert capsys.readouterr().err == (
        "error: --set training: recipe own-toy has no such parameter; see iml recipes own-toy\n"
    )


FILE = '''
from collections.abc import Mapping

from training.config import Value
from training.recipes.toys import source_toy
from training.registry import variant_of


@variant_of(source_toy)
def mine() -> Mapping[str, Value]:
    """Mine."""
    return {"layers": 2}
'''
# The package as it would be with one more file in its folder.
LIST = """
import sys
from importlib.util import find_spec, module_from_spec
from training.registry import RECIPES

spec = find_spec("training.recipes")
spec.submodule_search_locations.append(sys.argv[1])
package = sys.modules["training.recipes"] = module_from_spec(spec)
spec.loader.exec_module(package)
print(*RECIPES, package.find_recipe("mine").defaults["layers"])
"""


def test_a_file_among_the_recipes_is_found_by_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    command = [sys.executable, "-c", LIST, str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    *names, layers = found.stdout.split()
    assert set(names) == {*RECIPES, "mine"}
    assert names[0] == "alias-toy"
    assert layers == "2"
