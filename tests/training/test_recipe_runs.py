"""Every recipe runs to its end, and the main one on real models and real people."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from training.models.elsewhere import NamedModel
from training.recipes import find_recipe
from training.recipes.text import FRACTIONS, Shares
from training.registry import RECIPES
from training.runs.checkpoints import load_model, step_folder
from training.runs.run import Run

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data"
PEOPLE = REAL / "tables" / "people_fb15k_cvdb_shape.tsv"
PYTHIA = REAL / "pythia_configs" / "hf_configs.json"
PYTHIA_TOKENIZER = REAL / "tokenizers" / "20B_tokenizer.json"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not here")

find_recipe("cvdb-two-stage")


LAUNCH = [
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes=2",
    "--num_machines=1",
]
LAUNCH += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]


def iml(*arguments: str, launcher: Sequence[str] = ()) -> str:
    """What the command prints in a process of its own, which has to end well."""
    # ACCELERATE_USE_CPU says nothing to a process that nobody launched.
    settings = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "interp.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def processor_seconds() -> float:
    """Of all processes that have ended: unlike the clock, nothing that a busy machine changes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_smoke_run_ends_within_a_minute_and_has_a_report(name: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    before = processor_seconds()
    iml("run", name, "--smoke", "--out", folder)
    assert processor_seconds() - before < 60
    metrics = Run.load(folder).metrics
    stages = find_recipe(name)(**find_recipe(name).smoke).schedule.stages
    assert set(metrics["stage"]) == {int(stage) for stage in stages}
    assert not metrics["value"].isna().to_numpy().any()
    iml("report", folder)
    assert "<html" in (tmp_path / "run" / "report.html").read_text()[:2000]


@pytest.mark.slow
def test_accelerate_launch_trains_the_same_run_and_one_process_speaks(tmp_path: Path) -> None:
    tables = []
    for name, launcher in (("alone", ()), ("launched", LAUNCH)):
        command = ("run", "cvdb-two-stage", "--smoke", "--out", str(tmp_path / name))
        assert iml(*command, launcher=launcher).count("exact match, mean") == 1
        tables.append(Run.load(tmp_path / name).metrics)
    alone, launched = (table.loc[table["metric"] == "answer_log_prob"] for table in tables)
    # By how much a sum of gradients in another order moves answers of -20 nats.
    assert launched["value"].to_numpy() == pytest.approx(alone["value"].to_numpy(), abs=1e-3)


def run_on_real_people(model: Path, folder: Path, *settings: str) -> pd.DataFrame:
    fixed = ["epochs_stage1=1", "epochs_stage2=1", "precision=fp32", "evaluations=1"]
    fixed += [f"model={model}", f"table={PEOPLE}", "entities=200", *settings]
    words = [word for setting in fixed for word in ("--set", setting)]
    iml("run", "cvdb-two-stage", "--seeds", "1", "--out", str(folder), *words)
    metrics = Run.load(folder).metrics
    last = metrics.loc[(metrics["stage"] == 2) & (metrics["question"] == "all")]
    assert set(last["subset"]) == set(FRACTIONS[Shares.MAIN])
    assert last["value"].notna().all()
    assert len(last.loc[last["metric"] == "exact_match", "step"].unique()) == 2
    return metrics


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize("name", ["stories-260k", "tinystories-656k"])
def test_pretrained_model_is_finetuned_from_its_own_weights_on_real_people(
    name: str, tmp_path: Path
) -> None:
    folder = REAL / "models" / name
    # Their tokenizers make more tokens of a name than the paper's 64 hold.
    run_on_real_people(folder, tmp_path / "run", "block_size=160")
    first, last = (
        load_model(path).state_dict()
        for path in (
            step_folder(tmp_path / "run" / "seed-1000" / "stage-1", 0),
            max((tmp_path / "run" / "seed-1000" / "stage-1").glob("step-*"), key=step_of),
        )
    )
    stored = stored_weights(folder)
    shared = set(stored) & set(first)
    assert len(shared) > 10
    for name_ in shared:
        assert first[name_].dtype == torch.float32
        assert torch.equal(first[name_], stored[name_].float()), name_
    assert any(not torch.equal(first[n], last[n]) for n in shared)


def step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def stored_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


@pytest.mark.slow
@needs_real_data
def test_random_pythia_14m_learns_from_real_people_with_its_own_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from data.tokenizers import FolderTokenizer

    sizes = json.loads(PYTHIA.read_text())["pythia-14m"]
    sizes.pop("model_type", None)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt_neox", **sizes))
    folder = tmp_path / "pythia-14m"
    model.save_pretrained(folder)
    FolderTokenizer(location=str(PYTHIA_TOKENIZER)).load().save_pretrained(folder)
    metrics = run_on_real_people(folder, tmp_path / "run", "trained_questions=10")
    loss = metrics.loc[
        (metrics["stage"] == 1) & (metrics["question"] == "trained") & (metrics["metric"] == "loss")
    ].groupby("step")["value"]
    assert loss.mean().iloc[-1] < loss.mean().iloc[0]
    assert set(metrics["model"]) == {NamedModel(location=str(folder)).name}
