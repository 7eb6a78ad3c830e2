import random

import pytest

from data.errors import InputError
from data.worlds.symbolic import attribute_values, symbolic_world


def test_every_entity_has_one_value_of_each_attributes_own() -> None:
    world = symbolic_world(n_entities=30, n_attributes=3, n_values=4, rng=random.Random(0))
    assert len(world.entities) == len(set(world.entities)) == 30
    assert len({value for options in world.values.values() for value in options}) == 12
    for facts in world.facts.values():
        assert list(facts) == list(world.attributes)
        assert all(value in world.values[attribute] for attribute, value in facts.items())


def test_values_of_an_attribute_are_equally_likely() -> None:
    world = symbolic_world(n_entities=4000, n_attributes=2, n_values=4, rng=random.Random(0))
    for attribute, options in world.values.items():
        drawn = [facts[attribute] for facts in world.facts.values()]
        for value in options:
            # 1000 expected, standard deviation 27.
            assert abs(drawn.count(value) - 1000) < 140


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_entities": 1, "n_attributes": 4, "n_values": 4},
        {"n_entities": 4, "n_attributes": 1, "n_values": 4},
        {"n_entities": 4, "n_attributes": 4, "n_values": 1},
    ],
)
def test_world_without_choice_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(InputError):
        symbolic_world(**sizes, rng=random.Random(0))


def test_values_of_several_tokens_are_told_apart_by_no_single_one() -> None:
    values = attribute_values(2, 10, n_tokens=2)

    assert values["attr0"] == values["attr1"]
    assert len(set(values["attr0"])) == 10
    for place in (0, 1):  # four digits write ten numbers, so each stands in two or more
        used = [value.split()[place] for value in values["attr0"]]
        assert sorted(set(used))[0] == "digit0"
        assert min(map(used.count, used)) >= 2


@pytest.mark.parametrize("tokens", [0, 17])
def test_values_without_tokens_are_refused(tokens: int) -> None:
    with pytest.raises(InputError, match=f"answer_tokens is {tokens}; use 1 to 16"):
        attribute_values(2, 4, n_tokens=tokens)
