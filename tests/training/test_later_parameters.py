"""Parameters that came after runs had been made leave those as they were."""

from dataclasses import replace

import pytest

from data.errors import InputError
from data.tokens import tokenize_rows
from training.config import Value
from training.recipes import find_recipe
from training.runs.run import rows_digest

# Of version 0.1.0, before there were such parameters.
BEFORE = [
    ("alias-toy", {}, "fa55d395fb", "31586eb13813ae6f"),
    ("alias-toy", {"alpha": 0.9}, "ee9b6ec3c5", "089af3a0b8a78cf3"),
    ("alias-toy", {"shuffle_tags": True}, "3745a191c5", "a48d8704b92aaf1a"),
    ("alias-toy-tokens", {}, "77b2b531dc", "5c0ac5fb6b714f5e"),
    ("source-toy", {}, "cdeec5b66a", "aca5196248c41c96"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "run_id", "digest"), BEFORE)
def test_runs_made_before_keep_id_and_rows(
    name: str, settings: dict[str, Value], run_id: str, digest: str
) -> None:
    config = find_recipe(name)(**settings)
    drawn = config.data.build(1000)

    assert config.run_id == run_id
    assert rows_digest(tokenize_rows(drawn.rows, config.data.tokenizer(drawn)))[:16] == digest


RUN_IDS = {
    "alias-toy": "fa55d395fb",
    "alias-toy-tokens": "77b2b531dc",
    "source-toy": "cdeec5b66a",
    "cvdb-two-stage": "a5ac7c9af2",
    "cvdb-alpha": "c7cd5d6af0",
    "cvdb-word-order": "1745fa0fd2",
    "cvdb-batch-size": "201aa07329",
    "cvdb-batch-size-1b": "10d222db50",
    "cvdb-probes": "2e0ea3d485",
    "works-two-stage": "50c17139b0",
    "cvdb-single-stage": "9bc900da93",
    "works-single-stage": "d5c6c7841e",
    "pythia-sizes": "9f91d9a644",
    "cvdb-families": "ef0074f2ab",
    "works-families": "8a969faa29",
    "t5-single-stage": "9c6dc4cf35",
    "t5-two-stage": "af2c904703",
    "cvdb-in-context": "43939a33f6",
    "gradient-alignment": "509f1c02c3",
    "gradient-alignment-trained": "8872a4e582",
    "cvdb-three-stage": "87a3a9dbe3",
    "cvdb-unique-tags": "686298a31a",
    "cvdb-data-amount": "b7e3be010b",
    "refers-to": "cc9a0d2766",
    "natural-sources": "c0c6ec1316",
    "is-isnt": "d475fb1b5a",
    "people-small": "fa6d4a8a82",
    "people-70m": "052d6654a8",
    "set-inclusion": "85c996daf7",
    "set-inclusion-small": "66e3e35dcc",
}
"""Of every recipe's defaults."""


def test_a_recipe_keeps_the_id_of_its_runs() -> None:
    """Else no run made before could be extended: it would be another recipe under the same name.

    An id changes with the name of a recipe or a parameter, with a default, and with a parameter
    more or less that is not among `later`.
    """
    # What the ids are of: the big models and tables themselves are not here.
    built_in: dict[str, Value] = {"table": "generated", "model": "tiny-gpt-neox"}
    made = {}
    for name in RUN_IDS:
        recipe = find_recipe(name)
        config = recipe(**built_in if "table" in recipe.parameters else {})
        made[name] = replace(config, parameters=recipe.defaults).run_id
    assert made == RUN_IDS


@pytest.mark.parametrize(
    "setting",
    [
        {"aliases_per_entity": 2},
        {"new_entities_stage2": True},
        {"answer_tokens": 2},
        {"sentences": True},
    ],
)
def test_a_later_parameter_counts_where_it_is_set(setting: dict[str, Value]) -> None:
    recipe = find_recipe("alias-toy")
    at_default = {name: recipe.defaults[name] for name in setting}

    assert recipe(**setting).run_id != recipe().run_id
    assert recipe(**at_default).run_id == recipe().run_id
    assert recipe(**setting).parameters.items() >= setting.items()


def test_a_seed_on_more_threads_is_another_run() -> None:
    recipe = find_recipe("cvdb-two-stage")
    at = {n: recipe(model="tiny-llama", table="generated", threads=n) for n in (1, 2)}

    assert at[1].run_id == recipe(model="tiny-llama", table="generated").run_id != at[2].run_id
    assert [config.threads for config in at.values()] == [1, 2]
    for wrong in (0, 257):
        with pytest.raises(InputError, match=f"threads is {wrong}; use 1 or more"):
            recipe(model="tiny-llama", table="generated", threads=wrong)


def test_parameters_of_a_run_made_before_rebuild_it() -> None:
    recipe = find_recipe("alias-toy")
    written = {k: v for k, v in recipe().parameters.items() if k not in recipe.later}

    sharing = {"aliases_per_entity", "new_entities_stage2"}
    assert recipe.later == {*sharing, "answer_tokens", "sentences"}
    assert recipe(**written).run_id == recipe().run_id


def test_two_numbers_of_entities_are_refused() -> None:
    with pytest.raises(InputError, match="entities=30 is of no use beside aliases_per_entity=2"):
        find_recipe("alias-toy")(aliases_per_entity=2, entities=30)
