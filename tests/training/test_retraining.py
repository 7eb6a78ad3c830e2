import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import Kind, Stage
from training.retraining import Retraining, gap_of
from training.runs.run import Run


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
