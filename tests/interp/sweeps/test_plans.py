import pytest

from data.errors import InputError
from data.vocabulary import Part, Stage
from interp.claims.all_claims import CLAIMS
from interp.claims.verdicts import claims_of_group
from interp.sweeps.plans import SWEEPS, Sweep, find_sweep
from training.config import RunConfig
from training.recipes import find_recipe


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=list(SWEEPS))
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


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=list(SWEEPS))
def test_one_cell_of_every_sweep_is_a_recipe_as_it_is(sweep: Sweep):
    """So it is not said twice what the recipe's own values are."""
    cells = [cell.config(smoke=False) for cell in sweep.cells]
    recipes = {cell.recipe for cell in sweep.cells}

    assert {find_recipe(name)().run_id for name in recipes} < {cell.run_id for cell in cells}


def test_an_unknown_sweep_is_refused_with_what_was_meant():
    with pytest.raises(InputError, match="no sweep 'toy-word-order'; did you mean toy-word-orders"):
        find_sweep("toy-word-order")
    with pytest.raises(InputError, match="no sweep 'xyz'; choose one of toy-word-orders"):
        find_sweep("xyz")
