"""What a recipe is: a function of named, typed arguments that returns the config of a run."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, get_type_hints

from data.errors import InputError
from training.budget import require_affordable
from training.config import RunConfig, Value

RECIPES: dict[str, "Recipe"] = {}
"""Every recipe by name, filled by the `recipe` decorator when `training.recipes` is imported."""

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
            InputError: the text is none.
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
            InputError: it is of another type.
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
            InputError: it is one.
        """
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise InputError(
                f"{self.name} is a number of {len(str(abs(value)))} digits; use one up to "
                f"{LARGEST_NUMBER:,}"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A named experiment: call it with its arguments to get the config of a run."""

    function: Callable[..., RunConfig]
    figures: tuple[str, ...]
    """Figures of the paper whose experiment it is, in toy form."""
    claims: tuple[str, ...]
    """Ids of the paper's claims that it bears on; see `training.claims`."""
    model: str
    cost: str
    smoke: Mapping[str, Value]
    """Arguments of `--smoke`: so tiny that a run takes seconds; its numbers mean nothing."""
    later: frozenset[str] = frozenset()
    """Parameters that came after runs had been made; see `RunConfig.unsaid`."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.function.__name__.replace("_", "-")

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The arguments of the function, in order."""
        hints = get_type_hints(self.function)
        return {
            name: Parameter(name=name, kind=hints[name], default=argument.default)
            for name, argument in inspect.signature(self.function).parameters.items()
        }

    @property
    def defaults(self) -> dict[str, Value]:
        """The value of each parameter unless it is set."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def __call__(self, **arguments: Value) -> RunConfig:
        """The config for these arguments, defaults for the rest."""
        known = self.parameters
        for name in arguments:
            if name not in known:
                raise InputError(
                    f"recipe {self.name} has no parameter {name!r}; {self._hint(name)}"
                )
        complete = {name: p.accept(arguments.get(name, p.default)) for name, p in known.items()}
        config = self.function(**complete)
        written = {
            name: str(value) if isinstance(value, StrEnum) else value
            for name, value in complete.items()
        }
        unsaid = frozenset(name for name in self.later if complete[name] == known[name].default)
        config = replace(config, recipe=self.name, parameters=written, unsaid=unsaid)
        require_affordable(config)
        return config

    def parse_arguments(self, settings: list[str]) -> dict[str, Value]:
        """Reads `NAME=VALUE` texts as arguments.

        Raises:
            InputError: a text without `=`, an unknown name, or a value of the wrong type.
        """
        known = self.parameters
        arguments: dict[str, Value] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise InputError(f"--set {setting} has no '='; write --set NAME=VALUE")
            if name not in known:
                raise InputError(
                    f"--set {name}: recipe {self.name} has no such parameter; {self._hint(name)}"
                )
            arguments[name] = known[name].parse(text)
        return arguments

    def _hint(self, name: str) -> str:
        return _did_you_mean(name, self.parameters, otherwise=f"see iml recipes {self.name}")

    def to_json(self) -> dict[str, Any]:
        """What `iml recipes --json` prints of it."""
        return {
            "name": self.name,
            "figures": list(self.figures),
            "claims": ", ".join(self.claims),
            "model": self.model,
            "cost": self.cost,
            "parameters": {
                name: {"type": p.kind_name, "default": p.default}
                for name, p in self.parameters.items()
            },
        }


def recipe(
    *,
    figures: tuple[str, ...] = (),
    claims: tuple[str, ...],
    model: str,
    cost: str,
    smoke: Mapping[str, Value],
    later: tuple[str, ...] = (),
) -> Callable[[Callable[..., RunConfig]], Recipe]:
    """Makes a function a recipe and enters it in `RECIPES`."""

    def enter(function: Callable[..., RunConfig]) -> Recipe:
        made = Recipe(
            function=function,
            figures=figures,
            claims=claims,
            model=model,
            cost=cost,
            smoke=smoke,
            later=frozenset(later),
        )
        RECIPES[made.name] = made
        return made

    return enter


def variant_of(
    base: Recipe,
    *,
    figures: tuple[str, ...] = (),
    claims: tuple[str, ...] | None = None,
    model: str | None = None,
    cost: str | None = None,
    smoke: Mapping[str, Value] | None = None,
) -> Callable[[Callable[[], Mapping[str, Value]]], Recipe]:
    """Makes a recipe with other defaults: the decorated function returns them by name.

    Args:
        base: The recipe whose parameters it has.
        figures: Of the paper.
        claims: Where they differ from the base's, as model, cost and smoke.
        model: What is trained.
        cost: What it takes.
        smoke: Added to the base's.
    """

    def enter(function: Callable[[], Mapping[str, Value]]) -> Recipe:
        made = replace(
            base,
            function=_with_defaults(base.function, function),
            figures=figures,
            claims=base.claims if claims is None else claims,
            model=model or base.model,
            cost=cost or base.cost,
            smoke={**base.smoke, **(smoke or {})},
        )
        RECIPES[made.name] = made
        return made

    return enter


def _with_defaults(
    base: Callable[..., RunConfig], function: Callable[[], Mapping[str, Value]]
) -> Callable[..., RunConfig]:
    """`base` under another name, with the defaults that `function` returns."""
    changed = function()
    signature = inspect.signature(base)
    unknown = set(changed) - set(signature.parameters)
    if unknown:
        raise TypeError(f"{function.__name__} changes {min(unknown)}, which its base does not have")

    def build(**arguments: Value) -> RunConfig:
        return base(**arguments)

    build.__name__, build.__doc__ = function.__name__, function.__doc__
    build.__annotations__ = dict(base.__annotations__)
    build.__module__ = base.__module__
    parameters = [
        p.replace(default=changed.get(name, p.default)) for name, p in signature.parameters.items()
    ]
    vars(build)["__signature__"] = signature.replace(parameters=parameters)
    return build


def _did_you_mean(name: str, known: Mapping[str, object], *, otherwise: str) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise
