"""What can be set of a recipe: arguments of its function, and the fields of groups of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, get_type_hints

from data.errors import InputError
from training.config import Value

LARGEST_NUMBER = 10**18


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument of a recipe."""

    name: str
    kind: type
    default: Value

    @property
    def kind_name(self) -> str:
        """The type as a person writes it: `int`, or the choices of an enum."""
        if issubclass(self.kind, StrEnum):
            return "|".join(self.kind)
        return self.kind.__name__

    def parse(self, text: str) -> Value:
        """Reads a value of this parameter's type.

        Raises:
            InputError: the text is no such value.
        """
        try:
            if self.kind is bool:
                return {"true": True, "false": False}[text.lower()]
            value = self.kind(text)
        except (ValueError, KeyError):
            raise InputError(
                f"--set {self.name}={text}: {text!r} is no {self.kind_name}; "
                f"give one, such as {self.name}={self.default}"
            ) from None
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise InputError(f"--set {self.name}={text} is no finite number; give one")
        self._require_countable(value)
        return value

    def accept(self, value: Value) -> Value:
        """A value given in Python or read from `run.json`; whole numbers pass as floats.

        Raises:
            InputError: the value is of another type.
        """
        self._require_countable(value)
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if issubclass(self.kind, StrEnum) and value in list(self.kind):
            return self.kind(value)
        if type(value) is not self.kind:
            raise InputError(
                f"{self.name} is {value!r}, which is no {self.kind_name}; "
                f"give one, such as {self.default}"
            )
        return value

    def _require_countable(self, value: object) -> None:
        """Refuses a number that no sum of sizes is meant for.

        Raises:
            InputError: the number is too large to be counted with.
        """
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise InputError(
                f"{self.name} is a number of {len(str(abs(value)))} digits; use one up to "
                f"{LARGEST_NUMBER:,}"
            )


def argument_kinds(function: Callable[..., object]) -> dict[str, type]:
    """The type of each argument: a group (a frozen dataclass), or a type of parameter."""
    hints = get_type_hints(function)
    return {name: hints[name] for name in inspect.signature(function).parameters}


def flat_parameters(function: Callable[..., object]) -> dict[str, Parameter]:
    """What can be set by name: arguments that are no groups, and the fields of those that are.

    Their order is that of the arguments, and within a group that of its fields.

    Raises:
        TypeError: an argument has no default, or two parameters have one name.
    """
    found: dict[str, Parameter] = {}
    kinds = argument_kinds(function)
    for name, argument in inspect.signature(function).parameters.items():
        if argument.default is inspect.Parameter.empty:
            raise TypeError(f"{function.__name__} has no default for {name}")
        for parameter in _parameters_of(name, kinds[name], argument.default):
            if parameter.name in found:
                raise TypeError(f"{function.__name__} has two parameters {parameter.name}")
            found[parameter.name] = parameter
    return found


def _parameters_of(argument: str, kind: type, default: Any) -> list[Parameter]:
    """The argument itself, or the fields of the group that it is."""
    if not is_dataclass(kind):
        return [Parameter(name=argument, kind=kind, default=default)]
    hints = get_type_hints(kind)
    return [
        Parameter(name=name, kind=hints[name], default=getattr(default, name))
        for name in (field.name for field in fields(kind))
    ]


def in_groups(kinds: Mapping[str, type], values: Mapping[str, Value]) -> dict[str, Any]:
    """The arguments of a function with such `argument_kinds`, from its parameters' values."""
    return {
        argument: kind(**{field.name: values[field.name] for field in fields(kind)})
        if is_dataclass(kind)
        else values[argument]
        for argument, kind in kinds.items()
    }
