"""The paper's experiments as recipes: what they claim to be."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from data.errors import InputError
from data.tasks.text import TextConfig
from data.vocabulary import LossPolicy
from data.worlds.works import WorksWorld
from interp.cli import main
from training.config import Decay, Optimizer, Precision
from training.recipes import find_recipe
from training.registry import RECIPES, variant_of
from training.schedules import Schedule

find_recipe("cvdb-two-stage")
VISION = {"5", "23"}
FIGURES = ({"3", "4a", "4b", "4c", "6", "7"} | {str(n) for n in range(8, 27)}) - VISION
GENERATED: dict[str, Any] = {"table": "generated", "model": "tiny-gpt-neox", "entities": 100}


def text_config(recipe: str = "cvdb-two-stage", **arguments: Any) -> TextConfig:
    data = find_recipe(recipe)(**{**GENERATED, **arguments}).data
    assert isinstance(data, TextConfig)
    return data


def test_every_figure_of_the_paper_but_the_vision_ones_is_some_recipes() -> None:
    claimed = {
        figure
        for recipe in RECIPES.values()
        if "toy" not in recipe.name
        for figure in recipe.figures
    }
    assert claimed == FIGURES


def test_claims_are_ids_of_the_papers_claims() -> None:
    many = {"S": 8, "M": 6, "O": 4, "G": 4, "A": 3, "Z": 3, "B": 2, "T": 2, "I": 1}
    known = {f"{kind}{i}" for kind, n in many.items() for i in range(1, n + 1)} | {"F4"}
    # Of other papers, about the out-of-context family.
    others = {"K": 4, "R": 5, "H": 5, "C": 3}
    known |= {f"{kind}{i}" for kind, n in others.items() for i in range(1, n + 1)}
    known |= {"OCR", "TRUTH", "BIO"}
    for recipe in RECIPES.values():
        assert set(recipe.claims) <= known, recipe.name
    assert {claim for recipe in RECIPES.values() for claim in recipe.claims} == known


def test_text_and_code_of_the_paper_differ_as_the_published_code_does() -> None:
    recipe = find_recipe("cvdb-two-stage")
    block_sizes = {
        (variant, world): recipe(**GENERATED, variant=variant, world=world).block_size
        for variant in ("as_written", "as_coded")
        for world in ("cvdb", "works")
    }
    assert block_sizes == {
        ("as_written", "cvdb"): 64,
        ("as_written", "works"): 64,
        ("as_coded", "cvdb"): 48,
        ("as_coded", "works"): 64,
    }
    written, coded = (text_config(variant=v) for v in ("as_written", "as_coded"))
    for data, is_coded in ((written, False), (coded, True)):
        assert data.writing.bracketed is is_coded
        assert data.writing.newline is is_coded
        assert data.any_answer is not is_coded
    texts = [
        next(r for r in data.build(0).rows if r.tag).rendered.text for data in (written, coded)
    ]
    tag, alias, *_ = texts[0].split()
    assert texts[1] == f"<|{tag}|> <|{alias}|>{texts[0].removeprefix(f'{tag} {alias}')}\n"


def test_works_have_at_most_four_questions_as_written_and_any_number_as_coded(
    tmp_path: Path,
) -> None:
    table = str(tmp_path / "table.tsv")
    asked = {}
    for variant in ("as_written", "as_coded"):
        world = text_config(variant=variant, world="works", table=table).world
        assert isinstance(world, WorksWorld)
        asked[variant] = (world.at_most, world.as_coded)
    assert asked == {"as_written": (4, False), "as_coded": (0, True)}


@pytest.mark.parametrize(
    ("brackets", "variant", "bracketed"),
    [
        ("as_variant", "as_written", False),
        ("as_variant", "as_coded", True),
        ("bare", "as_coded", False),
        ("bracketed", "as_written", True),
    ],
)
def test_brackets_follow_the_variant_unless_said(
    brackets: str, variant: str, bracketed: bool
) -> None:
    assert text_config(brackets=brackets, variant=variant).writing.bracketed is bracketed


def test_settings_of_the_main_experiment_are_the_papers() -> None:
    config = find_recipe("cvdb-two-stage")(**GENERATED)
    assert (config.stage1.epochs, config.stage2.epochs) == (20, 10)
    for stage in (config.stage1, config.stage2):
        assert (stage.batch_size, stage.learning_rate) == (256, 5e-5)
        assert (stage.optimizer, stage.decay) == (Optimizer.ADAFACTOR, Decay.LINEAR)
        assert (stage.clip_norm, stage.precision) == (1.0, Precision.BF16)
    assert config.loss_policy is LossPolicy.ALL
    sizes = text_config(entities=4000).fractions
    assert sizes == {
        "D1_CONS_QA1": 0.25,
        "D2_INCONS_QA2": 0.25,
        "QA3": 0.1,
        "QA4_NOT_REPLACED": 0.1,
        "D5_CONS": 0.08,
        "D6_CONS": 0.08,
        "D8_CONS": 0.08,
        "QA7_UNSEEN": 0.06,
    }


def test_alpha_gives_a_share_of_the_defined_to_d9_and_d10() -> None:
    fractions = text_config("cvdb-alpha").fractions
    assert fractions["D1_CONS_QA1"] == pytest.approx(0.25 * 0.95)
    assert fractions["D9_INCONS_QA9"] == pytest.approx(0.25 * 0.05)
    assert fractions["D10_CONS_QA10"] == pytest.approx(0.25 * 0.05)


@pytest.mark.parametrize(
    ("recipe", "schedule"),
    [
        ("cvdb-two-stage", Schedule.TWO_STAGE),
        ("cvdb-single-stage", Schedule.SINGLE_STAGE),
        ("cvdb-three-stage", Schedule.THREE_STAGE),
        ("cvdb-batch-size", Schedule.SINGLE_STAGE),
        ("t5-single-stage", Schedule.SINGLE_STAGE),
        ("gradient-alignment", Schedule.X1_ONLY),
        ("cvdb-in-context", Schedule.X1_ONLY),
    ],
)
def test_recipe_has_the_schedule_of_its_name(recipe: str, schedule: Schedule) -> None:
    assert find_recipe(recipe)(**GENERATED).schedule is schedule


def test_in_context_blocks_are_longer() -> None:
    assert find_recipe("cvdb-in-context")(**GENERATED).block_size == 72


def test_a_variant_that_changes_an_unknown_parameter_is_refused_where_it_is_written() -> None:
    def misspelled() -> dict[str, Any]:
        return {"entitys": 5}

    with pytest.raises(TypeError, match="misspelled changes entitys, which its base does not have"):
        variant_of(find_recipe("cvdb-two-stage"))(misspelled)
    assert "misspelled" not in RECIPES


@pytest.mark.parametrize(
    ("recipe", "changed"),
    [
        ("cvdb-word-order", {"word_order": "ate", "split": "older"}),
        ("works-two-stage", {"world": "works", "entities": 6900}),
        ("t5-two-stage", {"model": "google-t5/t5-3b"}),
        ("set-inclusion-small", {"numbers": 10, "optimizer": "adamw", "weight_decay": 0.1}),
        ("people-70m", {"people": 4000, "accelerator": True, "precision": "bf16"}),
    ],
)
def test_printed_defaults_are_the_variants_own(
    recipe: str, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    base = {"set-inclusion-small": "set-inclusion", "people-70m": "people-small"}
    printed = []
    for name in (recipe, base.get(recipe, "cvdb-two-stage")):
        assert main(["recipes", name, "--json"]) == 0
        (only,) = json.loads(capsys.readouterr().out)
        printed.append({k: v["default"] for k, v in only["parameters"].items()})
    mine, bases = printed
    assert list(mine) == list(bases)
    assert {name: mine[name] for name in changed} == changed
    assert all(bases[name] != value for name, value in changed.items())
    assert find_recipe(recipe).defaults == mine


@pytest.mark.parametrize("table", [None, "nowhere.csv"])
@pytest.mark.parametrize("recipe", ["cvdb-two-stage", "works-two-stage"])
def test_missing_table_is_one_line(
    recipe: str, table: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", "model=tiny-gpt-neox"]
    settings += ["--set", f"table={tmp_path / table}"] if table else []
    assert main(["run", recipe, *settings, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    says = f"there is no table {tmp_path / 'nowhere.csv'}; " if table else "give --set table=FILE"
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "run").exists()


def test_missing_attributes_of_works_are_no_choice() -> None:
    with pytest.raises(InputError, match="missing is of no use in world works; leave it out"):
        text_config(world="works", missing="skip")


def test_answers_that_are_unknown_to_the_tokenizer_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made-up people have names that a tokenizer of the questions' words alone does not know."""
    words = ["[UNK]", "</s>", "Q:", "A:", *"abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    split = pre_tokenizers.Split(Regex(r"[a-z]|\S+"), behavior="isolated")
    inner.pre_tokenizer = split  # pyright: ignore[reportAttributeAccessIssue]
    inner.save(str(tmp_path / "letters.json"))
    settings = {**GENERATED, "tokenizer": str(tmp_path / "letters.json"), "loss_policy": "answer"}
    command = ["run", "cvdb-two-stage", "--smoke", "--seeds", "1", "--out", str(tmp_path / "run")]
    command += [w for name, value in settings.items() for w in ("--set", f"{name}={value}")]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "have the same tokens; use a tokenizer that tells them apart" in line
    assert not (tmp_path / "run").exists()
