from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import InputError
from data.tasks.alias_toy import IMLConfig
from data.vocabulary import Part, Stage
from interp.claims.all_claims import CLAIMS
from interp.claims.verdicts import claims_of_group
from interp.sweeps.plans import SWEEPS, Sweep, find_sweep
from interp.sweeps.rungs import TOY_TO_TEXT
from training.config import RunConfig
from training.recipes import find_recipe

LADDER = SWEEPS["toy-to-text"]
PLAIN = [sweep for sweep in SWEEPS.values() if sweep is not LADDER]


@pytest.mark.parametrize("sweep", PLAIN, ids=[sweep.name for sweep in PLAIN])
def test_every_cell_has_the_parameter_that_its_sweep_varies(sweep: Sweep):
    settings = {cell.arguments[sweep.varies] for cell in sweep.cells}

    assert len(settings) > 1
    assert all(find_recipe(cell.recipe).parameters[sweep.varies] for cell in sweep.cells)
    assert {claim for name in sweep.claims for claim in claims_of_group(name)}.isdisjoint(
        {claim for claim in CLAIMS if claim.across is None}
    )


def test_the_word_orders_are_compared_under_two_objectives():
    cells = SWEEPS["toy-word-orders"].cells
    arguments = [dict(cell.arguments) for cell in cells]
    orders = [str(a["word_order"]) for a in arguments]
    text = [a for a in arguments if a["loss_policy"] == "text"]

    assert sorted(orders) == sorted(["tae", "tea", "ate", "aet", "eat", "eta"] * 2)
    assert len(text) == 6
    assert {a["tied_embeddings"] for a in text} == {False}


def test_batch_sizes_go_up_to_the_full_batch_at_as_many_epochs_or_as_many_updates():
    epochs, updates, smoke = (
        [cell.config(smoke=is_smoke) for cell in SWEEPS[name].cells]
        for name, is_smoke in (
            ("toy-batch-size", False),
            ("toy-batch-size-updates", False),
            ("toy-batch-size-updates", True),
        )
    )
    data = find_recipe("alias-toy")().data.build(0)
    shown = {s: sum(row.repeats for row in data.training_rows(s)) for s in Part}

    def steps_of(config: RunConfig) -> list[int]:
        stages = {part: config.stage(Stage(part)) for part in shown}
        return [stages[s].epochs * -(-n // stages[s].batch_size) for s, n in shown.items()]

    for configs in (epochs, updates, smoke):
        sizes = [config.parameters["batch_size"] for config in configs]
        assert sizes == [16, 64, 256, 1024, 4096]
    assert steps_of(epochs[-1]) == [20, 40]  # one batch an epoch: full batch
    assert steps_of(epochs[1]) == [1200, 200]
    for config in updates:
        assert steps_of(config) == pytest.approx([1200, 200], rel=0.05)
    # A smoke run has other rows, but shows that such numbers of epochs work.
    assert [config.stage1.epochs for config in smoke] == [5, 20, 80, 300, 1200]
    assert {config.parameters["d_model"] for config in smoke} == {16}


@pytest.mark.parametrize("sweep", PLAIN, ids=[sweep.name for sweep in PLAIN])
def test_one_cell_of_every_sweep_is_a_recipe_as_it_is(sweep: Sweep):
    """So it is not said twice what the recipe's own values are."""
    cells = [cell.config(smoke=False) for cell in sweep.cells]
    recipes = {cell.recipe for cell in sweep.cells}

    assert {find_recipe(name)().run_id for name in recipes} < {cell.run_id for cell in cells}


def test_every_rung_keeps_what_the_one_before_has():
    rungs = {cell.rung.name: cell.rung for cell in LADDER.cells if cell.rung}
    toys = [rung for rung in rungs.values() if rung.recipe == "alias-toy"]

    assert len(rungs) == len(LADDER.cells)
    assert dict(rungs["alias-toy"].arguments) == {}
    for rung in toys[1:]:
        below = rungs[rung.after].arguments
        assert set(below) < set(rung.arguments) or rung.name.startswith("fixed-")
        changed = {n for n, value in rung.arguments.items() if below.get(n, value) != value}
        is_many = rung.name.startswith("fixed-") or rung.knob
        assert not changed or is_many  # counts of aliases or widths alone are said anew
    text = rungs["every-token"].arguments
    assert text.items() >= {"aliases_per_entity": 1, "new_entities_stage2": True}.items()
    assert text.items() >= {"alias_tokens": 2, "answer_tokens": 2, "sentences": True}.items()
    assert text.items() >= {"loss_policy": "text", "tied_embeddings": False}.items()
    assert rungs["pretrained"].recipe == "famous-people"


def test_an_arm_has_fewer_aliases_of_as_many_entities_or_as_many_of_more():
    cells = {cell.rung.name: cell for cell in LADDER.cells if cell.rung}
    for n, entities in {20: 45, 8: 113, 4: 225, 1: 900}.items():
        found = []
        for arm in ("fixed-entities", "fixed-aliases"):
            data = cells[f"{arm}-{n}"].config(smoke=False).data
            assert isinstance(data, IMLConfig)
            sizes = data.sizes
            aliases = 2 * sizes.defined + sizes.undefined
            found.append((-(-aliases // data.aliases_per_entity), aliases))
        assert found == [(20, 20 * n), (entities, 900)]
    few = cells["fixed-entities-1"].config(smoke=False)
    assert (few.stage1.epochs, few.stage2.epochs) == (171, 40)  # 1197 steps of 1200


def test_no_two_cells_of_a_ladder_are_one_run(tmp_path: Path):
    toys = LADDER.until("every-token")
    plan = [cell for cell in LADDER.cells if cell.recipe == "alias-toy"]
    for smoke in (False, True):
        assert len({cell.config(smoke=smoke).run_id for cell in plan}) == len(plan) == 32
    assert {cell.rung.rung for cell in toys.until("fixed-aliases-8").cells if cell.rung} == {
        "alias-toy", "fixed-entities-20", "fixed-entities-8", "fixed-entities-4",
        "fixed-entities-1", "fixed-aliases-20", "fixed-aliases-8",
    }  # fmt: skip
    assert list(toys.cells) == plan

    few = toys.until("alias-toy")
    requests = few.with_twins(few.requests(tmp_path, (0, 1), smoke=True))
    assert [request.folder.name for request in requests][1:] == ["null"]
    assert requests[1].folder.parent == requests[0].folder
    limited = replace(few.cells[0], rung=replace(TOY_TO_TEXT[0], most_seeds=1))
    (request,) = replace(few, cells=(limited,)).requests(tmp_path, (0, 1), smoke=True)
    assert request.seeds == (0,)


def test_a_rung_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="no rung 'sentence'; did you mean sentences"):
        LADDER.until("sentence")
    with pytest.raises(InputError, match="toy-alpha is no ladder; leave out --until"):
        SWEEPS["toy-alpha"].until("sentences")


def test_an_unknown_sweep_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match="no sweep 'toy-word-order'; did you mean toy-word-orders"):
        find_sweep("toy-word-order")
    with pytest.raises(InputError, match="no sweep 'xyz'; choose one of toy-word-orders"):
        find_sweep("xyz")
