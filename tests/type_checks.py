"""What checks the types of arguments and results while tests run: beartype, once a signature.

A function that is defined within another is made anew at each call of that, and beartype would
compile its checks each time: of a test that hooks a model thousands of times a third of its time.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, get_args, get_origin

from beartype import beartype
from jaxtyping import AbstractArray

_CHECKED: dict[object, Callable[..., Any]] = {}


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


def _told_by(annotation: object) -> object:
    """What tells an annotation from others: jaxtyping makes a new class of an array each time."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return annotation.array_type, annotation.dtypes, annotation.dim_str
    if isinstance(annotation, list):  # of the arguments of a Callable
        return tuple(map(_told_by, annotation))
    inner = tuple(map(_told_by, get_args(annotation)))
    return (get_origin(annotation), inner) if inner else annotation
