"""What `make gpu` counts, by hand, and what it says where there is no time for a seed."""

import json
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from training.recipes import find_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which imports its neighbours as scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("gpu_parts")


@pytest.mark.parametrize("is_tied", [False, True])
def test_flops_are_those_counted_by_hand(is_tied: bool, parts: ModuleType) -> None:
    config = GPTNeoXConfig(
        vocab_size=10, hidden_size=4, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=16, max_position_embeddings=8, tie_word_embeddings=is_tied,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config)
    # Two norms 16, keys and the like 60, output 20, MLP 80 + 68, last norm 8, unembedding 40.
    multiplied = 16 + 60 + 20 + 80 + 68 + 8 + 40
    # Scores and mixing: 2 products x 2 FLOPs x 3 passes x width 4 x 8 tokens.
    assert parts.flops_per_token(model, 8) == 6 * multiplied + 2 * 2 * 3 * 4 * 8


def test_a_peak_that_is_not_known_is_not_made_up(parts: ModuleType) -> None:
    names = ("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 NVL", "Tesla T4", "CPU")
    assert [parts.vendor_peak(name) for name in names] == [989.4, 312.0, None, None, None]


def test_a_seed_that_does_not_fit_is_not_begun(parts: ModuleType, tmp_path: Path) -> None:
    found = find_recipe("set-inclusion")
    job = parts.Job(
        until=time.time() + 60,
        into=tmp_path / "figures.json",
        is_smoke=True,
        model="",
        device=torch.device("cpu"),
    )
    config = found(**found.smoke)
    parts.train_what_fits(job, config, tmp_path / "run", before=0.0, seed=100.0)
    (figure,) = json.loads(job.into.read_text())["figures"]
    assert (figure["what"], figure["value"]) == ("gaps", None)
    assert figure["how"].startswith("no seed was trained: 150 s were needed, 5")
    assert not (tmp_path / "run").exists()
