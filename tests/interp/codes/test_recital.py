import numpy as np
import pytest

from interp.codes import nulls
from interp.codes.analysis import seed_codes
from interp.codes.places import CodePlace
from interp.codes.recital import measure_recital
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import load_hooked
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import Run

SEED = 1000


def test_definitions_are_recited_as_in_the_runs_evaluation_and_with_the_other_tag(
    tiny_run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(nulls, "N_DRAWS", 1)
    rows = tiny_run.tokenized_rows(SEED)
    model = load_hooked(tiny_run, SEED, 2)
    codes = seed_codes(tiny_run, model, rows, CodePlace(), SEED)
    table = measure_recital(codes, model, CodePlace(), rows)

    definitions = [r for r in rows if r.row.kind == "definition" and r.row.subset.name == "D6_CONS"]
    plain = load_model(tiny_run.checkpoint(SEED, 2))
    expected = answer_metrics(plain, EvaluationSet.of(definitions))["answer_log_prob"].mean()
    trained = table.loc[(table["edit"] == "") & (table["quantity"] == "answer_log_prob")]
    values = trained.set_index("subset")["value"]
    assert values["D6_CONS recited"] == pytest.approx(expected, abs=1e-5)
    assert set(values.index) == {
        f"{subset} recited{end}" for subset in ("D5_CONS", "D6_CONS") for end in ("", ", other tag")
    }
    assert abs(values["D6_CONS recited, other tag"] - expected) > 1e-6
    assert np.isfinite(table.loc[table["edit"] == "take", "value"]).all()


def test_where_definitions_have_no_such_token_there_is_no_recital(tiny_run: Run):
    rows = tiny_run.tokenized_rows(SEED)
    model = load_hooked(tiny_run, SEED, 2)
    place = CodePlace(site=Site("resid_post", 0), role=TokenRole.QUESTION_LAST)
    codes = seed_codes(tiny_run, model, rows, place, SEED)
    assert measure_recital(codes, model, place, rows).empty
