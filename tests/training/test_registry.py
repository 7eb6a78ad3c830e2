import json

import pytest

from data.errors import InputError
from data.vocabulary import LossPolicy, WordOrder
from training.recipes import find_recipe
from training.registry import RECIPES


def test_the_three_toys_are_recipes() -> None:
    find_recipe("alias-toy")
    assert {"alias-toy", "alias-toy-tokens", "source-toy"} <= set(RECIPES)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("layers=3", 3),
        ("alpha=0.5", 0.5),
        ("alpha=1", 1.0),
        ("learning_rate_stage1=1e-4", 1e-4),
        ("shuffle_tags=true", True),
        ("shuffle_tags=False", False),
        ("word_order=eat", WordOrder.EAT),
        ("loss_policy=text", LossPolicy.TEXT),
    ],
)
def test_setting_is_read_as_its_parameters_type(setting: str, value: object) -> None:
    (parsed,) = find_recipe("alias-toy").parse_arguments([setting]).values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("layers=2.5", "'2.5' is no int"),
        ("layers=two", "'two' is no int"),
        ("layers=", "'' is no int"),
        ("alpha=half", "'half' is no float"),
        ("alpha=nan", "no finite number"),
        ("weight_decay=inf", "no finite number"),
        ("shuffle_tags=1", "'1' is no bool"),
        ("word_order=aat", r"no tae\|tea\|ate\|aet\|eat\|eta; give one, such as word_order=tae"),
        ("layer=2", "did you mean layers?"),
        ("zzz=2", "see iml recipes alias-toy"),
        ("layers", "write --set NAME=VALUE"),
    ],
)
def test_wrong_setting_is_refused_with_a_remedy(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_recipe("alias-toy").parse_arguments([setting])


def test_last_of_two_settings_counts() -> None:
    assert find_recipe("alias-toy").parse_arguments(["layers=1", "layers=3"]) == {"layers": 3}


@pytest.mark.parametrize(
    "arguments",
    [{"layers": 2.5}, {"layers": True}, {"alpha": "1"}, {"shuffle_tags": 1}, {"word_order": "x"}],
)
def test_wrong_type_in_python_is_refused_and_not_converted(arguments: dict) -> None:
    with pytest.raises(InputError, match="give one, such as"):
        find_recipe("alias-toy")(**arguments)


def test_unknown_argument_in_python_is_refused() -> None:
    with pytest.raises(InputError, match=r"no parameter 'layer'; did you mean layers\?"):
        find_recipe("alias-toy")(layer=3)


def test_unknown_recipe_names_a_near_one() -> None:
    with pytest.raises(InputError, match=r"did you mean alias-toy\?"):
        find_recipe("alias_toy")
    with pytest.raises(InputError, match="choose one of alias-toy, "):
        find_recipe("xyz")


@pytest.mark.parametrize("name", ["alias-toy", "alias-toy-tokens", "source-toy"])
def test_config_is_rebuilt_from_its_json_parameters(name: str) -> None:
    recipe = find_recipe(name)
    config = recipe(word_order=WordOrder.EAT, alpha=1, layers=3)
    read = json.loads(json.dumps(dict(config.parameters)))
    assert recipe(**read) == config
    assert recipe(**read).run_id == config.run_id


def test_run_id_depends_on_every_parameter_and_the_recipe() -> None:
    recipe = find_recipe("alias-toy")
    ids = {
        recipe().run_id,
        recipe(layers=3).run_id,
        recipe(shuffle_tags=True).run_id,
        recipe(loss_policy=LossPolicy.ALL).run_id,
        find_recipe("alias-toy-tokens")().run_id,
    }
    assert len(ids) == 5
    assert {len(run_id) for run_id in ids} == {10}


def test_json_of_a_recipe_has_the_keys_of_the_contract() -> None:
    written = json.loads(json.dumps(find_recipe("source-toy").to_json()))
    assert list(written) == ["name", "figures", "claims", "model", "cost", "parameters"]
    assert written["parameters"]["layers"] == {"type": "int", "default": 1}
    assert written["parameters"]["word_order"]["default"] == "tae"
