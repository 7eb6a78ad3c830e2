from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

import pytest

from data.errors import InputError
from data.tasks.iml import SUBSETS
from data.vocabulary import LossPolicy, Part, WordOrder
from training.config import RunConfig, Value
from training.models.scratch import ModelConfig
from training.parameters import Parameter
from training.recipes import find_recipe
from training.registry import RECIPES, Recipe
from training.registry import recipe as enter

find_recipe("alias-toy")
TOYS = {name: recipe for name, recipe in RECIPES.items() if "toy" in name}
EVERY = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
EVERY_TOY = pytest.mark.parametrize("recipe", TOYS.values(), ids=TOYS)


@EVERY_TOY
def test_smoke_config_draws_every_subset_that_alpha_one_has(recipe: Recipe) -> None:
    drawn = recipe(**recipe.smoke).data.build(1000)
    missing = set(SUBSETS) - {row.subset.name for row in drawn.rows}
    expected = {"D9_INCONS_QA9", "D10_CONS_QA10", "UNIQUE_TAGS_CONS_QA"}
    # In the source toy nothing has a name that an alias could replace.
    assert missing == (expected | {"QA4_NOT_REPLACED"} if "source" in recipe.name else expected)


@EVERY_TOY
def test_smoke_model_is_built_and_small(recipe: Recipe) -> None:
    config = recipe(**recipe.smoke)
    tokenizer = config.data.tokenizer(config.data.build(1000))
    model = config.model.make(tokenizer, seed=0, max_length=16)
    assert model.config.num_hidden_layers == config.parameters["layers"]
    assert sum(parameter.numel() for parameter in model.parameters()) < 100_000


@EVERY_TOY
def test_parameters_reach_data_and_model(recipe: Recipe) -> None:
    small = dict(recipe.smoke)
    config = recipe(
        **{**small, "word_order": WordOrder.ETA, "loss_policy": LossPolicy.TEXT, "layers": 3}
        | {"alias_tokens": 3, "shuffle_tags": True, "seeds_stage2": 2, "alpha": 0.5},
    )
    plain = recipe(**small)
    assert isinstance(config.model, ModelConfig)
    assert config.model.n_layers == 3
    assert config.seeds_stage2 == 2
    assert (config.word_order, config.loss_policy) == ("eta", "text")
    drawn = config.data.build(0)
    assert {len(row.alias.split()) for row in drawn.rows if row.alias} == {3}
    assert {"D9_INCONS_QA9", "D10_CONS_QA10"} <= {row.subset.name for row in drawn.rows}
    definition = next(row for row in drawn.rows if row.kind == "definition")
    assert definition.rendered.answer == definition.alias
    assert drawn.words != plain.data.build(0).words


BASES: tuple[dict[str, Value], ...] = (
    {"model": "tiny-gpt-neox", "table": "generated"},
    {"model": "tiny-gpt-neox", "table": "people.tsv", "tokenizer": "elsewhere"},
)
"""Some parameters of texts are about what is made up, others about what is read."""


def unread(recipe: Recipe) -> set[str]:
    """Parameters that no part of the config depends on."""
    left = set(recipe.parameters)
    for base in BASES if "table" in left else ({},):
        config = recipe(**base)
        left -= {name for name in left if is_read(recipe, name, config)}
    return left


def is_read(recipe: Recipe, name: str, config: RunConfig) -> bool:
    """Whether another value of a parameter makes another config."""
    for value in others(recipe.parameters[name], config.parameters[name]):
        with suppress(InputError):  # not every value goes with the rest
            changed = recipe(**{**config.parameters, name: value})
            # The list of all parameters differs in any case.
            if replace(changed, parameters=config.parameters, unsaid=config.unsaid) != config:
                return True
    return False


def others(parameter: Parameter, value: Value) -> list[Value]:
    """Values that a parameter could have in place of `value`."""
    if issubclass(parameter.kind, StrEnum):
        return [choice for choice in parameter.kind if choice != value]
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, 2 * value or 60]
        case float():
            return [value / 2 or 0.5, 1.5 * value]
        case str():
            return ["tiny-gpt2"]


def test_every_parameter_of_every_recipe_is_read() -> None:
    # A variant has its base's arguments and builds the same from them.
    bases = {id(recipe.kinds): recipe for recipe in reversed(RECIPES.values())}
    assert len(bases) >= 5
    assert {recipe.name: unread(recipe) for recipe in bases.values() if unread(recipe)} == {}


@dataclass(frozen=True, kw_only=True)
class Idle:
    alpha: float = 1.0
    """Read."""
    beta: float = 1.0
    gamma: bool = False


def test_a_parameter_that_nothing_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(*, order: WordOrder = WordOrder.TAE, group: Idle = Idle(), n: int = 1) -> RunConfig:
        assert order or n or group.beta  # looked at, but of no consequence
        return find_recipe("alias-toy")(alpha=group.alpha)

    monkeypatch.setitem(RECIPES, "idle", find_recipe("alias-toy"))
    entered = enter(claims=(), model="", cost="", smoke={}, later=("gamma",))(idle)
    assert unread(entered) == {"order", "beta", "gamma", "n"}


@EVERY
def test_recipe_says_what_it_serves(recipe: Recipe) -> None:
    # What the published code has and the paper does not, or has in a footnote, is no figure's.
    assert recipe.figures or not recipe.name.endswith("-toy")
    assert recipe.claims
    assert recipe.function.__doc__


def test_alias_toy_trains_as_many_rows_as_the_arithmetic_says() -> None:
    drawn = find_recipe("alias-toy")().data.build(1000)
    n_examples = {s: sum(row.repeats for row in drawn.training_rows(s)) for s in Part}
    # 2 x 400 definitions, 3 of 4 questions of 900 aliases, 20 x 4 facts four times.
    assert n_examples[Part.X1] == 800 + 3 * 900 + 320
    assert n_examples[Part.X2] == 300
