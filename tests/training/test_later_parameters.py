"""Parameters that came after runs had been made leave those as they were."""

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


@pytest.mark.parametrize("setting", [{"aliases_per_entity": 2}, {"new_entities_stage2": True}])
def test_a_later_parameter_counts_where_it_is_set(setting: dict[str, Value]) -> None:
    recipe = find_recipe("alias-toy")
    at_default = {name: recipe.defaults[name] for name in setting}

    assert recipe(**setting).run_id != recipe().run_id
    assert recipe(**at_default).run_id == recipe().run_id
    assert recipe(**setting).parameters.items() >= setting.items()


def test_parameters_of_a_run_made_before_rebuild_it() -> None:
    recipe = find_recipe("alias-toy")
    written = {k: v for k, v in recipe().parameters.items() if k not in recipe.later}

    assert recipe.later == {"aliases_per_entity", "new_entities_stage2"}
    assert recipe(**written).run_id == recipe().run_id


def test_two_numbers_of_entities_are_refused() -> None:
    with pytest.raises(InputError, match="entities=30 is of no use beside aliases_per_entity=2"):
        find_recipe("alias-toy")(aliases_per_entity=2, entities=30)
