"""What is read, in tables made by hand."""

from pathlib import Path

import pandas as pd
import pytest

from interp.hypotheses.hypothesis import opposed
from interp.hypotheses.reading import (
    carried,
    own_code_recited,
    swapped_tag,
    tag_erased,
    truth_added,
)
from interp.hypotheses.shipped import gradient_alignment, stored_apart
from interp.verdicts.quantities import NotMeasured
from tests.interp.hand_made_runs import make_run
from tests.interp.hypotheses.tables_by_hand import D5, D6, codes_in, nats_of, table_in
from training.runs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The gap of both seeds is 2 nats."""
    return make_run(nats_of({D5: [[-1.0] * 4] * 2, D6: [[-3.0] * 4] * 2}), tmp_path)


def taken(run: Run, code: str, values: dict[str, list[float]]) -> None:
    """Recitation with a code taken out; -0.1 with a null in its place."""
    recited = {f"{name} recited": of_seeds for name, of_seeds in values.items()}
    codes_in(run, "answer_log_prob", code, recited, edit="take", control=-0.1)


def test_a_definition_suffers_from_the_other_tag_and_from_the_loss_of_its_own_code(
    run: Run,
) -> None:
    with pytest.raises(NotMeasured, match="needs iml codes DIR"):
        swapped_tag(run)
    own = {f"{D5} recited": [-0.1, -0.2], f"{D6} recited": [-0.1, -0.2]}
    other = {f"{D5} recited, other tag": [-1.1, -0.2], f"{D6} recited, other tag": [-2.1, -0.4]}
    codes_in(run, "answer_log_prob", "", own | other)
    assert swapped_tag(run).to_dict() == pytest.approx({0: 1.5, 1: 0.1})
    taken(run, "reliable", {D5: [-3.0, -1.0], D6: [-1.0, -1.0]})
    taken(run, "unreliable", {D5: [-1.0, -1.0], D6: [-2.0, -1.0]})
    assert own_code_recited()(run).to_dict() == pytest.approx({0: 1.5, 1: 0.0})
    assert own_code_recited("control")(run).to_dict() == pytest.approx({0: 0.0, 1: 0.0})


def test_a_truth_direction_counts_by_what_the_lower_subset_gains(run: Run) -> None:
    codes_in(run, "answer_log_prob", "", {D5: [-1.0, -1.0], D6: [-3.0, -3.0]})
    with pytest.raises(NotMeasured, match="once more"):
        truth_added()(run)
    moved = {D5: [-0.5, -0.5], D6: [-2.5, -2.5]}
    codes_in(run, "answer_log_prob", "", moved, edit="truth", control=-3.2)
    assert truth_added()(run).to_dict() == pytest.approx({0: 0.25, 1: 0.25})
    assert truth_added("control")(run).to_dict() == pytest.approx({0: -0.1, 1: -0.1})


def test_an_erased_tag_counts_beyond_random_directions(run: Run) -> None:
    table_in(
        run, "erasure", seed=[0, 1, 0], target=["tag_stage2"] * 2 + ["tag"], site="resid_pre",
        layer=0, role="alias_last", metric="answer_log_prob", subset=f"{D5}-{D6}",
        before=[2.0, 2.0, 9.0], after=[0.5, 1.5, 9.0], control_distance=[1.5, 1.5, 9.0],
    )  # fmt: skip
    assert tag_erased(run).to_dict() == pytest.approx({0: 0.5, 1: 0.0})


def test_what_a_predictor_carries_is_a_share_of_the_gap(run: Run) -> None:
    """Within each tag a nat for each unit of code, of which D5 has one unit more: half of 2 nats.

    Alignment goes with nothing at equal amounts of the code.
    """
    code, noise = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.1, -0.1, -0.1, 0.1, 0.1, -0.1]
    answers = [value + 0.01 * (-1) ** i for i, value in enumerate(code)]
    sides = [
        pd.DataFrame({"coefficient": code, "alignment": noise, "alias": list("abcdef")})
        .assign(subset=D5, answer_log_prob=answers),
        pd.DataFrame({"coefficient": code, "alignment": noise, "alias": list("ghijkl")})
        .assign(subset=D6, answer_log_prob=[value - 1.0 for value in answers])
        .assign(coefficient=[value - 1.0 for value in code]),
    ]  # fmt: skip
    table = pd.concat(sides).assign(
        seed=0, entity="e", stage2_seed=0, recipe="alias-toy", model="m", word_order="tae"
    )
    table_in(run, "mediation", **table.to_dict("list"))
    assert carried("coefficient", "alignment")(run).to_dict() == pytest.approx({0: 0.5}, abs=0.01)
    assert carried("alignment", "coefficient")(run).to_dict() == pytest.approx({0: 0.0}, abs=0.01)
    no_codes = table.assign(coefficient=float("nan"))
    table_in(run, "mediation", **no_codes.to_dict("list"))
    with pytest.raises(NotMeasured, match="needs iml mediate"):
        carried("alignment", "coefficient")(run)


def test_codes_and_alignment_expect_opposite_things_of_rows_alias_by_alias() -> None:
    rows = opposed(stored_apart.HYPOTHESIS, gradient_alignment.HYPOTHESIS)
    assert {"aligned by alias", "amount by alias", "carried by code", "carried by alignment"} <= {
        *rows
    }
