import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import Kind, Stage
from training.retraining import Retraining, gap_of
from training.runs.run import Run
from training.turned_updates import Turn


@pytest.fixture(scope="module")
def retraining(tiny_run: Run) -> Retraining:
    return Retraining(run=tiny_run, seed=tiny_run.seeds[0])


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(weight, theirs[name]) for name, weight in one.state_dict().items())


def definitions(retraining: Retraining) -> list[str]:
    rows = retraining.material.training_rows(Stage.TWO)
    return [row.row.row_id for row in rows if row.row.kind is Kind.DEFINITION]


def test_stage_2_trained_again_is_the_run_s_own_bit_for_bit(retraining: Retraining):
    again = retraining.stage_two(retraining.model_at(1))
    assert same_weights(again, retraining.model_at(2))


def test_the_measurement_is_the_run_s_own(retraining: Retraining):
    measured = retraining.measure(retraining.model_at(2))
    per_seed = retraining.run.summary["iml_gap"]["exact_match"]["per_seed"]
    gap = gap_of(measured, "D5_CONS", "D6_CONS", "exact_match")
    assert gap == pytest.approx(per_seed[str(retraining.seed)])


def test_stage_1_trained_again_is_the_run_s_own_bit_for_bit(retraining: Retraining):
    assert same_weights(retraining.stage_one(), retraining.model_at(1))


def turn(retraining: Retraining, stage: Stage, dose: float) -> Turn:
    """Definitions' share of the first rows of the embedding, out of a random direction."""
    out = torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(0))
    is_definition = retraining.examples_of(stage, lambda row: row.kind is Kind.DEFINITION)
    assert is_definition.any()
    return Turn(rows=torch.arange(100), examples=is_definition, out_of=lambda _: out, dose=dose)


@pytest.mark.parametrize("dose", [0.0, 1.0])
def test_turned_stages_are_the_run_s_own_at_dose_0_and_not_at_dose_1(
    retraining: Retraining, dose: float
):
    stage1 = retraining.stage_one(turned=[turn(retraining, Stage.ONE, dose)])
    start = retraining.model_at(1)
    stage2 = retraining.stage_two(start, turned=[turn(retraining, Stage.TWO, dose)])
    assert same_weights(stage1, start) == (dose == 0)
    assert same_weights(stage2, retraining.model_at(2)) == (dose == 0)


def test_surgery_of_dose_0_gives_the_run_s_stage_1_up_to_rounding(retraining: Retraining):
    again, own = retraining.stage_one(dose=0.0), retraining.model_at(1)
    for one, other in zip(again.parameters(), own.parameters(), strict=True):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-3)


def test_surgery_changes_stage_1(retraining: Retraining):
    assert not same_weights(retraining.stage_one(dose=1.0), retraining.stage_one(dose=0.0))


def test_a_definition_left_out_changes_stage_2_and_no_definitions_left_out_does_not(
    retraining: Retraining,
):
    start, own = retraining.model_at(1), retraining.model_at(2)
    before = [p.detach().clone() for p in start.parameters()]

    assert not same_weights(retraining.stage_two(start, without=definitions(retraining)[:1]), own)
    assert same_weights(retraining.stage_two(start, without=()), own)
    assert all(map(torch.equal, before, start.parameters()))


def test_an_unknown_row_cannot_be_left_out(retraining: Retraining):
    with pytest.raises(InputError, match="no training row of Stage 2"):
        retraining.stage_two(retraining.model_at(1), without=["D1_CONS_QA1/definition/00000"])


def test_the_random_state_stays(retraining: Retraining):
    before = torch.get_rng_state()
    retraining.stage_two(retraining.model_at(1))
    retraining.stage_one(dose=1.0, along_random=True)
    assert torch.equal(before, torch.get_rng_state())
