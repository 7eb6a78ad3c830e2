from dataclasses import dataclass

import pytest

from data.vocabulary import WordOrder
from training.parameters import argument_kinds, flat_parameters, in_groups


@dataclass(frozen=True, kw_only=True)
class Sizes:
    layers: int
    width: int = 8


@dataclass(frozen=True, kw_only=True)
class Pace:
    rate: float = 0.5
    is_fast: bool = False


def build(
    *,
    word_order: WordOrder = WordOrder.TAE,
    sizes: Sizes = Sizes(layers=2),
    seeds: int = 1,
    pace: Pace = Pace(rate=0.25),
) -> object:
    return word_order, sizes, seeds, pace


def test_groups_are_flattened_where_they_stand_in_the_order_of_their_fields() -> None:
    parameters = flat_parameters(build)
    assert {name: (p.name, p.kind, p.default) for name, p in parameters.items()} == {
        "word_order": ("word_order", WordOrder, WordOrder.TAE),
        "layers": ("layers", int, 2),
        "width": ("width", int, 8),
        "seeds": ("seeds", int, 1),
        "rate": ("rate", float, 0.25),
        "is_fast": ("is_fast", bool, False),
    }
    assert list(parameters) == ["word_order", "layers", "width", "seeds", "rate", "is_fast"]


def test_values_go_back_into_their_groups() -> None:
    values = {"word_order": WordOrder.EAT, "layers": 3, "width": 4}
    values |= {"seeds": 5, "rate": 0.75, "is_fast": True}
    assert in_groups(argument_kinds(build), values) == {
        "word_order": WordOrder.EAT,
        "sizes": Sizes(layers=3, width=4),
        "seeds": 5,
        "pace": Pace(rate=0.75, is_fast=True),
    }


def test_two_parameters_of_one_name_are_refused_where_they_are_written() -> None:
    def twice(*, width: int = 1, sizes: Sizes = Sizes(layers=2)) -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match="twice has two parameters width"):
        flat_parameters(twice)


def test_an_argument_without_a_default_is_refused_where_it_is_written() -> None:
    def unsaid(*, sizes: Sizes) -> None:
        raise NotImplementedError

    with pytest.raises(TypeError, match="unsaid has no default for sizes"):
        flat_parameters(unsaid)
