"""What checks the types of arguments and results while tests run: beartype, once a signature.

A function that is defined within another is made anew at each call of that, and beartype would
compile its checks each time: of a test that hooks a model thousands of times a third of its time.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

from beartype import beartype

_CHECKED: dict[object, Callable[..., Any]] = {}


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that refuses what its annotations do not allow.

    Args:
        function: As jaxtyping makes it of a signature, to be called before and after the real one.
            It holds nothing but the signature, so that one does for all of the same place.
    """
    found = signature(function)
    given = ((each.name, each.kind, each.annotation) for each in found.parameters.values())
    key = (function.__module__, function.__qualname__, *given, found.return_annotation)
    try:
        return _CHECKED[key]
    except KeyError:
        return _CHECKED.setdefault(key, beartype(function))
    except TypeError:  # an annotation that cannot be hashed
        return beartype(function)
