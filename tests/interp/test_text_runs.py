"""Analyses on a run in natural language: names and answers of several tokens, text after questions.

The toys, which all other tests use, have none of that.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from data.errors import InputError
from data.rows import prompt_row
from data.tasks.iml import IML_GAP
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Family, Role
from interp.alignment.analysis import AlignmentAnalysis
from interp.attention.analysis import AttentionAnalysis
from interp.cli import main
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked, load_hooked_folder
from interp.hooked.sites import choose_sites
from interp.interventions.ablation import ablate
from interp.interventions.ablation_analysis import AblationAnalysis
from interp.interventions.base import Hook, answer_table
from interp.interventions.erasure_analysis import ErasureAnalysis
from interp.lenses.analysis import (
    LensAnalysis,
    default_roles,
    lens_checkpoint,
    token_quantities,
)
from interp.patching.analysis import PatchAnalysis
from interp.probes.analysis import ProbeAnalysis
from interp.probes.targets import make_task
from interp.transplants.analysis import TransplantAnalysis
from training.recipes import find_recipe
from training.retraining import Retraining
from training.runs.checkpoints import load_model
from training.runs.requests import RunRequest
from training.runs.run import Run
from training.runs.runner import run_seeds

SEED = 1000
TINY = {"entities": 60, "epochs_stage1": 1, "epochs_stage2": 1, "loss_policy": "text"}


def train_tiny(name: str, folder: Path) -> Run:
    recipe = find_recipe(name)
    config = recipe(**{**recipe.smoke, **TINY})
    (run,) = run_seeds([RunRequest(config=config, folder=folder, seeds=(SEED, 1001))], workers=1)
    return run


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_tiny("cvdb-two-stage", tmp_path_factory.mktemp("text") / "run")


@pytest.fixture(scope="module")
def model(text_run: Run) -> HookedModel:
    return load_hooked(text_run, SEED, 2)


@pytest.fixture(scope="module")
def rows(text_run: Run) -> list[TokenizedRow]:
    return text_run.tokenized_rows(SEED)


def asked_by_alias(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    return [row for row in rows if row.row.is_evaluated and row.row.alias is not None]


def test_the_run_has_what_toys_lack(rows: list[TokenizedRow]):
    aliases = {row.spans[Role.ALIAS][1] - row.spans[Role.ALIAS][0] for row in asked_by_alias(rows)}

    assert len(aliases) > 1
    assert len({len(row.answer_positions) for row in rows}) > 2
    assert all(row.answer_positions[0] - row.spans[Role.QUESTION][1] > 1 for row in rows
               if Role.QUESTION in row.spans)  # fmt: skip


def test_the_lens_reads_where_the_answer_is_predicted(
    text_run: Run, model: HookedModel, rows: list[TokenizedRow]
):
    table = lens_checkpoint(model, rows, choose_sites(model), LensAnalysis(tuned=False), seed=SEED)

    plain = load_model(text_run.checkpoint(SEED, 2)).double()
    expected: dict[str, list[float]] = {}
    for row in asked_by_alias(rows):
        first = row.answer_positions[0]
        with torch.no_grad():
            logits = plain(torch.tensor([row.input_ids[:first]])).logits[0, -1]
        found = logits.log_softmax(-1)[row.input_ids[first]].item()
        expected.setdefault(row.row.subset.name, []).append(found)
    last = table.query("layer == 1 and role == 'prompt_last' and quantity == 'answer'")
    for cell in last.to_dict("records"):
        assert cell["log_prob"] == pytest.approx(np.mean(expected[cell["subset"]]), abs=1e-4)
    assert set(last["subset"]) == set(expected)


def test_where_a_prompt_ends_with_its_question_the_lens_reads_there_once(
    toy_rows: Callable[..., list[TokenizedRow]],
):
    assert default_roles(asked_by_alias(toy_rows())) == (
        TokenRole.ALIAS_LAST,
        TokenRole.QUESTION_LAST,
    )


def test_a_false_definition_in_front_of_a_question_does_not_name_its_entity():
    recipe = find_recipe("cvdb-in-context")
    data = recipe(**{**recipe.smoke, **TINY}).data
    drawn = data.build(SEED)
    tokenizer = data.tokenizer(drawn)
    rows = tokenize_rows(drawn.rows, tokenizer)
    asked = [row for row in asked_by_alias(rows) if row.row.subset.name == "D2_INCONS_QA2"]

    found = token_quantities(rows, asked, seed=SEED)["entity"]

    written = [f" {row.row.entity}" for row in asked]
    expected = tokenizer(written, add_special_tokens=False)["input_ids"]
    assert found.tolist() == [ids[0] for ids in expected]
    assert all(str(row.row.entity) not in row.row.rendered.prompt for row in asked)


def test_probes_read_no_question_whose_answer_is_the_entity(rows: list[TokenizedRow]):
    task = make_task(rows, "tag", seed=SEED)

    assert {row.row.family for row in rows} == set(Family)
    assert {row.row.family for row in (*task.rows, *task.all_rows)} == {Family.ATTRIBUTE}


class Reading:
    """Keeps what a site holds after the interventions before it."""

    def __init__(self, site: Site) -> None:
        self.site, self.value = site, torch.empty(0)

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        def keep(activation: Tensor, hook: nn.Module) -> None:
            self.value = activation.detach().clone()

        return [(self.site.hook, keep)]


def test_the_end_of_the_longest_name_is_resampled_from_the_nearest_token_before_it(
    neox: HookedModel,
):
    words = [f"w{i}" for i in range(37)]
    prompts = [
        prompt_row("long", "w0 w1 w2 w3 w9 w8", "w8", spans={Role.ALIAS: (3, 11)}),
        prompt_row("short", "w0 w4 w5 w9 w8", "w8", spans={Role.ALIAS: (3, 8)}),
    ]
    long, short = tokenize_rows(prompts, word_tokenizer(words))
    site = Site("resid_pre", 0)
    reading = Reading(site)

    answer_table(neox, [long], [ablate(neox, site, "resample", reference=[long, short]), reading])

    _, cache = neox.run_with_cache(torch.tensor([short.input_ids]), [site.hook])
    w4, w5 = cache[site.hook][0, 1], cache[site.hook][0, 2]
    torch.testing.assert_close(reading.value[0, 1:4], torch.stack([w4, w5, w5]))


@pytest.mark.parametrize(
    "analysis",
    [
        ProbeAnalysis(
            targets=("tag",), roles=(TokenRole.PROMPT_LAST,), quick=True, n_permutations=2
        ),
        PatchAnalysis(subsets=("D1_CONS_QA1", "D5_CONS"), confidence=0.0, limit=6),
        AttentionAnalysis.of(IML_GAP),
        pytest.param(AblationAnalysis(limit=10, n_random=1), marks=pytest.mark.slow),
        pytest.param(ErasureAnalysis(n_random=2, limit=10), marks=pytest.mark.slow),
    ],
    ids=["probes", "patching", "attention", "ablation", "erasure"],
)
def test_an_analysis_measures_every_cell(
    analysis: Analysis, model: HookedModel, rows: list[TokenizedRow]
):
    names = ["z", "mlp_out"] if analysis.name in ("ablation", "patching") else None

    table = analysis.measure(model, rows, choose_sites(model, names), seed=SEED).table

    measured = {"accuracy", "effect", "value", "after"} & set(table)
    assert len(measured) == 1
    assert np.isfinite(table[measured.pop()]).all()
    assert len(table)


def test_a_prompt_patched_whole_is_the_other_prompt(text_run: Run):
    patching = PatchAnalysis(subsets=("D5_CONS",), confidence=0.0, limit=6)
    where = GridSelection(runs=(text_run,), stage=2, sites=("resid_pre",), layers=(0,))

    table, summary = run_grid(patching, where, workers=1)

    effects = table.groupby("role")["effect"]
    assert effects.get_group("all").to_numpy() == pytest.approx(1, abs=1e-3)
    assert effects.get_group("prompt_last").to_numpy() == pytest.approx(0, abs=1e-3)
    assert {"alias_first", "alias_last", "question_last"} <= set(table["role"])
    assert set(summary["n_seeds"]) == {2}


@pytest.mark.slow
def test_transplants_and_alignment_take_text(text_run: Run):
    transplants = TransplantAnalysis(
        folder=text_run.folder, recipient_stage=1, donor_stage=2, parts=("embeddings",)
    )
    alignment = AlignmentAnalysis(
        folder=text_run.folder, stage=1, subsets=("D5_CONS", "D6_CONS"), limit=2
    )
    first = GridSelection(runs=(text_run,), stage=1, seeds=(SEED,))

    moved = run_grid(transplants, first, workers=1)[0]
    aligned = run_grid(alignment, first, workers=1)[0]

    assert set(moved["part"]) == {"none", "all", "embeddings"}
    assert np.isfinite(moved["answer_log_prob"]).all()
    assert np.isfinite(aligned["value"]).all()


def test_a_run_of_an_encoder_decoder_is_refused_in_a_line():
    recipe = find_recipe("t5-two-stage")
    info = {"seeds": [SEED], "finished": "2000-01-01T00:00:00+00:00"}
    run = Run(folder=Path("runs/t5"), info=info, config=recipe(**recipe.smoke))

    with pytest.raises(InputError, match=r"runs/t5 is of an encoder-decoder \(tiny-t5\)"):
        GridSelection(runs=(run,)).check()


def test_a_folder_of_an_encoder_decoder_is_refused_in_a_line(tmp_path: Path):
    config = T5Config(vocab_size=20, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)

    with pytest.raises(InputError, match="holds an encoder-decoder; give a decoder-only"):
        load_hooked_folder(tmp_path)


@pytest.fixture(scope="module")
def three_stage_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_tiny("cvdb-three-stage", tmp_path_factory.mktemp("three-stage") / "run")


@pytest.mark.parametrize(
    ("command", "table"),
    [
        (("attention", "--stage", "3"), "attention"),
        pytest.param(("lens", "--stage", "3"), "lens", marks=pytest.mark.slow),
        pytest.param(
            ("transplant", "--stage", "3", "--differences"), "transplants", marks=pytest.mark.slow
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_third_stage_is_looked_at_like_the_second_of_two(
    command: tuple[str, ...], table: str, three_stage_run: Run
):
    folder = three_stage_run.folder
    assert main([command[0], str(folder), *command[1:]]) == 0

    written = pd.read_parquet(folder / f"{table}.parquet")
    assert {"D5_CONS", "D6_CONS"} <= set(written["subset"])
    stages = {"to_stage": 3, "from_stage": 2} if table == "transplants" else {"stage": 3}
    assert all(set(written[column]) == {stage} for column, stage in stages.items())


def test_a_stage_that_the_run_lacks_is_bad_input(text_run: Run, capsys: pytest.CaptureFixture[str]):
    assert main(["lens", str(text_run.folder), "--stage", "3"]) == 2
    assert "has no stage 3; choose 1 or 2" in capsys.readouterr().err


def test_only_a_two_stage_run_is_trained_again(three_stage_run: Run):
    with pytest.raises(InputError, match=r"is a three-stage run .*; choose a two-stage one"):
        Retraining(run=three_stage_run, seed=SEED)
