import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from training.runs import Run

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """What `iml run alias-toy --smoke --with-null` makes; shared by all tests, so never changed."""
    from training.registry import find_recipe
    from training.requests import RunRequest
    from training.runner import run_seeds
    from training.runs import Run, write_null_verdict

    recipe = find_recipe("alias-toy")
    folder = tmp_path_factory.mktemp("tiny") / "run"
    request = RunRequest(config=recipe(**recipe.smoke), folder=folder, seeds=(1000, 1001))
    run_seeds([request, request.null_twin()], workers=1)
    write_null_verdict(Run.load(folder))
    return Run.load(folder)


@pytest.fixture
def copied_run(tiny_run: "Run", tmp_path: Path) -> Path:
    """The folder of a copy of `tiny_run` that a test may change."""
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "run"))


@pytest.fixture(scope="session")
def tree_hash() -> Callable[[Path], dict[str, str]]:
    """A function from a folder to the sha256 of each file in it by relative path, hidden ones too.

    Folders count as well; `""` is their content.
    """

    def listing(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else ""
            for path in sorted(folder.rglob("*"))
        }

    return listing
