from dataclasses import replace

import pandas as pd
import pytest

from data.errors import InputError
from interp.codes.analysis import alias_coefficients
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.mediation.analysis import MediationAnalysis, alias_answers, with_coefficients
from interp.mediation.sections import mediation_section
from interp.verdicts.spread import spread_sentences, spreads_of
from training.runs.run import Run


def test_answers_of_aliases_are_the_run_s_own_on_average(tiny_run: Run) -> None:
    seed = tiny_run.seeds[0]
    found = alias_answers(tiny_run, tiny_run.tokenized_rows(seed), seed)
    means = found.groupby("subset")["answer_log_prob"].mean().to_dict()
    gap = tiny_run.summary["iml_gap"]["answer_log_prob"]["per_seed"][str(seed)]
    assert means["D5_CONS"] - means["D6_CONS"] == pytest.approx(gap)
    assert set(found["n"]) == {4}  # every attribute is asked for


def test_definitions_stand_beside_what_became_of_them(copied_run) -> None:
    run = Run.load(copied_run)
    analysis = MediationAnalysis(folder=copied_run)
    rows = run_grid(analysis, GridSelection(runs=(run,)), workers=1)[0]

    assert len(rows) == 2 * 2 * 10
    own = alias_coefficients(run, 1001).set_index("alias")["coefficient_question"]
    of_seed = rows.loc[rows["seed"] == 1001].set_index("alias")["coefficient"]
    assert of_seed.to_dict() == pytest.approx(own[of_seed.index].to_dict())
    assert rows["alignment"].between(-1, 1).all()
    assert rows["alignment"].nunique() == len(rows)
    page = mediation_section(Run.load(copied_run))
    assert page is not None
    assert "Definition by definition" in page


def test_a_run_without_codes_has_no_coefficients(
    tiny_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: Run, seed: int) -> pd.DataFrame:
        raise InputError("codes need aliases that share entities; choose another run")

    monkeypatch.setattr("interp.mediation.analysis.alias_coefficients", refuse)
    table = pd.DataFrame({"subset": ["D5_CONS"], "alias": ["a"]})
    assert with_coefficients(table, tiny_run, 1000)["coefficient"].isna().to_numpy().all()


def test_two_seeds_say_nothing_of_their_spread(tiny_run: Run) -> None:
    assert spreads_of(tiny_run) == {}
    assert spread_sentences(tiny_run, {}) == []


def test_an_alias_of_no_entity_is_one_by_itself(tiny_run: Run) -> None:
    seed = tiny_run.seeds[0]
    rows = [replace(r, row=replace(r.row, entity=None)) for r in tiny_run.tokenized_rows(seed)]
    table = alias_answers(tiny_run, rows, seed)
    assert table["entity"].tolist() == table["alias"].tolist()
