"""A claim about a tag, held against a run whose tags mean nothing."""

from data.design import Design
from data.tasks.text import TextConfig
from data.texts import DefinitionStyle
from interp.verdicts.claim import Claim, TagEvidence
from interp.verdicts.quantities import Measure, NotMeasured
from training.config import RunConfig
from training.runs.run import Run

RUN_MINUS_TWIN = "run minus null twin"
SHUFFLED = "a null twin: its tags are shuffled and mean nothing"
_OWN_MEANING = (DefinitionStyle.SOURCES, DefinitionStyle.IS_ISNT)
"""Styles in which a tag is a phrase that a pretrained model knows."""


def run_minus_twin(design: Design) -> str:
    """What tables call the difference between a run and its control."""
    return f"run minus {design.control_name}"


def needs_twin(claim: Claim, config: RunConfig) -> bool:
    """Whether a claim is true of a run only by how far it exceeds the run's null twin."""
    return claim.tag is TagEvidence.NULL_TWIN or (
        claim.tag is TagEvidence.CONTRAST and tags_have_meaning(config)
    )


def tags_have_meaning(config: RunConfig) -> bool:
    """Whether a run's tags are words, in place of random strings that are drawn for each seed."""
    data = config.data
    return isinstance(data, TextConfig) and data.writing.style in _OWN_MEANING


NO_TWIN = "no null twin: repeat iml run with --with-null"


def of_twin(measure: Measure) -> Measure:
    """The same measure of a run's null twin."""

    def measured(run: Run):
        if run.finished_null is None:
            raise NotMeasured(NO_TWIN)
        return measure(run.finished_null)

    return measured


def beyond_twin(measure: Measure) -> Measure:
    """A measure of a run minus that of its null twin, by seed; seeds that one lacks are NaN."""

    def difference(run: Run):
        twin = run.finished_null
        if twin is None:
            raise NotMeasured(NO_TWIN)
        values = measure(run)
        try:
            return values - measure(twin)
        except NotMeasured as error:
            raise NotMeasured(f"of the null twin: {error}") from None

    return difference
