import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from interp.cli import main
from training.recipes import find_recipe
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.runner import run_seeds

TreeHash = Callable[[Path], dict[str, str]]
Capture = pytest.CaptureFixture[str]
SIZES = {"aliases_per_subset": 16, "aliases_qa3": 6, "entities": 4, "attributes": 2, "values": 2}
MINI = SIZES | {"d_model": 8, "heads": 2, "d_mlp": 8, "rotary_pct": 0.5, "epochs_stage1": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = find_recipe("alias-toy")(**MINI, aliases_stage2=16, epochs_stage2=1)
    run_seeds([RunRequest(config=config, folder=folder, seeds=(0,))], workers=1)
    return folder


def test_the_command_writes_its_tables_and_says_what_it_found(trained: Path, capsys: Capture):
    assert main(["circuit", str(trained), "--stage", "2", "--limit", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    table = pd.read_parquet(trained / "circuits.parquet")

    assert run_damage(trained) == []
    assert set(table["stage"]) == {2}
    assert set(table["ablation"]) == {"mean"}
    assert {"answer D5", "recite D6"} <= set(table["circuit"])
    assert "A circuit is chosen on half of the aliases" in json.dumps(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ablation", "noise"], "'noise'"),
        (["--scores", "atp"], "'atp'"),
        (["--unit", "a9.h0@alias"], "layer"),
        (["--unit", "z0"], "no unit 'z0'; write a1.h3@alias for a head"),
        (["--edges", "--unit", "m0@alias"], "no edge 'm0@alias'; write emb>a0.h1.q"),
        (["--edges", "--unit", "a0.h0>a0.h1.q"], "edge 'a0.h0>a0.h1.q'"),
        (["--limit", "0"], "--limit is 0; give 1 or more rows"),
        (["--site", "z"], "--site does nothing here"),
        (["--layer", "0"], "--layer does nothing here"),
        (["--component", "m0"], "--component does nothing here: it is of --necessity"),
        (["--others", "3"], "--others does nothing here: it is of --necessity"),
        (["--necessity", "--component", "m7"], "no component 'm7'; choose one of emb"),
        (["--necessity", "--edges"], "--edges does nothing here"),
        (["--necessity", "--unit", "m0@alias"], "--unit does nothing here"),
    ],
)
def test_bad_options_are_one_line_and_change_nothing(
    trained: Path, capsys: Capture, tree_hash: TreeHash, options: list[str], message: str
):
    before = tree_hash(trained)
    assert main(["circuit", str(trained), "--stage", "2", "--limit", "8", *options]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "error" in each]
    assert message in line
    assert tree_hash(trained) == before
