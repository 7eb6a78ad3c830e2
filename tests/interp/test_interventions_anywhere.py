"""Every tool that intervenes or compares gradients, on models from elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from data.pairs import PairKind, PromptPair
from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import LossPolicy, Role
from interp.attention.heads import read_heads
from interp.attention.patterns import attention_by_role
from interp.attention.scores import composition_scores, random_tokens, token_scores
from interp.gradients.gram import GradientOptions, gradient_gram
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked_folder
from interp.hooked.plain_models import read_model_folder
from interp.interventions.ablation import ablate
from interp.interventions.base import answer_table
from interp.interventions.erasure import Erasure, fit_leace
from interp.interventions.knock_outs import KnockOut, Route
from interp.patching.analysis import patch_pairs
from interp.transplants.analysis import transplant_weights

REAL = Path(__file__).parents[2].parent / "shared" / "data"
CONFIGS = REAL / "pythia_configs" / "hf_configs.json"
TOKENIZER = REAL / "tokenizers" / "20B_tokenizer.json"
TRAINED = ("stories-260k", "tinystories-656k")
NAMES = ("Tim", "Tom", "Ben", "Max", "Sam", "Bob", "Lily", "Sue", "Mia", "Amy")
HERE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(not path.exists(), reason="the model's files are not here"),
    )
    for name, path in [("pythia-14m", TOKENIZER), *((n, REAL / "models" / n) for n in TRAINED)]
]


def open_model(name: str) -> tuple[HookedModel, PreTrainedModel, PreTrainedTokenizerFast]:
    """The view, a plain model of the same weights, and the tokenizer."""
    if name != "pythia-14m":
        folder = REAL / "models" / name
        plain, tokenizer = read_model_folder(folder, "cpu")
        assert isinstance(tokenizer, PreTrainedTokenizerFast)
        return load_hooked_folder(folder), plain, tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPTNeoXConfig(**json.loads(CONFIGS.read_text())["pythia-14m"])
        plain = GPTNeoXForCausalLM(config).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER))
    return HookedModel.from_hf(plain), plain, tokenizer


def rows_of_one_length(tokenizer: PreTrainedTokenizerFast) -> list[TokenizedRow]:
    """Prompts about names that are one token each, answered with the name."""
    rows = []
    for name in NAMES:
        text = f"One day, {name} saw a dog. The dog saw {name}"
        span = (9, 9 + len(name))
        rows.append(prompt_row(f"about {name}", text, name, spans={Role.ENTITY: span}))
    tokenized = tokenize_rows(rows, tokenizer)
    lengths = [row.answer_positions[0] for row in tokenized]
    usual = max(lengths, key=lengths.count)
    return [row for row, length in zip(tokenized, lengths, strict=True) if length == usual]


@pytest.mark.parametrize("name", HERE)
def test_every_intervention_runs_on_models_from_elsewhere(name: str):
    model, plain, tokenizer = open_model(name)
    rows = rows_of_one_length(tokenizer)
    assert len(rows) >= 4
    last = model.n_layers - 1

    pair = PromptPair(
        kind=PairKind.ENTITY,
        subset=rows[0].row.subset.name,
        clean=rows[0],
        corrupted=rows[1],
        corrupted_is_answerable=True,
    )
    other = PromptPair(**{**vars(pair), "clean": rows[2], "corrupted": rows[3]})
    grid = patch_pairs(model, [pair, other])
    cells = grid.to_dict("records")
    at_entry = [c["effect"] for c in cells if c["site"] == "resid_pre" and c["role"] == "all"]
    assert at_entry == pytest.approx([1.0] * len(at_entry), abs=1e-3)
    assert np.isfinite(grid["attribution"].to_numpy(dtype=float)).all()

    route = Route(Role.ENTITY, TokenRole.PROMPT_LAST)
    head = ablate(model, Site("z", 0, 0), "mean", reference=rows)
    site = Site("resid_post", 0)
    kept = collect_activations(model, rows, sites=[site], roles=[TokenRole.ENTITY_LAST])
    labels = np.arange(len(rows)) % 2
    eraser = fit_leace(kept.at(site, TokenRole.ENTITY_LAST).astype(np.float64), labels)
    erasure = Erasure(eraser=eraser, site=site, places=(TokenRole.ENTITY_LAST,))
    before = answer_table(model, rows)["answer_log_prob"].to_numpy()
    for intervention in (head, KnockOut(model=model, route=route), erasure):
        after = answer_table(model, rows, [intervention])["answer_log_prob"].to_numpy()
        assert np.isfinite(after).all()
        assert not np.allclose(after, before)

    weights = attention_by_role(model, rows, layers=[last]).weights
    assert weights.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(read_heads(model, rows, sources=(Role.ENTITY,)).direct_logit).all()
    assert len(token_scores(model, random_tokens(model, seed=0)))
    assert np.isfinite(composition_scores(model, "q")["value"]).all()

    moved = transplant_weights(plain, plain, rows, parts=("embeddings", "blocks"), seed=0)
    assert np.ptp(moved["answer_log_prob"].to_numpy()) < 1e-5

    options = GradientOptions(policy=LossPolicy.ANSWER)
    gram = gradient_gram(plain, rows, rows, options=options)
    assert gram.cosine.diagonal().numpy() == pytest.approx(1.0, abs=1e-5)
