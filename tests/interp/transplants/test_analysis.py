import pickle
import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.tasks.iml import IML_GAP
from data.vocabulary import Role
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from interp.transplants import analysis as transplants
from interp.transplants.analysis import (
    TransplantAnalysis,
    asked_rows,
    is_trained_definition,
    transplant_weights,
)
from interp.transplants.parts import alias_rows, weights_of, with_weights
from interp.transplants.summary import COORDINATES
from training.designs import recipe_design
from training.evaluate import EvaluationSet, answer_metrics
from training.runs.checkpoints import load_model
from training.runs.run import Run

MEASURES = ["exact_match", "answer_log_prob"]
SEED = 1000
ASKED = recipe_design("alias-toy").asked


@pytest.fixture(scope="module")
def analysed(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy with transplants in both directions and, of activations, from Stage 2."""
    folder = tmp_path_factory.mktemp("transplants") / "run"
    run = Run.load(shutil.copytree(tiny_run.folder, folder))
    for recipient, donor in ((1, 2), (2, 1)):
        analysis = TransplantAnalysis(
            folder=folder,
            recipient_stage=recipient,
            donor_stage=donor,
            parts=("embeddings", "blocks"),
            roles=(TokenRole.ALIAS_LAST, TokenRole.PROMPT_LAST) if donor == 2 else (),
        )
        selection = GridSelection(runs=(run,), stage=recipient, sites=("resid_post", "z"))
        run_grid(analysis, selection, workers=1)
    return run


@pytest.fixture(scope="module")
def table(analysed: Run) -> pd.DataFrame:
    return pd.read_parquet(analysed.folder / "transplants.parquet")


def known_levels(run: Run, stage: int) -> pd.DataFrame:
    """What the run itself measured at the end of a stage, by seed and subset."""
    metrics = run.metrics
    rows = metrics.loc[(metrics["stage"] == stage) & (metrics["question"] == "all")]
    rows = rows.loc[(rows["step"] == rows["step"].max()) & rows["subset"].isin(ASKED)]
    return rows.pivot(index=["seed", "subset"], columns="metric", values="value")[MEASURES]


def levels(table: pd.DataFrame, part: str, to_stage: int) -> pd.DataFrame:
    rows = table.loc[(table["part"] == part) & (table["to_stage"] == to_stage)]
    rows = rows.loc[rows["subset"].isin(ASKED)]
    return rows.set_index(["seed", "subset"]).sort_index()[MEASURES]


@pytest.mark.parametrize(("part", "to_stage", "is_stage"), [
    pytest.param("none", 1, 1, id="nothing into Stage 1"),
    pytest.param("all", 1, 2, id="everything into Stage 1"),
    pytest.param("none", 2, 2, id="nothing into Stage 2"),
    pytest.param("all", 2, 1, id="everything into Stage 2"),
])  # fmt: skip
def test_baselines_are_what_the_run_measured(
    part: str, to_stage: int, is_stage: int, table: pd.DataFrame, tiny_run: Run
):
    measured, known = levels(table, part, to_stage), known_levels(tiny_run, is_stage)

    pd.testing.assert_frame_equal(measured, known, check_names=False, rtol=1e-6)


def test_every_subset_and_its_number_of_questions_is_there(table: pd.DataFrame, tiny_run: Run):
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    asked = [row.row.subset.name + " recited" * is_trained_definition(row) for row in rows]
    of_part = table.loc[(table["seed"] == SEED) & (table["to_stage"] == 1)]
    of_part = of_part.loc[of_part["part"] == "embeddings"]

    assert dict(zip(of_part["subset"], of_part["n"], strict=True)) == {
        subset: asked.count(subset) for subset in (*ASKED, "D5_CONS recited", "D6_CONS recited")
    }


def test_the_table_has_the_columns_of_the_contract(table: pd.DataFrame):
    assert list(table.columns[7:]) == [
        *COORDINATES,
        *MEASURES,
        *(f"control_{name}" for name in MEASURES),
        *(f"without_{name}" for name in MEASURES),
        *(f"without_control_{name}" for name in MEASURES),
        "n",
    ]
    assert set(table["donor"]) == {"same"}
    assert set(zip(table["from_stage"], table["to_stage"], strict=True)) == {(1, 2), (2, 1)}
    of_weights = table.loc[~table["part"].str.contains("@")]
    assert not of_weights.isna().any(axis=None)
    assert not table.drop(columns=table.filter(like="without").columns).isna().any(axis=None)
    assert not table.duplicated(["seed", *COORDINATES]).any()


def test_all_but_a_part_is_the_donor_with_the_recipients_part_put_back(tiny_run: Run):
    """By hand, from state dicts: GPT-NeoX's blocks are all under `gpt_neox.layers`."""
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    recipient, donor = (load_model(tiny_run.checkpoint(SEED, stage)) for stage in (1, 2))
    mixed, theirs = deepcopy(donor), donor.state_dict()
    mixed.load_state_dict(
        {n: recipient.state_dict()[n] if ".layers." in n else theirs[n] for n in theirs}
    )
    answers = answer_metrics(mixed, EvaluationSet.of(rows))

    table = transplant_weights(recipient, donor, rows, parts=["blocks"], seed=0)

    for subset, is_of_subset in (
        ("D5_CONS", lambda row: row.row.subset.name == "D5_CONS" and row.row.is_evaluated),
        (
            "D6_CONS recited",
            lambda row: row.row.subset.name == "D6_CONS" and is_trained_definition(row),
        ),
    ):
        chosen = [i for i, row in enumerate(rows) if is_of_subset(row)]
        found = table.loc[(table["part"] == "blocks") & (table["subset"] == subset)].iloc[0]
        expected = answers["answer_log_prob"].to_numpy()[chosen].mean()
        assert found["without_answer_log_prob"] == pytest.approx(expected, abs=1e-6)
        assert found["n"] == len(chosen)
    whole = table.loc[(table["part"] == "all")].set_index("subset")
    nothing = table.loc[(table["part"] == "none")].set_index("subset")
    for name in MEASURES:
        pd.testing.assert_series_equal(whole[f"without_{name}"], nothing[name], check_names=False)
        pd.testing.assert_series_equal(nothing[f"without_{name}"], whole[name], check_names=False)


def test_rows_of_aliases_are_those_of_the_embedding_and_with_the_blocks_what_stage_2_stored(
    tiny_run: Run,
):
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    recipient, donor = (load_model(tiny_run.checkpoint(SEED, stage)) for stage in (1, 2))
    aliases = {
        token
        for row in rows
        if row.row.subset.name in ("D5_CONS", "D6_CONS")
        for token in row.input_ids[row.spans[Role.ALIAS][0] : row.spans[Role.ALIAS][1] + 1]
    }
    ((name, mask),) = alias_rows(recipient, aliases).items()

    assert name == "gpt_neox.embed_in.weight"
    assert mask.nonzero()[:, 0].tolist() == sorted(aliases)
    parts = ["alias_rows", "alias_rows+blocks"]
    table = transplant_weights(recipient, donor, rows, parts=parts, seed=0)
    assert set(table["part"]) == {"none", "all", *parts}


def test_parts_of_activations_are_named_by_site_head_and_role(table: pd.DataFrame):
    of_stage1 = table.loc[table["to_stage"] == 1, "part"]
    sites = [
        "resid_post.0",
        "resid_post.1",
        *(f"z.{i}.{head}" for i in (0, 1) for head in range(2)),
    ]

    assert set(of_stage1) == {"none", "all", "embeddings", "blocks"} | {
        f"{site}@{role}" for site in sites for role in ("alias_last", "prompt_last")
    }


def test_activations_of_the_same_model_change_nothing(tiny_run: Run):
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    analysis = TransplantAnalysis(
        folder=tiny_run.folder, recipient_stage=2, donor_stage=2, roles=(TokenRole.ALIAS_LAST,)
    )
    model = load_hooked(tiny_run, seed=SEED, stage=2)
    sites = [Site("resid_post", 0), Site("z", 1)]
    found = analysis.measure(model, tiny_run.tokenized_rows(SEED), sites, seed=SEED).table

    assert found["part"].str.contains("@").sum() == (1 + model.n_heads) * len(ASKED)
    expected = found.loc[found["part"] == "none"].set_index("subset")
    for _, of_part in found.groupby("part"):
        pair = of_part.set_index("subset")
        for name in MEASURES:
            for column in (name, f"control_{name}"):  # no difference makes no random change
                same = expected.loc[pair.index, name].to_numpy()
                assert pair[column].to_numpy() == pytest.approx(same, abs=1e-5)
    assert len(rows) == expected["n"].sum()


def test_a_planted_change_is_found_in_its_part_alone(tiny_run: Run):
    """A donor that differs in its last MLP only: every part that holds it is the donor."""
    recipient = load_model(tiny_run.checkpoint(SEED, 2))
    generator = torch.Generator().manual_seed(0)
    changed = {
        name: weight + torch.randn(weight.shape, generator=generator)
        for name, weight in weights_of(recipient).items()
        if ".1.mlp." in name
    }
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    found = transplant_weights(recipient, with_weights(recipient, changed), rows, seed=0)
    by_part = found.pivot(index="part", columns="subset", values="answer_log_prob")

    is_donor = (by_part - by_part.loc["all"]).abs().max(axis=1) == 0
    is_recipient = (by_part - by_part.loc["none"]).abs().max(axis=1) == 0
    holds = {"all", "blocks", "block.1", "mlps", "mlp.1", "alias_rows+blocks"}
    assert set(by_part.index[is_donor]) == holds
    assert set(by_part.index[is_recipient]) == set(by_part.index) - holds


def test_a_transplant_leaves_both_models_as_they_were(tiny_run: Run):
    models = [load_model(tiny_run.checkpoint(SEED, stage)) for stage in (1, 2)]
    models[0].train()
    copies = [with_weights(model, {}) for model in models]
    rows = asked_rows(tiny_run.tokenized_rows(SEED))
    random_state = torch.get_rng_state()

    transplant_weights(models[0], models[1], rows, parts=("mlps",), seed=1)

    for model, copy in zip(models, copies, strict=True):
        here, there = weights_of(model), weights_of(copy)
        assert all(torch.equal(here[name], there[name]) for name in here)
        assert all(parameter.grad is None for parameter in model.parameters())
    assert models[0].training
    assert torch.equal(torch.get_rng_state(), random_state)


def fail(*args: object, **keywords: object) -> pd.DataFrame:
    raise KeyboardInterrupt


@pytest.mark.parametrize("broken", [None, "_by_subset", "transplant_activations"])
def test_the_hooked_model_stays_as_it_is_also_where_the_analysis_is_interrupted(
    broken: str | None,
    tiny_run: Run,
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    analysis = TransplantAnalysis(
        folder=tiny_run.folder,
        recipient_stage=1,
        donor_stage=2,
        parts=("embeddings",),
        roles=(TokenRole.ALIAS_LAST,),
    )
    model, rows = load_hooked(tiny_run, seed=SEED, stage=1), tiny_run.tokenized_rows(SEED)
    before = state_of(model)

    def measure() -> None:
        analysis.measure(model, rows, [Site("resid_post", 0)], seed=SEED)

    if broken is None:
        measure()
    else:
        monkeypatch.setattr(transplants, broken, fail)
        with pytest.raises(KeyboardInterrupt):
            measure()
    assert state_of(model) == before


def test_the_same_seed_gives_the_same_controls_and_another_others(tiny_run: Run):
    recipient, donor = (load_model(tiny_run.checkpoint(SEED, stage)) for stage in (1, 2))
    rows = asked_rows(tiny_run.tokenized_rows(SEED))

    def controls(seed: int, parts: Sequence[str]) -> list[float]:
        found = transplant_weights(recipient, donor, rows, parts=parts, seed=seed)
        return found.loc[found["part"] == "blocks", "control_answer_log_prob"].tolist()

    assert controls(1, ["blocks"]) == controls(1, ["mlps", "blocks"])
    assert controls(1, ["blocks"]) != controls(2, ["blocks"])


def test_the_analysis_conforms_and_goes_to_another_process(tiny_run: Run):
    analysis = TransplantAnalysis(folder=tiny_run.folder, recipient_stage=1, donor_stage=2)

    assert isinstance(analysis, Analysis)
    assert pickle.loads(pickle.dumps(analysis)) == analysis


def test_the_null_twin_is_a_donor_of_its_own(copied_run: Path):
    run = Run.load(copied_run)
    analysis = TransplantAnalysis(
        folder=copied_run,
        recipient_stage=2,
        donor_stage=2,
        donor_folder=copied_run / "null",
        parts=("blocks",),
    )
    rows, summary = run_grid(analysis, GridSelection(runs=(run,), stage=2), workers=1)
    null = run.null
    assert null is not None

    assert set(rows["donor"]) == {"null"}
    known = known_levels(null, 2)
    for subset in ("D5_CONS", "D6_CONS"):
        got = levels(rows, "all", 2).xs(subset, level="subset")["answer_log_prob"]
        expected = known.xs(subset, level="subset")["answer_log_prob"]
        assert got.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
    assert IML_GAP.gap in set(summary["subset"])


def test_another_folder_is_called_by_its_name(tiny_run: Run, tmp_path: Path):
    analysis = TransplantAnalysis(folder=tiny_run.folder, recipient_stage=1, donor_stage=2)

    assert replace(analysis, donor_folder=tiny_run.folder / ".").donor_name == "same"
    assert replace(analysis, donor_folder=tmp_path / "swapped").donor_name == "swapped"


def test_a_grid_of_another_checkpoint_is_an_error_and_writes_nothing(
    copied_run: Path, tree_hash: Callable[[Path], dict[str, str]]
):
    run, before = Run.load(copied_run), tree_hash(copied_run)
    analysis = TransplantAnalysis(folder=copied_run, recipient_stage=1, donor_stage=2)

    with pytest.raises(InputError, match="another checkpoint than the analysis names"):
        run_grid(analysis, GridSelection(runs=(run,), stage=2), workers=1)
    assert tree_hash(copied_run) == before
