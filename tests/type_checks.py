"""What checks the types of arguments and results while tests run: beartype, once a signature.

A function that is defined within another is made anew at each call of that, and beartype would
compile its checks each time, which is a third of the time of a test that hooks a model thousands of
times. Where no argument is an array, jaxtyping's own bookkeeping of shapes is of no use and takes a
quarter of the time of a test that reads many rows: beartype alone looks at those
(`light_jaxtyped`).
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from inspect import signature
from types import FunctionType
from typing import Any, ForwardRef, Literal, get_args, get_origin

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray

_CHECKED: dict[object, Callable[..., Any]] = {}
_JAXTYPED = jaxtyping.jaxtyped


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that refuses what its annotations do not allow.

    Args:
        function: As jaxtyping makes it of a signature, to be called before and after the real one.
            It holds nothing but the signature, so that one does for all of the same place.
    """
    found = signature(function)
    given = (
        (each.name, each.kind, _told_by(each.annotation), each.default is each.empty)
        for each in found.parameters.values()
    )
    key: tuple[object, ...] = (function.__module__, function.__qualname__)
    try:
        key = (*key, *given, _told_by(found.return_annotation))
        return _CHECKED[key]
    except KeyError:
        return _CHECKED.setdefault(key, beartype(function))
    except TypeError:  # an annotation that cannot be hashed
        return beartype(function)


def light_jaxtyped(function: Any = None, *, typechecker: Any) -> Any:
    """jaxtyping's decorator, but of functions that handle no array beartype alone.

    Args:
        function: What is decorated; a decorator is returned where it is not given.
        typechecker: Of jaxtyping, for all else.
    """
    light = partial(light_jaxtyped, typechecker=typechecker)
    match function:
        case None:
            return light
        case classmethod() | staticmethod():
            return type(function)(light(function.__func__))
        case property(fset=None, fdel=None):
            return property(light(function.fget))
        case type() if is_dataclass(function) and _is_plain(function.__init__):
            function.__init__ = beartype(function.__init__)
            return function
    if _is_plain(function):
        return beartype(function)
    return _JAXTYPED(function, typechecker=typechecker)


def _is_plain(function: Any) -> bool:
    """Whether it is a function of a module or class that names its types, none of them an array."""
    if not isinstance(function, FunctionType) or "<locals>" in function.__qualname__:
        return False
    return not any(map(_needs_jaxtyping, function.__annotations__.values()))


def _needs_jaxtyping(hint: object) -> bool:
    """Whether it is an array, or holds one, or a name that is not known yet."""
    if isinstance(hint, str | ForwardRef):
        return True
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    inner = hint if isinstance(hint, list) else get_args(hint)
    return any(map(_needs_jaxtyping, inner)) if get_origin(hint) is not Literal else False


def _told_by(annotation: object) -> object:
    """What tells an annotation from others: jaxtyping makes a new class of an array each time."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return annotation.array_type, annotation.dtypes, annotation.dim_str
    if isinstance(annotation, list):  # of the arguments of a Callable
        return tuple(map(_told_by, annotation))
    inner = tuple(map(_told_by, get_args(annotation)))
    return (get_origin(annotation), inner) if inner else annotation
