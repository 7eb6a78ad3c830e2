import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.cli import main
from interp.codes import edited, nulls, weights
from interp.codes import seed_codes as seed_codes_module
from interp.codes.aliases import CodedAliases
from interp.codes.analysis import CodesAnalysis, alias_coefficients, seed_codes
from interp.codes.answers import AskedAliases, unchanged
from interp.codes.edited import explained, other_answers
from interp.codes.places import CodePlace
from interp.codes.rows import COORDINATES, MEASURED
from interp.codes.sections import codes_section
from interp.codes.wording import at_places
from interp.grids.grid import measure_grid
from interp.grids.selection import GridSelection
from interp.grids.settings import measured_with, settings_of
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from interp.own.runs import look
from interp.planted.processes import planted_run
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def model(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, SEED, 2)


@pytest.fixture(scope="module")
def aliases(tiny_run: Run) -> CodedAliases:
    return CodedAliases.of(tiny_run.tokenized_rows(SEED), tiny_run.design)


@pytest.fixture(scope="module")
def one_draw():
    """One null of each kind, one halving, edits along one code: enough to see them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nulls, "N_DRAWS", 1)
        patch.setattr(seed_codes_module, "N_SPLITS", 1)
        patch.setattr(edited, "CODES", ("reliable",))
        yield


@pytest.fixture(scope="module")
def embed(tiny_run: Run, one_draw) -> pd.DataFrame:
    """What one seed's table says of the embedding."""
    selection = GridSelection(runs=(tiny_run,), stage=2, seeds=(SEED,))
    return measure_grid(CodesAnalysis(folder=tiny_run.folder), selection, workers=1)[0]


def test_answers_are_those_of_the_runs_evaluation(tiny_run: Run, model, aliases):
    asked = AskedAliases(model=model, place=CodePlace(), aliases=aliases.compared)
    plain = load_model(tiny_run.checkpoint(SEED, 2))
    evaluation = EvaluationSet.of(asked.rows)
    expected = answer_metrics(plain, evaluation)
    expected["alias"] = [row.row.alias for row in evaluation.rows]
    means: pd.DataFrame = expected.groupby("alias")[["exact_match", "answer_log_prob"]].mean()  # pyright: ignore[reportAssignmentType]
    names = [alias.name for alias in aliases.compared]
    np.testing.assert_allclose(unchanged(asked), means.loc[names].to_numpy(), atol=1e-5)


@torch.no_grad()
def test_an_addition_at_the_embedding_is_one_to_the_rows_of_the_input_embedding(
    tiny_run: Run, model, aliases
):
    few = aliases.compared[:3]
    asked = AskedAliases(model=model, place=CodePlace(), aliases=few)
    added = np.random.default_rng(0).normal(size=(2, 3, model.d_model)) * 0.3
    found = asked.with_added(added)
    plain = load_model(tiny_run.checkpoint(SEED, 2))
    table = plain.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor)
    for change in range(2):
        for place, alias in enumerate(few):
            total = 0.0
            for row in alias.questions:
                vectors = table[list(row.input_ids)].clone()
                vectors[row.spans["alias"][0]] += torch.from_numpy(added[change, place]).float()
                logits = plain(inputs_embeds=vectors[None]).logits[0]
                (at,) = row.answer_positions
                total += logits[at - 1].log_softmax(-1)[row.input_ids[at]].item()
            assert found[change, place, 1] == pytest.approx(total / len(alias.questions), abs=1e-4)


def test_after_a_swap_the_answers_of_the_other_entity_are_asked(tiny_run: Run, model):
    rows = tiny_run.tokenized_rows(SEED)
    codes = seed_codes(tiny_run, model, rows, CodePlace(), SEED)
    found = other_answers(codes)
    assert found is not None
    truth = {(str(row.row.entity), row.row.question): row.row.rendered.answer for row in rows}
    at = 0
    for alias, number in zip(codes.aliases.compared, codes.changes.swapped, strict=True):
        other = codes.before.entities[number]
        assert other != alias.entity
        for row in alias.questions:
            answer = model.tokenizer.decode([found[at].input_ids[found[at].answer_positions[0]]])
            assert answer.strip() == truth[str(other), row.row.question].strip()
            at += 1


def test_a_table_has_a_row_for_each_place_code_edit_and_quantity(tiny_run: Run, embed, one_draw):
    analysis = CodesAnalysis(folder=tiny_run.folder, roles=(TokenRole.ALIAS_LAST,))
    selection = GridSelection(
        runs=(tiny_run,), stage=2, seeds=(SEED,), sites=("resid_pre",), layers=(0,)
    )
    stream, summary = measure_grid(analysis, selection, workers=1)

    assert not stream.duplicated(COORDINATES).any()
    assert set(MEASURED) <= set(stream.columns)
    assert set(summary["site"]) == {"resid_pre"}
    # With one token an alias and no position vectors, the stream enters as the embedding is.
    keys = ["code", "subset", "edit", "quantity"]
    both = embed.merge(stream, on=keys, suffixes=("", "_stream"))
    assert len(both) == len(embed) == len(stream)
    np.testing.assert_allclose(both["value"], both["value_stream"], atol=1e-4)


