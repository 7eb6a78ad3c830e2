from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError, jaxtyped
from torch import Tensor

from tests import type_checks
from tests.type_checks import checked, light_jaxtyped


def product(wrong: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """A new function at each call."""

    def multiply(x: Float[Tensor, "n m"], y: Float[Tensor, "m k"]) -> Float[Tensor, "n k"]:
        return y if wrong else x @ y

    return jaxtyped(multiply, typechecker=checked)


def taker(annotation: Any, *default: object) -> Callable[..., object]:
    if default:

        def take(value: annotation = default[0]) -> object:  # pyright: ignore[reportInvalidTypeForm]
            return value
    else:

        def take(value: annotation) -> object:  # pyright: ignore[reportInvalidTypeForm]
            return value

    return jaxtyped(take, typechecker=checked)


def test_every_function_that_is_made_is_checked_by_code_that_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
):
    made = []
    beartype = type_checks.beartype
    monkeypatch.setattr(type_checks, "beartype", lambda f: made.append(f) or beartype(f))
    monkeypatch.setattr(type_checks, "_CHECKED", {})
    x, y = torch.ones(2, 3), torch.ones(3, 4)
    for _ in range(3):
        assert torch.equal(product()(x, y), x @ y)
        with pytest.raises(TypeCheckError, match="parameters"):
            product()(y, x)
        with pytest.raises(TypeCheckError, match="return"):
            product(wrong=True)(x, y)

    # Of the parameters, of parameters and result, and those that find the argument to blame.
    assert 2 <= len(made) <= 4


def test_functions_of_one_name_and_other_signatures_are_checked_by_their_own():
    assert taker(int)(1) == 1
    assert taker(str)("a") == "a"
    assert taker(int, 7)() == 7
    for wrong in (lambda: taker(int)("a"), lambda: taker(str)(1), lambda: taker(int, 7)("a")):
        with pytest.raises(TypeCheckError):
            wrong()
    with pytest.raises(TypeError):
        taker(int)()


def test_the_projects_own_functions_are_checked():
    from training.statistics import max_sign_flip_p

    with pytest.raises(TypeCheckError):
        max_sign_flip_p(torch.ones(2, 2))  # pyright: ignore[reportArgumentType]


@dataclass
class Plain:
    n: int

    @property
    def twice(self) -> int:
        return 2 * self.n

    @classmethod
    def of(cls, n: int) -> "Plain":
        return cls(n)


def half(n: int) -> int:
    return n / 2 if n % 2 else n // 2  # pyright: ignore[reportReturnType]


def add(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return x if len(x) > len(y) else y


def test_what_handles_no_array_is_checked_without_shapes_and_arrays_with_them():
    plain = light_jaxtyped(half, typechecker=checked)
    assert plain(4) == 2
    for wrong in (lambda: plain("4"), lambda: plain(3)):
        with pytest.raises(BeartypeCallHintViolation):
            wrong()
    assert light_jaxtyped(Plain, typechecker=checked)(2).twice == 4
    with pytest.raises(BeartypeCallHintViolation):
        Plain("2")  # pyright: ignore[reportArgumentType]
    shaped = light_jaxtyped(add, typechecker=checked)
    assert shaped(torch.ones(2), torch.ones(2)).shape == (2,)
    with pytest.raises(TypeCheckError):
        shaped(torch.ones(2), torch.ones(3))
