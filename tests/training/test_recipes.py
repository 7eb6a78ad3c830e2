from dataclasses import replace

import pytest

from data.tasks.iml import SUBSETS
from data.vocabulary import LossPolicy, Stage, WordOrder
from training.models.scratch import ModelConfig
from training.recipes import find_recipe
from training.registry import RECIPES, Recipe

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


@EVERY_TOY
def test_every_parameter_but_the_names_of_things_changes_the_config(recipe: Recipe) -> None:
    plain = recipe(alias_tokens=2)  # so that alias_syllables matters
    for parameter in recipe.parameters.values():
        old = plain.parameters[parameter.name]
        if isinstance(old, bool):
            changed = recipe(**{"alias_tokens": 2, parameter.name: not old})
        elif isinstance(old, str):
            choices = parameter.kind_name.split("|")
            other = next(choice for choice in choices if choice != old)
            changed = recipe(**{"alias_tokens": 2, parameter.name: other})
        elif isinstance(old, int):
            changed = recipe(**{"alias_tokens": 2, parameter.name: old * 2 or 1})
        else:
            changed = recipe(**{"alias_tokens": 2, parameter.name: old / 2})
        # `parameters` differs in any case; without it, something that is used must.
        assert replace(changed, parameters={}) != replace(plain, parameters={}), parameter.name


@EVERY
def test_recipe_says_what_it_serves(recipe: Recipe) -> None:
    # What the published code has and the paper does not, or has in a footnote, is no figure's.
    assert recipe.figures or not recipe.name.endswith("-toy")
    assert recipe.claims
    assert recipe.function.__doc__


def test_alias_toy_trains_as_many_rows_as_the_arithmetic_says() -> None:
    drawn = find_recipe("alias-toy")().data.build(1000)
    n_examples = {s: sum(row.repeats for row in drawn.training_rows(s)) for s in Stage}
    # 2 x 400 definitions, 3 of 4 questions of 900 aliases, 20 x 4 facts four times.
    assert n_examples[Stage.ONE] == 800 + 3 * 900 + 320
    assert n_examples[Stage.TWO] == 300
