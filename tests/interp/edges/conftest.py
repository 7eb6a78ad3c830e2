from collections.abc import Callable

import pytest
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.edges.edge_pairs import HAVE_EDGES

Builder = Callable[[str], PreTrainedModel]


@pytest.fixture(scope="module", params=HAVE_EDGES)
def edge_model(request: pytest.FixtureRequest, random_model: Builder) -> HookedModel:
    """A tiny model in float64 of each architecture that has edges; never changed."""
    return HookedModel.from_hf(random_model(request.param).double())
