from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

MakeModel = Callable[[str], PreTrainedModel]


class DoubleTorch:
    """Torch, but that its single precision is double."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)


@pytest.fixture
def double_model(random_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> MakeModel:
    """Makes models that compute in double precision throughout.

    GPT-Neo computes attention in single precision whatever its weights are.
    """
    monkeypatch.setattr("transformers.models.gpt_neo.modeling_gpt_neo.torch", DoubleTorch())
    return lambda architecture: random_model(architecture).double()
