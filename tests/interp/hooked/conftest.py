from collections.abc import Iterator

import pytest

from tests.interp.hooked.kept_state import random_state, same


@pytest.fixture
def nothing_random_is_drawn() -> Iterator[None]:
    before = random_state()
    yield
    assert same(random_state(), before)