def test_weights_have_rows_for_each_block_and_for_all_together(
    tiny_run: Run, one_draw, monkeypatch: pytest.MonkeyPatch
):
    roles = (TokenRole.ALIAS_LAST,)
    monkeypatch.setattr(weights, "CODES", ("reliable",))
    analysis = CodesAnalysis(folder=tiny_run.folder, roles=roles, in_stream=False, in_weights=True)
    selection = GridSelection(
        runs=(tiny_run,), stage=2, seeds=(SEED,), sites=("resid_post",), layers=(0,)
    )
    table, summary = measure_grid(analysis, selection, workers=1)

    assert not table.duplicated(COORDINATES).any()
    edits = {place: set(rows["edit"]) for place, rows in table.groupby(["site", "layer"])}
    assert edits.keys() == {("weights", 0), ("weights_all", 0)}
    assert {"take", "exchange", "project"} <= edits["weights", 0]
    assert edits["weights_all", 0] == {"", "project", "project_embed", "project_blocks"}
    gaps = table.loc[table["quantity"] == "gap"]
    trained = gaps.loc[gaps["edit"] == "", "value"].to_numpy()
    np.testing.assert_allclose(trained, trained[0], atol=1e-5)  # both are the same model
    projected = gaps.loc[gaps["edit"] == "project"]
    assert projected[["null_random", "null_permuted", "null_tag"]].notna().all(axis=None)
    assert projected["null_other"].isna().all()  # whose directions are the code's own
    sentences = at_places(summary)
    assert sentences[0].startswith("What the changed weights of block 0 write at alias_last: ")
    assert sum("all changed weights" in said.lower() for said in sentences) == 1


def test_coefficients_of_aliases_average_to_those_of_the_table(tiny_run: Run, embed):
    table = alias_coefficients(tiny_run, SEED)
    assert list(table.columns) == [
        "alias", "entity", "subset", "coefficient_reliable", "coefficient_unreliable",
        "coefficient_question", "change_length", "exact_match", "answer_log_prob",
    ]  # fmt: skip
    rows = embed.loc[(embed["quantity"] == "coefficient") & (embed["code"] == "reliable")]
    rows = rows.loc[rows["subset"].isin(table["subset"])]  # a third tag's aliases are not compared
    assert len(rows) == 2
    for subset, value in zip(rows["subset"], rows["value"], strict=True):
        own = table.loc[table["subset"] == subset, "coefficient_reliable"]
        assert own.to_numpy().mean() == pytest.approx(value)


def test_the_command_fills_the_run_and_its_null_twin_with_what_look_asks_for(
    copied_run: Path,
    one_draw,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    assert main(["codes", str(copied_run), "--seed", str(SEED), "--workers", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (said,) = found["runs"][0]["found"]
    assert said["stage"] == 2
    assert (copied_run / "null" / "codes_summary.parquet").is_file()
    assert len(said["sentences"]) > 5
    run = Run.load(copied_run)
    html = codes_section(run) or ""
    assert "codes-2-0-edits" in html
    assert "in the null twin" in html
    assert html == codes_section(run)

    asked: dict[str, object] = {}
    monkeypatch.setattr(
        "interp.own.runs.known_or_measured",
        lambda analysis, selection, **_: (
            asked.update(settings_of(analysis, selection)) or (pd.DataFrame(), pd.DataFrame())
        ),
    )
    look(run, "codes", stage=2)
    table = run.table("codes")
    assert table is not None
    assert measured_with(table, asked).all()


def test_without_tables_there_is_no_section(tiny_run: Run):
    assert codes_section(tiny_run) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--site", "resid_post"], "--site needs --role"),
        (["--stage", "1"], "leave out --stage 1"),
        (["--site", "z", "--role", "alias_last"], "choose resid_pre, resid_post or weights"),
        (["--site", "weights"], "--site needs --role"),
    ],
)
def test_what_codes_cannot_look_at_is_refused_in_one_line(
    tiny_run: Run, capsys: pytest.CaptureFixture[str], words: list[str], says: str
):
    assert main(["codes", str(tiny_run.folder), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_place_outside_the_stream_is_refused():
    with pytest.raises(Exception, match="choose resid_pre, resid_post or weights"):
        CodePlace(site=Site("mlp_out", 0), role=TokenRole.ALIAS_LAST)


def test_half_a_reversal_is_all_of_what_a_removal_explains():
    assert explained(np.array([0.0]), 2.0, reverses=False)[0] == 1.0
    assert explained(np.array([0.0]), 2.0, reverses=True)[0] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "amounts", "places"),
    [("storage", 1.0, 1.0), ("strength", 1.0, 0.0), ("mixture", 1.0, 0.5), ("shift", 0.0, 0.0)],
)
def test_the_planted_share_of_the_gap_is_recovered(
    tmp_path: Path, kind: str, amounts: float, places: float
):
    """The amounts of the code make all gaps but a constant's; where it is written, storage's."""
    run = planted_run(kind, 0, tmp_path / "run", n_seeds=3)
    selection = GridSelection(runs=(run,), stage=2)
    _, summary = measure_grid(CodesAnalysis(folder=run.folder), selection, workers=1)
    shares = summary.loc[(summary["quantity"] == "share") & (summary["code"] == "reliable")]
    found = dict(zip(shares["edit"], shares["value"], strict=True))
    assert found["set"] == pytest.approx(amounts, abs=0.2)
    assert found["turn"] == pytest.approx(places, abs=0.15)
    reads = summary.loc[(summary["quantity"] == "share") & (summary["code"] == "question")]
    spans = dict(zip(reads["edit"], reads["value"], strict=True))
    assert spans["span"] == pytest.approx(amounts, abs=0.2)
    assert spans["span"] + spans["beside"] == pytest.approx(1.0, abs=0.2)
    drawn = dict(zip(shares["edit"], shares["null_random"], strict=True))
    assert max(abs(drawn[edit]) for edit in ("set", "turn")) < 0.2
