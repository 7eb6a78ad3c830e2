"""What a recipe is: a function of groups of parameters that returns the config of a run.

    @recipe(claims=("M1",), model="one layer, from scratch", cost="a second", smoke={"epochs": 1})
    def my_toy(*, model: ScratchModel = ScratchModel(...), training: MyTraining = MyTraining()):
        return RunConfig(model=model.config, stage1=training.stage1, ...)

A group is a frozen dataclass with what belongs together, and makes the parts of the config from
it. `--set`, `iml recipes` and `run.json` know no groups: they name the fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import wraps
from typing import Any

from data.errors import InputError
from training.budget import require_affordable
from training.config import RunConfig, Value
from training.parameters import Parameter, argument_kinds, flat_parameters, in_groups

RECIPES: dict[str, "Recipe"] = {}
"""Every recipe by name, filled by the `recipe` decorator when `training.recipes` is imported."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A named experiment: call it with values of its parameters to get the config of a run."""

    function: Callable[..., RunConfig]
    kinds: Mapping[str, type]
    """What each of the function's arguments is; see `training.parameters.argument_kinds`."""
    parameters: Mapping[str, Parameter]
    """What can be set, by name and in order."""
    figures: tuple[str, ...]
    """Figures of the paper whose experiment it is, in toy form."""
    claims: tuple[str, ...]
    """Ids of the paper's claims that it bears on; see `interp.claims`."""
    model: str
    cost: str
    smoke: Mapping[str, Value]
    """Arguments of `--smoke`: so tiny that a run takes seconds; its numbers mean nothing."""
    later: frozenset[str] = frozenset()
    """Parameters that came after runs had been made; see `RunConfig.unsaid`."""

    @property
    def name(self) -> str:
        """The recipe's name on the command line."""
        return self.function.__name__.replace("_", "-")

    @property
    def defaults(self) -> dict[str, Value]:
        """The value of each parameter unless it is set."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def __call__(self, **arguments: Value) -> RunConfig:
        """The config for these values of parameters, defaults for the rest."""
        known = self.parameters
        for name in arguments:
            if name not in known:
                raise InputError(
                    f"recipe {self.name} has no parameter {name!r}; {self._hint(name)}"
                )
        complete = {name: p.accept(arguments.get(name, p.default)) for name, p in known.items()}
        config = self.function(**in_groups(self.kinds, complete))
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
        """What `iml recipes --json` prints of the recipe."""
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
            kinds=argument_kinds(function),
            parameters=flat_parameters(function),
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
        figures: The figures of the paper that it is of.
        claims: The claims that it bears on, where they differ from the base's.
        model: What is trained.
        cost: What it takes.
        smoke: Arguments of `--smoke` beside the base's.
    """

    def enter(function: Callable[[], Mapping[str, Value]]) -> Recipe:
        made = replace(
            base,
            function=_renamed(base.function, function),
            parameters=_with_defaults(base.parameters, function),
            figures=figures,
            claims=base.claims if claims is None else claims,
            model=model or base.model,
            cost=cost or base.cost,
            smoke={**base.smoke, **(smoke or {})},
        )
        RECIPES[made.name] = made
        return made

    return enter


def _renamed(
    base: Callable[..., RunConfig], function: Callable[[], Mapping[str, Value]]
) -> Callable[..., RunConfig]:
    """What `base` does, with the name and the docstring of `function`."""

    @wraps(function)
    def build(**arguments: Any) -> RunConfig:
        return base(**arguments)

    return build


def _with_defaults(
    base: Mapping[str, Parameter], function: Callable[[], Mapping[str, Value]]
) -> dict[str, Parameter]:
    """The parameters `base` with the defaults that `function` returns."""
    changed = function()
    if unknown := set(changed) - set(base):
        raise TypeError(f"{function.__name__} changes {min(unknown)}, which its base does not have")
    return {name: replace(p, default=changed.get(name, p.default)) for name, p in base.items()}


def _did_you_mean(name: str, known: Mapping[str, object], *, otherwise: str) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise
