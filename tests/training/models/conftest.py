"""What tests of models from elsewhere share."""

from pathlib import Path

import pytest

from tests.training.models.tiny_gguf import write_gguf


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where converted models are kept in this test."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("IML_MODELS", str(folder))
    return folder


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A tiny chat model in a GGUF file, with nothing rounded."""
    return write_gguf(tmp_path / "tiny.gguf")
