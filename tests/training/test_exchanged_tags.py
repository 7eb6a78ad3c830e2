from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.vocabulary import Kind, Role, Stage
from training.exchanged_tags import ExchangedTwin, require_exchanged
from training.retraining import Retraining
from training.runs.run import Run


@pytest.fixture(scope="module")
def twin(tiny_run: Run) -> ExchangedTwin:
    return ExchangedTwin(again=Retraining(run=tiny_run, seed=tiny_run.seeds[0]))


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(weight, theirs[name]) for name, weight in one.state_dict().items())


def test_rows_of_the_twin_differ_in_the_tags_alone(twin: ExchangedTwin):
    tags: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for own, other in zip(twin.again.material.rows, twin.material.rows, strict=True):
        if own.row.kind is not Kind.DEFINITION:
            assert own.input_ids == other.input_ids
            continue
        first, last = own.spans[Role.TAG]
        assert own.input_ids[:first] == other.input_ids[:first]
        assert own.input_ids[last + 1 :] == other.input_ids[last + 1 :]
        tag = own.input_ids[first : last + 1]
        tags.setdefault(tag, set()).add(other.input_ids[first : last + 1])
    exchanged = {tag: theirs for tag, (theirs,) in tags.items() if theirs != tag}
    (one, other) = exchanged  # a new tag stays as it is
    assert exchanged == {one: other, other: one}


@pytest.mark.parametrize("stage", [Stage.ONE, Stage.TWO])
def test_the_twin_is_another_model(twin: ExchangedTwin, stage: Stage):
    assert not same_weights(twin.after(stage), twin.again.model_at(2))


@pytest.mark.parametrize("stage", [Stage.ONE, Stage.TWO])
def test_with_nothing_exchanged_the_twin_is_the_run_bit_for_bit(twin: ExchangedTwin, stage: Stage):
    # So that what differs between a run and its twin is due to the tags alone.
    unchanged = ExchangedTwin(again=twin.again)
    unchanged.__dict__["material"] = twin.again.material
    assert same_weights(unchanged.after(stage), twin.again.model_at(2))


def test_rows_that_differ_otherwise_or_not_at_all_make_no_pair(twin: ExchangedTwin):
    own, other = twin.again.material.rows, twin.material.rows
    with pytest.raises(InputError, match="no row differs"):
        require_exchanged(own, own)
    longer = [replace(other[0], input_ids=(*other[0].input_ids, 1)), *other[1:]]
    with pytest.raises(InputError, match="more than the tags differs"):
        require_exchanged(own, longer)
    with pytest.raises(InputError, match="more than the tags differs"):
        require_exchanged(own, other[:-1])


def test_a_recipe_whose_tags_cannot_be_exchanged_is_refused(tiny_run: Run):
    parameters = {k: v for k, v in tiny_run.config.parameters.items() if k != "exchange_tags"}
    run = replace(tiny_run, config=replace(tiny_run.config, parameters=parameters))
    with pytest.raises(InputError, match="the tags of recipe alias-toy cannot be exchanged"):
        _ = ExchangedTwin(again=Retraining(run=run, seed=run.seeds[0])).material
