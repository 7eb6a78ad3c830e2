"""Trainings of a tiny run with updates turned: the analysis, its tables, section and command."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.vocabulary import Stage
from interp.cli import main
from interp.grids.grid import run_grid
from interp.grids.selection import GridSelection
from interp.turns.analysis import TurnAnalysis
from interp.turns.codes import QUESTION, AliasCodes
from interp.turns.sections import turns_section
from interp.turns.treatments import (
    ALIGNMENT,
    CONTROLS,
    MEANINGS,
    OTHER,
    OWN_CODE,
    RANDOM,
    READ_OUT_SPACE,
    STAGE_ONE,
    TO_QUESTION,
    TREATMENTS,
    TurnMaker,
    stage_of,
)
from training.retraining import Retraining
from training.runs.integrity import run_damage
from training.runs.run import Run

SEED = 1000
GAP = "D5_CONS-D6_CONS"


@pytest.fixture(scope="module")
def make(tiny_run: Run) -> TurnMaker:
    codes = AliasCodes.of(tiny_run.tokenized_rows(SEED), tiny_run.design)
    return TurnMaker(again=Retraining(run=tiny_run, seed=SEED), codes=codes)


def embedding(make: TurnMaker) -> torch.Tensor:
    weight = make.again.model_at(1).get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


def test_every_treatment_has_words_and_controls():
    assert set(TREATMENTS) == set(MEANINGS) == set(CONTROLS)
    assert all(CONTROLS.values())


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_turns_are_of_definitions_of_their_stage_and_rows_of_their_aliases(
    make: TurnMaker, treatment: str
):
    names = {
        "own code": {"D2_INCONS_QA2"},
        "into question code": {"D2_INCONS_QA2"},
        "alignment": {"D1_CONS_QA1", "D2_INCONS_QA2"},
        "out of question code": {"D6_CONS"},
        "to question code": {"D6_CONS"},
    }.get(treatment, {"D5_CONS", "D6_CONS"})
    (turn,) = make.turns(treatment, dose=1.0)
    rows = make.again.material.training_rows(stage_of(treatment))
    listed = [row for row in rows for _ in range(row.row.repeats)]
    chosen = [row.row for row, is_in in zip(listed, turn.examples, strict=True) if is_in]
    assert {row.subset.name for row in chosen} == names
    assert {row.kind.value for row in chosen} == {"definition"}
    tokens = {alias.token for alias in make.codes.aliases if alias.subset.name in names}
    assert set(turn.rows.tolist()) == tokens


def test_directions_are_those_of_the_entity_that_a_definition_names(make: TurnMaker):
    weight = embedding(make)
    (turn,) = make.turns(OWN_CODE, dose=1.0)
    aliases = make.codes.of_subsets(["D2_INCONS_QA2"])
    codes = make.codes.estimate(weight, "unreliable")
    assert turn.out_of is not None
    for found, alias in zip(turn.out_of(weight), aliases, strict=True):
        assert alias.defined is not None
        assert torch.equal(found[0], codes[make.codes.entities.index(alias.defined)])


def test_controls_are_another_entity_s_code_or_random_directions_of_the_same_rank(
    make: TurnMaker,
):
    weight = embedding(make)
    (other,) = make.turns(OWN_CODE, dose=1.0, control=OTHER)
    assert other.out_of is not None
    assert other.beside is not None
    own, beside = other.out_of(weight), other.beside(weight)
    assert own.shape == beside.shape
    assert not (own == beside).all(-1).any()
    (spoiled,) = make.turns(TO_QUESTION, dose=1.0, control=OTHER)
    (real,) = make.turns(TO_QUESTION, dose=1.0)
    assert spoiled.into is not None
    assert real.into is not None
    assert not (spoiled.into(weight) == real.into(weight)).all(-1).any()
    (space,) = make.turns(READ_OUT_SPACE, dose=1.0, control=RANDOM)
    assert space.beside is not None
    n_codes = len(make.codes.entities)
    assert torch.linalg.matrix_rank(make.codes.estimate(weight, QUESTION).double()) <= n_codes - 1
    assert space.beside(weight).shape == (1, n_codes - 1, weight.shape[1])
    again = make.turns(READ_OUT_SPACE, dose=1.0, control=RANDOM)[0]
    assert again.beside is not None
    assert torch.equal(space.beside(weight), again.beside(weight))


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("turns") / "run"
    run = Run.load(shutil.copytree(tiny_run.folder, folder))
    analysis = TurnAnalysis(folder=folder, treatments=(ALIGNMENT, TO_QUESTION), limit=2)
    selection = GridSelection(runs=(run,), stage=1, seeds=tuple(run.seeds[:2]))
    run_grid(analysis, selection, workers=1)
    return run


def test_the_untreated_training_is_the_run_s_own(analysed: Run):
    table = pd.read_parquet(analysed.folder / "turns.parquet")
    assert set(table["distance"]) == {0.0}
    untreated = table.loc[table["dose"] == 0]
    assert (untreated["value"] == untreated["untreated"]).all()
    gaps = untreated.loc[(untreated["subset"] == GAP) & (untreated["after"] == 2)]
    for metric in ("exact_match", "answer_log_prob"):
        own = analysed.summary["iml_gap"][metric]["per_seed"]
        found = gaps.loc[gaps["metric"] == metric].set_index("seed")["value"]
        assert found.to_dict() == {seed: pytest.approx(own[str(seed)]) for seed in found.index}


def test_every_treatment_and_control_is_another_training_and_measured_alike(analysed: Run):
    table = pd.read_parquet(analysed.folder / "turns.parquet")
    cells = table.groupby(["treatment", "dose", "control_kind"])
    assert set(cells.groups) == {
        ("untreated", 0.0, ""),
        (ALIGNMENT, 1.0, ""),
        (ALIGNMENT, 1.0, RANDOM),
        (TO_QUESTION, 1.0, ""),
        (TO_QUESTION, 1.0, OTHER),
    }
    assert len({len(rows) for _, rows in cells}) == 1
    wide = table.loc[table["metric"] == "answer_log_prob"].pivot_table(
        index=["seed", "subset", "after"],
        columns=["treatment", "control_kind"],
        values="value",
    )
    after_two = wide.xs(2, level="after")
    assert (after_two.loc[(SEED, "D6_CONS")].round(9).nunique()) == 5
    first = wide.xs(1, level="after").loc[(SEED, "D2_INCONS_QA2")]
    assert first[TO_QUESTION].nunique() == 1
    assert (first[TO_QUESTION] == first["untreated", ""]).all()
    assert first[ALIGNMENT, ""] != first["untreated", ""]
    assert run_damage(analysed.folder) == []


def test_turned_into_the_question_code_rows_move_along_it(analysed: Run):
    """The planted case: what the lower subset writes is put where questions read."""
    table = pd.read_parquet(analysed.folder / "turns.parquet")
    moved = table.loc[(table["metric"] == "coefficient") & (table["subset"] == "D6_CONS")]
    wide = moved.pivot_table(index="seed", columns=["treatment", "control_kind"], values="value")
    assert (wide[TO_QUESTION, ""] > wide["untreated", ""]).all()
    assert (wide[TO_QUESTION, ""] > wide[TO_QUESTION, OTHER]).all()


def test_the_section_is_there_where_the_table_is(tiny_run: Run, analysed: Run):
    html = turns_section(analysed)
    assert html is not None
    assert turns_section(tiny_run) is None
    assert html == turns_section(Run.load(analysed.folder))
    for words in ("turns-exact_match", "turns-answer_log_prob", "Manipulation check"):
        assert words in html


def test_the_command_writes_its_tables_and_says_what_it_found(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["turn", str(copied_run), "--treatment", "read-out", "--seed", "1000", "--workers", "1"]
    assert main([*words, "--limit", "2", "--dose", "0.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["analysis"] == "turns"
    assert "Treatment 'read-out' in Stage 2" in json.dumps(found)
    assert {each["dose"] for each in found["summary"]} == {0.0, 0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--treatment", "own-code"], "no treatment 'own-code'; did you mean"),
        (["--dose", "0"], "dose 0 is the untreated run"),
        (["--limit", "0"], "--limit 0 leaves no definitions"),
        (["--seed", "7"], "has no seed 7"),
    ],
)
def test_bad_options_change_nothing(
    copied_run: Path,
    options: list[str],
    message: str,
    tree_hash,
    capsys: pytest.CaptureFixture[str],
):
    before = tree_hash(copied_run)
    assert main(["turn", str(copied_run), *options]) == 2
    assert message in capsys.readouterr().err
    assert tree_hash(copied_run) == before


def test_the_stages_of_treatments_are_two():
    assert {stage_of(name) for name in STAGE_ONE} == {Stage.ONE}
    assert {stage_of(name) for name in TREATMENTS if name not in STAGE_ONE} == {Stage.TWO}


def test_dose_0_and_unknown_treatments_are_refused(tiny_run: Run):
    with pytest.raises(InputError, match="dose 0"):
        TurnAnalysis(folder=tiny_run.folder, doses=(0.0, 1.0))
    with pytest.raises(InputError, match="no treatment"):
        TurnAnalysis(folder=tiny_run.folder, treatments=("nothing",))
